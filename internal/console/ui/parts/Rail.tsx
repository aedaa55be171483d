// The navigation on the left; on a narrow screen a panel that the menu button opens.
import { useEffect } from "preact/hooks";
import { me } from "../app/me";
import { link, path } from "../app/router";
import { isList, listLink } from "../app/scope";
import { Icon, type IconName } from "./Icon";
import { t } from "../text";

function Entry({ to, icon, text }: { to: string; icon: IconName; text: string }) {
  const at = path.value || "keys";
  const here = at === to || at.startsWith(`${to}/`);
  return (
    <li>
      <a href={isList(to) ? listLink(to) : link(to)} aria-current={here ? "page" : undefined}>
        <Icon name={icon} />
        {text}
      </a>
    </li>
  );
}

export function Rail({ open, onClose }: { open: boolean; onClose: () => void }) {
  useEffect(() => {
    if (!open) return undefined;
    const key = (event: KeyboardEvent) => {
      if (event.key === "Escape") onClose();
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, [open]);
  return (
    <>
      {open && <div class="shade" onClick={onClose} />}
      <nav id="rail" class={open ? "rail open" : "rail"} aria-label={t.nav.label}>
        <h2>
          {t.nav.setup}
          <Icon name="right" />
          {t.nav.integrations}
        </h2>
        <ul>
          <Entry to="keys" icon="key" text={t.nav.keys} />
          <Entry to="sessions" icon="sessions" text={t.nav.sessions} />
          <Entry to="issuers" icon="issuer" text={t.nav.issuers} />
        </ul>
        {me.value?.ownSessions && (
          <>
            <h2>{t.nav.account}</h2>
            <ul>
              <Entry to="me/sessions" icon="person" text={t.nav.mine} />
            </ul>
          </>
        )}
        <h2>{t.nav.tools}</h2>
        <ul>
          <Entry to="verify" icon="verify" text={t.nav.verify} />
        </ul>
      </nav>
    </>
  );
}
