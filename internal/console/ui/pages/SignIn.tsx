// Signing in: by the provider, by a bearer token, or by the code of the local console.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { failureOf } from "../app/api";
import { codeFailure } from "../app/local";
import { interrupted, me, signIn } from "../app/me";
import { base, current, returnPath } from "../app/router";
import { capital } from "../app/time";
import { Banner, Code, Marked } from "../parts/Box";
import { submits, TextField } from "../parts/Field";
import { Mark } from "../parts/TopBar";
import { t } from "../text";

export function SignIn() {
  const heading = useRef<HTMLHeadingElement>(null);
  const ways = me.value?.ways;
  useEffect(() => {
    document.title = t.title(t.signIn.title);
    if (interrupted.peek()) heading.current?.focus();
  }, []);
  const failed = current.value.query.get("failed");
  const provider = new URL("auth/login", base);
  provider.searchParams.set("return", returnPath());
  return (
    <main class="sign-in">
      <div class="sign-in-box">
        <div class="mark">
          <Mark />
          <span>{t.product}</span>
        </div>
        <h1 ref={heading} tabIndex={-1}>
          {ways?.local ? t.signIn.local : t.signIn.title}
        </h1>
        <p class="quiet">{t.signIn.lead}</p>
        {interrupted.value && <Banner tone="wait">{t.signIn.again}</Banner>}
        {failed && <Banner tone="bad">{t.signIn.failed[failed] ?? t.signIn.failedUnknown}</Banner>}
        {ways?.provider && (
          <a class="button primary full" href={provider.href} data-outside>
            {t.signIn.provider(ways.provider)}
          </a>
        )}
        {ways?.provider && ways.token && (
          <p class="or">
            <span>{t.signIn.or}</span>
          </p>
        )}
        {ways?.token && <TokenForm second={!!ways.provider} />}
        {ways?.local && <Local />}
      </div>
    </main>
  );
}

function Local() {
  return (
    <>
      {codeFailure.value && <Banner tone="bad">{codeFailure.value.code === 0 ? codeFailure.value.message : t.signIn.localBad}</Banner>}
      <p>
        <Marked text={t.signIn.localText} />
      </p>
      <Code text={t.signIn.localCommand} what={t.command} />
    </>
  );
}

function TokenForm({ second }: { second: boolean }) {
  const form = useRef<HTMLFormElement>(null);
  const token = useSignal("");
  const error = useSignal<string | undefined>(undefined);
  const busy = useSignal(false);
  const submit = async () => {
    const text = token.value.trim().replace(/^Bearer\s+/i, "");
    error.value = text ? undefined : t.signIn.empty;
    if (text) {
      busy.value = true;
      try {
        await signIn({ token: text });
      } catch (refused) {
        error.value = capital(failureOf(refused).message);
      }
      busy.value = false;
    }
    if (error.value !== undefined) form.current?.querySelector("input")?.focus();
    else token.value = "";
  };
  return (
    <form
      ref={form}
      noValidate
      onSubmit={submits(() => void submit())}
    >
      <TextField label={t.signIn.token} hint={t.signIn.tokenHint} error={error.value} value={token.value} onValue={(value) => (token.value = value)} input={{ type: "password", class: "mono", autocomplete: "off" }} />
      <button type="submit" class={second ? "button full" : "button primary full"} aria-disabled={busy.value}>
        {busy.value ? t.signIn.busy : t.signIn.submit}
      </button>
      <details>
        <summary>{t.signIn.how}</summary>
        <p>{t.signIn.howText}</p>
        <Code text={t.signIn.howCommand} what={t.command} wrap />
        <p class="quiet">{t.signIn.howRights}</p>
      </details>
    </form>
  );
}
