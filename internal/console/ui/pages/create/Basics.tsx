// The fields that are enough: audience, lifetime, name and namespace.
import { useEffect } from "preact/hooks";
import { keys } from "../../app/store";
import { namespaces } from "../../app/scope";
import { span } from "../../app/time";
import { Field, TextField } from "../../parts/Field";
import { t } from "../../text";
import { Choice } from "./controls";
import { presets, proposeName } from "./draft";
import type { Form } from "./form";
import { seconds, written } from "./spans";

/** The name proposed for an audience, which no key of the namespace has. */
function proposal(audience: string, ns: string): string {
  const rows = keys.all();
  return proposeName(audience, (name) => rows.some((row) => row.ns === ns && row.name === name));
}

function Lifetime({ form }: { form: Form }) {
  const d = form.draft.value;
  const longest = form.previewed.value?.policy?.longestSeconds ?? 0;
  const why = (n: number) => (longest > 0 && n * 3600 > longest ? t.create.tooLong(span(longest)) : undefined);
  const total = seconds(d.custom);
  const error = form.error("spec.lifetime");
  const hint = total !== undefined && /[dwy]/i.test(d.custom) ? t.create.customHint(written(d.custom) ?? "") : t.create.customForms;
  return (
    <>
      <Choice
        legend={t.create.lifetime}
        options={[...presets.map((n) => ({ value: String(n), text: t.create.presets[n] ?? "", why: why(n) })), { value: "custom", text: t.create.custom }, { value: "until", text: t.create.until }]}
        value={d.life}
        onValue={(life) => form.set({ life })}
        hint={t.create.lifetimeHint[d.mode]}
        error={d.life === "custom" || d.life === "until" ? undefined : error}
      />
      {d.life === "custom" && <TextField label={t.create.customLabel} hint={hint} error={error} value={d.custom} onValue={(custom) => form.set({ custom })} input={{ placeholder: "90d" }} />}
      {d.life === "until" && (
        <div class="pair">
          <TextField label={t.create.untilLabel} hint={t.create.untilHint} error={form.error("spec.expiresAt")} value={d.until} onValue={(until) => form.set({ until })} input={{ type: "datetime-local" }} />
          <TextField label={t.create.eachLabel} hint={hint} error={error} value={d.custom} onValue={(custom) => form.set({ custom })} input={{ placeholder: "30d" }} />
        </div>
      )}
    </>
  );
}

function Namespace({ form }: { form: Form }) {
  const { ns } = form.draft.value;
  const known = namespaces.value;
  const error = form.error("metadata.namespace");
  if (!known) return <TextField label={t.create.namespace} error={error} value={ns} onValue={(value) => form.set({ ns: value.trim() })} />;
  return (
    <Field label={t.create.namespace} error={error}>
      {(control) => (
        <select {...control} value={ns} onChange={(event) => form.set({ ns: event.currentTarget.value })}>
          {!known.includes(ns) && <option value={ns}>{ns}</option>}
          {known.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function Basics({ form, named }: { form: Form; named: { own: boolean } }) {
  const d = form.draft.value;
  // Which names are taken is known when the keys are there.
  useEffect(() => {
    if (!named.own && d.audience) form.set({ name: proposal(d.audience, d.ns) });
  }, [d.ns, keys.complete.value]);
  const setAudience = (audience: string) => form.set(form.editing || named.own ? { audience } : { audience, name: proposal(audience, d.ns) });
  return (
    <>
      <TextField label={t.create.audience} hint={t.create.audienceHint} error={form.error("spec.audience")} value={d.audience} onValue={setAudience} input={{ placeholder: t.create.audienceExample, inputMode: "url", "data-first": true } as object} />
      <Lifetime form={form} />
      {!form.editing && (
        <div class="pair">
          <TextField
            label={t.create.name}
            hint={t.create.nameHint}
            error={form.error("metadata.name")}
            value={d.name}
            onValue={(name) => {
              named.own = name !== "";
              form.set({ name });
            }}
          />
          <Namespace form={form} />
        </div>
      )}
    </>
  );
}
