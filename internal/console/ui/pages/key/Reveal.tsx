// The token in the Secret: masked, shown for half a minute, and gone when the tab loses the focus.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { api, copyText, failureOf, keyPath } from "../../app/api";
import { can, refusal } from "../../app/can";
import { commands } from "../../app/commands";
import { me } from "../../app/me";
import type * as wire from "../../app/wire";
import { Button } from "../../parts/Button";
import { Banner, Card, Code, FailureBanner } from "../../parts/Box";
import { Icon } from "../../parts/Icon";
import { toast } from "../../parts/Toast";
import { t } from "../../text";

const shownFor = 30;

export function Reveal({ row, detail }: { row: wire.KeyRow; detail: wire.KeyDetail }) {
  const secret = detail.secretName ?? "";
  // A revocation empties the Secret.
  if (row.revokedAt || !row.tokenHash)
    return (
      <Card title={t.key.secret} id="secret">
        <p class="inside quiet">{t.key.noToken(secret, row.ns)}</p>
      </Card>
    );
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
            {no.ask && <Code text={no.ask} what={t.command} wrap />}
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
  const asked = useRef<AbortController | undefined>(undefined);
  const until = useRef(0);
  const left = useSignal(0);
  const busy = useSignal(false);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  const shown = left.value > 0;
  const clear = () => {
    // A token that is under way does not appear either.
    asked.current?.abort();
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
    if (!shown) return undefined;
    const due = setInterval(() => {
      const rest = Math.ceil((until.current - Date.now()) / 1000);
      if (rest > 0) left.value = rest;
      else clear();
    }, 250);
    return () => clearInterval(due);
  }, [shown]);
  const reveal = async (use: (token: Promise<string>) => Promise<void>) => {
    if (busy.peek()) return;
    busy.value = true;
    failure.value = undefined;
    const stop = new AbortController();
    asked.current = stop;
    const ask = async () => {
      const { token } = await api.post<wire.Revealed>(`${keyPath(row.ns, row.name)}/reveal`, { uid: row.uid } satisfies wire.Precondition, { stop: stop.signal });
      if (!document.hasFocus()) stop.abort();
      stop.signal.throwIfAborted();
      return token;
    };
    try {
      await use(ask());
    } catch (error) {
      if (!stop.signal.aborted) failure.value = failureOf(error);
    }
    busy.value = false;
  };
  const show = async (token: Promise<string>) => {
    box.current?.replaceChildren(await token);
    until.current = Date.now() + shownFor * 1000;
    left.value = shownFor;
  };
  const copy = async (token: Promise<string>) => {
    await copyText(token);
    toast(t.key.tokenCopied);
  };
  return (
    <>
      <div class="token">
        {!shown && (
          <span class="mask" aria-hidden="true">
            {"•".repeat(32)}
          </span>
        )}
        <code ref={box} hidden={!shown} data-secret />
      </div>
      {/* A screen reader says that the token is shown. It reads the token when the person moves there. */}
      <span class="unseen" role="status">
        {shown ? t.key.unmasked : t.key.masked}
      </span>
      {failure.value && <FailureBanner failure={failure.value} />}
      <div class="buttons">
        <Button busy={busy.value} onClick={() => (shown ? clear() : void reveal(show))}>
          <Icon name="eye" />
          {shown ? t.key.hideToken(left.value) : t.key.showToken(shownFor)}
        </Button>
        <Button busy={busy.value} onClick={() => void reveal(copy)}>
          <Icon name="copy" />
          {t.key.copyToken}
        </Button>
      </div>
    </>
  );
}
