// The page that says why a token is or is not accepted. The token is in the memory of this page only.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { link } from "../../app/router";
import { issuers } from "../../app/store";
import { shortUTC } from "../../app/time";
import { Button } from "../../parts/Button";
import { Card, Code } from "../../parts/Box";
import { Field } from "../../parts/Field";
import { Icon, type IconName } from "../../parts/Icon";
import { Page, type Crumb } from "../../parts/Page";
import { t } from "../../text";
import { accepted, examine, type Check } from "./checks";
import { gather } from "./gather";
import { parse, type Parsed } from "./token";

const marks: Record<string, [string, IconName]> = { passed: ["good", "good"], failed: ["bad", "bad"], unknown: ["wait", "help"] };
const times = new Set(["exp", "iat", "nbf"]);

function Values({ tree }: { tree: unknown }) {
  return (
    <dl class="facts tight values">
      {Object.entries(tree as object).map(([name, value]) => (
        <div key={name}>
          <dt class="mono">{name}</dt>
          <dd>
            <span class="mono">{typeof value === "string" ? value : JSON.stringify(value)}</span>
            {times.has(name) && typeof value === "number" && <small>{shortUTC(value * 1000)}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Checks({ checks, token }: { checks: Check[]; token: Parsed }) {
  const verdict = accepted(checks);
  const [tone = "off", icon = "info"] = marks[verdict] ?? [];
  return (
    <>
      <div class={`outcome ${tone}`}>
        <Icon name={icon} big />
        <strong>{t.verify.accepted[verdict]}</strong>
        {token.claims && (
          <a class="button small" href={link(`keys/${token.claims.ns}/${token.claims.name}`)}>
            {t.verify.open(`${token.claims.ns}/${token.claims.name}`)}
          </a>
        )}
      </div>
      <ul class="checks">
        {checks.map(({ name, verdict: one, reason }) => (
          <li key={name} class={marks[one]?.[0]}>
            <Icon name={marks[one]?.[1] ?? "info"} />
            <strong>{name}</strong>
            <span>
              <span class="unseen">{`${t.verify.verdict[one] ?? ""}: `}</span>
              {reason}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

export function Verify() {
  const text = useSignal("");
  const checks = useSignal<Check[] | undefined>(undefined);
  const compact = text.value.trim().replace(/^Bearer\s+/i, "");
  const token = compact ? parse(compact) : undefined;
  const known = issuers.complete.value || issuers.failure.value !== undefined;
  useEffect(() => {
    checks.value = undefined;
    if (!token || !known) return undefined;
    let over = false;
    const now = Date.now();
    void gather(token, now).then((evidence) => {
      if (!over) checks.value = examine(evidence);
    });
    return () => {
      over = true;
    };
  }, [compact, known]);
  const crumbs: Crumb[] = [{ text: t.nav.tools }, { text: t.nav.verify }];
  return (
    <Page title={t.verify.title} crumbs={crumbs}>
      <div class="verify">
        <div class="column">
          <section class="card fields" aria-label={t.verify.token}>
            <Field label={t.verify.token} hint={t.verify.privacy}>
              {(control) => <textarea {...control} class="mono" rows={5} autocomplete="off" autocapitalize="off" spellcheck={false} placeholder={t.verify.hint} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />}
            </Field>
            {text.value && (
              <div>
                <Button onClick={() => (text.value = "")}>
                  {t.verify.clear}
                </Button>
              </div>
            )}
          </section>
          <Card title={t.verify.checks} id="checks">
            <div role="status">{!token ? <p class="inside quiet">{t.verify.waiting}</p> : checks.value ? <Checks checks={checks.value} token={token} /> : <p class="inside quiet">{t.verify.looking}</p>}</div>
          </Card>
        </div>
        <aside class="beside" aria-label={t.verify.claims}>
          {token?.header && (
            <Card title={t.verify.header} id="header">
              <div class="inside">
                <Values tree={token.header} />
              </div>
            </Card>
          )}
          {token?.payload !== null && typeof token?.payload === "object" && (
            <Card title={t.verify.claims} id="claims">
              <div class="inside">
                <Values tree={token.payload} />
              </div>
            </Card>
          )}
          <Card title={t.onTheCommandLine} id="line">
            <div class="inside">
              <Code text={t.verify.command} what={t.command} wrap />
              <p class="hint">{t.verify.commandHint}</p>
            </div>
          </Card>
        </aside>
      </div>
    </Page>
  );
}
