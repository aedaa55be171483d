// The policy of an issuer as a table, and whether it would grant a request.
import { useSignal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { api, failureOf, issuerPath } from "../../app/api";
import { namespace, namespaces } from "../../app/scope";
import { span } from "../../app/time";
import { Banner, Card, FailureBanner } from "../../parts/Box";
import { submits, TextField } from "../../parts/Field";
import { t } from "../../text";
import { seconds } from "../create/spans";

function List({ items, none }: { items: string[] | undefined; none: string }) {
  if (!items?.length) return <span class="quiet">{none}</span>;
  return (
    <>
      {items.map((item) => (
        <code key={item} class="glob">
          {item}
        </code>
      ))}
    </>
  );
}

function Rules({ rules, hit }: { rules: wire.Rule[]; hit: number }) {
  const r = t.issuers.rule;
  const { any, all, noScope, onlyDefault } = t.issuers;
  return (
    <div class="table-card">
      <table class="table rules">
      <thead>
        <tr>
          {Object.values(r).map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rules.map((rule) => (
          <tr key={rule.number} class={rule.number === hit ? "on" : undefined}>
            <td data-label={r.number}>{rule.number}</td>
            <td data-label={r.namespaces}>{rule.namespaces === "all" ? <span class="quiet">{all}</span> : <List items={rule.namespaces.split(/,(?![^(]*\))/)} none="" />}</td>
            <td data-label={r.audiences}>
              <List items={rule.audiences} none={any} />
            </td>
            <td data-label={r.scopes}>
              <List items={rule.scopes} none={noScope} />
            </td>
            <td data-label={r.claims}>
              <List items={rule.claims} none={noScope} />
            </td>
            <td data-label={r.subjects}>
              <List items={rule.subjects} none={onlyDefault} />
            </td>
            <td data-label={r.lifetime}>{span(rule.maxLifetimeSeconds)}</td>
          </tr>
        ))}
      </tbody>
    </table>
    </div>
  );
}

function Answer({ answer }: { answer: wire.PolicyAnswer }) {
  return (
    <Banner tone={answer.granted ? "good" : "bad"}>
      {answer.granted ? t.create.granted(answer.rule ?? 0, answer.issuer) : t.create.closest(answer.rule ?? 0, answer.issuer)}{" "}
      {answer.granted && answer.longestSeconds ? t.issuers.longest(span(answer.longestSeconds)) : null}
      {answer.missing && (
        <ul class="points">
          {answer.missing.map((what) => (
            <li key={what}>{what}</li>
          ))}
        </ul>
      )}
    </Banner>
  );
}

function Trial({ name, onAnswer }: { name: string; onAnswer: (answer: wire.PolicyAnswer | undefined) => void }) {
  const asked = useSignal({ ns: namespace.peek() || "default", audience: "", lifetime: "30d", scopes: "" });
  const answer = useSignal<wire.PolicyAnswer | undefined>(undefined);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  const faults = useSignal<{ audience?: string; lifetime?: string }>({});
  const set = (change: Partial<typeof asked.value>) => {
    asked.value = { ...asked.value, ...change };
  };
  const ask = async () => {
    const { ns, audience, lifetime, scopes } = asked.value;
    const lifetimeSeconds = seconds(lifetime);
    faults.value = { ...(audience.trim() ? {} : { audience: t.create.needAudience }), ...(lifetimeSeconds === undefined ? { lifetime: t.create.noSpan } : {}) };
    if (!audience.trim() || lifetimeSeconds === undefined) return;
    try {
      answer.value = await api.post<wire.PolicyAnswer>(`${issuerPath(name)}/trial`, { namespace: ns.trim(), audience: audience.trim(), lifetimeSeconds, scopes: scopes.split(/[\s,]+/).filter(Boolean) } satisfies wire.Trial);
      failure.value = undefined;
    } catch (error) {
      answer.value = undefined;
      failure.value = failureOf(error);
    }
    onAnswer(answer.value);
  };
  const { ns, audience, lifetime, scopes } = asked.value;
  return (
    <form
      class="fields"
      noValidate
      onSubmit={submits(() => void ask())}
    >
      <div class="pair">
        <TextField label={t.create.namespace} value={ns} onValue={(value) => set({ ns: value })} input={{ list: "trial-namespaces" }} />
        <TextField label={t.create.lifetime} error={faults.value.lifetime} value={lifetime} onValue={(value) => set({ lifetime: value })} />
        <TextField label={t.create.audience} error={faults.value.audience} value={audience} onValue={(value) => set({ audience: value })} input={{ placeholder: t.create.audienceExample }} />
        <TextField label={t.issuers.trialScopes} value={scopes} onValue={(value) => set({ scopes: value })} input={{ class: "mono" }} />
      </div>
      <datalist id="trial-namespaces">
        {namespaces.value?.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
      <div>
        <button type="submit" class="button">
          {t.issuers.ask}
        </button>
      </div>
      <div role="status" class="answer">
        {answer.value && <Answer answer={answer.value} />}
        {failure.value && <FailureBanner failure={failure.value} />}
      </div>
    </form>
  );
}

export function Policy({ detail }: { detail: wire.IssuerDetail }) {
  const hit = useSignal(0);
  return (
    <>
      <Card title={t.issuers.policy} id="policy">
        {detail.rules?.length ? <Rules rules={detail.rules} hit={hit.value} /> : <p class="inside quiet">{detail.hasPolicy ? t.issuers.noRules : t.issuers.noPolicy}</p>}
      </Card>
      <Card title={t.issuers.trial} id="trial">
        <Trial name={detail.row.name} onAnswer={(answer) => (hit.value = answer?.rule ?? 0)} />
      </Card>
    </>
  );
}
