// The token in the Secret: masked, shown for half a minute, and gone when the tab loses the focus.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { api, failureOf, keyPath } from "../../app/api";
import { can, refusal } from "../../app/can";
import { commands } from "../../app/commands";
import { me } from "../../app/me";
import type * as wire from "../../app/wire";
import { Banner, Card, Code, FailureBanner } from "../../parts/Box";
import { Icon } from "../../parts/Icon";
import { toast } from "../../parts/Toast";
import { t } from "../../text";

const shownFor = 30;

export function Reveal({ row, detail }: { row: wire.KeyRow; detail: wire.KeyDetail }) {
  const secret = detail.secretName ?? "";
  const no = refusal(can({ verb: "get", resource: "secrets", ns: row.ns, name: secret }).value);
  return (
    <Card title={t.key.secret} id="secret">
      <div class="inside">
        <p>{t.key.tokenIsIn(secret, row.ns)}</p>
        {row.mode === "OneTimeUse" && <Banner tone="wait">{t.key.oneTimeWarning}</Banner>}
        {!me.value?.reveal ? (
          <p class="quiet">{t.key.revealOff}</p>
        ) : no ? (
          <>
            <p class="quiet">{no.reason || t.key.revealMayNot(secret)}</p>
            <Code text={no.ask || `kubectl auth can-i get secrets/${secret} -n ${row.ns}`} what={t.command} wrap />
          </>
        ) : (
          <Revealed row={row} />
        )}
        <Code text={commands.token(row.ns, secret)} what={t.command} wrap />
      </div>
    </Card>
  );
}

function Revealed({ row }: { row: wire.KeyRow }) {
  const box = useRef<HTMLElement>(null);
  const left = useSignal(0);
  const busy = useSignal(false);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  const clear = () => {
    // The text is in the element only, and in no state.
    box.current?.replaceChildren();
    left.value = 0;
  };
  useEffect(() => {
    const hidden = () => {
      if (document.hidden) clear();
    };
    addEventListener("blur", clear);
    document.addEventListener("visibilitychange", hidden);
    return () => {
      removeEventListener("blur", clear);
      document.removeEventListener("visibilitychange", hidden);
      clear();
    };
  }, []);
  useEffect(() => {
    if (left.value <= 0) return undefined;
    const due = setTimeout(() => {
      if (left.peek() <= 1) clear();
      else left.value--;
    }, 1000);
    return () => clearTimeout(due);
  }, [left.value]);
  const reveal = async (use: (token: string) => unknown) => {
    busy.value = true;
    failure.value = undefined;
    try {
      const { token } = await api.post<wire.Revealed>(`${keyPath(row.ns, row.name)}/reveal`, { uid: row.uid } satisfies wire.Precondition);
      await use(token);
    } catch (error) {
      failure.value = failureOf(error);
    }
    busy.value = false;
  };
  const show = (token: string) => {
    box.current?.replaceChildren(token);
    left.value = shownFor;
  };
  const copy = async (token: string) => {
    await navigator.clipboard.writeText(token);
    toast(t.key.tokenCopied);
  };
  const shown = left.value > 0;
  return (
    <>
      <div class="token" aria-live="polite">
        {!shown && (
          <span class="mask">
            <span aria-hidden="true">{"•".repeat(32)}</span>
            <span class="unseen">{t.key.masked}</span>
          </span>
        )}
        <code ref={box} hidden={!shown} data-secret />
      </div>
      {failure.value && <FailureBanner failure={failure.value} />}
      <div class="buttons">
        <button type="button" class="button small" aria-disabled={busy.value} onClick={() => (shown ? clear() : void reveal(show))}>
          <Icon name="eye" />
          {shown ? t.key.hideToken(left.value) : t.key.showToken(shownFor)}
        </button>
        <button type="button" class="button small" aria-disabled={busy.value} onClick={() => void reveal(copy)}>
          <Icon name="copy" />
          {t.key.copyToken}
        </button>
      </div>
    </>
  );
}
