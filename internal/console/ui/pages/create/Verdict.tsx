// What the API server and the policy say of the form, and what would come next.
import { Icon, type IconName } from "../../parts/Icon";
import { FailureBanner } from "../../parts/Box";
import { Time } from "../../parts/Time";
import type { ComponentChildren } from "preact";
import { t } from "../../text";
import type { Form } from "./form";

function Point({ tone, icon, children }: { tone: string; icon?: IconName; children: ComponentChildren }) {
  return (
    <li class={tone}>
      <Icon name={icon ?? (tone as IconName)} />
      <div>{children}</div>
    </li>
  );
}

function Policy({ form }: { form: Form }) {
  const policy = form.previewed.value?.policy;
  if (!policy) return null;
  if (policy.granted) return <Point tone="good">{t.create.granted(policy.noPolicy ? 0 : (policy.rule ?? 0), policy.issuer)}</Point>;
  return (
    <Point tone="bad">
      {t.create.closest(policy.rule ?? 0, policy.issuer)}
      <ul class="points">
        {policy.missing?.map((what) => <li key={what}>{what}</li>)}
      </ul>
      <small>{t.create.deniedLater}</small>
    </Point>
  );
}

export function Verdict({ form }: { form: Form }) {
  const said = form.previewed.value;
  const n = form.causes.value.length;
  const failure = form.refused.value ?? said?.denied;
  return (
    <>
      <div role="status" aria-busy={form.checking.value}>
      <ul class="verdict">
        {form.others().map(({ field, message }) => (
          <Point key={message} tone="bad">
            {field && <code>{field}</code>} {message}
          </Point>
        ))}
        {n > 0 ? <Point tone="bad">{t.create.refused(n)}</Point> : !said ? <Point tone="off" icon="info">{form.checking.value ? t.create.checking : t.create.idle}</Point> : !said.denied && <Point tone="good">{t.create.accepted}</Point>}
        <Policy form={form} />
        {n === 0 && (said?.firstRenewal || said?.end) && (
          <Point tone="off" icon="wait">
            {said.firstRenewal && (
              <>
                {t.create.firstRenewal} <Time at={said.firstRenewal} stop />
              </>
            )}
            {said.firstRenewal && said.end && " · "}
            {said.end && (
              <>
                {t.create.end} <Time at={said.end} stop />
              </>
            )}
          </Point>
        )}
      </ul>
      </div>
      {failure && (
        <div data-error tabIndex={-1}>
          <FailureBanner failure={failure} />
        </div>
      )}
    </>
  );
}
