// The fields beyond audience and lifetime.
import { issuers } from "../../app/store";
import { TextField } from "../../parts/Field";
import { t } from "../../text";
import { Check, Choice, Line, RowsField, Section, Tokens } from "./controls";
import { claimTypes } from "./draft";
import type { Form } from "./form";

function Issuer({ form }: { form: Form }) {
  void issuers.version.value;
  const known = issuers.all().map(({ name }) => name);
  const [label = "", hint, example] = t.create.fields["issuer"] ?? [];
  return (
    <>
      <TextField label={label} hint={hint} error={form.error("spec.issuerRef")} value={form.draft.value.issuer} onValue={(issuer) => form.set({ issuer })} input={{ placeholder: example, list: "known-issuers" }} />
      <datalist id="known-issuers">
        {known.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </>
  );
}

export function Advanced({ form }: { form: Form }) {
  const d = form.draft.value;
  const { sections, count } = t.create;
  return (
    <section class="advanced" aria-labelledby="advanced">
      <h2 id="advanced">{t.create.advanced}</h2>
      <Section title={sections.token} set={[d.issuer, d.subject, d.scopes.length > 0 && count.scopes(d.scopes.length), d.claims.length > 0 && count.claims(d.claims.length), d.access]}>
        <div class="pair">
          <Issuer form={form} />
          <Line form={form} id="access" />
        </div>
        <Line form={form} id="subject" />
        <Tokens label={t.create.scopes} hint={t.create.scopesHint} error={form.error("spec.scopes")} words={d.scopes} onWords={(scopes) => form.set({ scopes })} suggestions={form.previewed.value?.scopes ?? []} />
        <RowsField
          label={t.create.claims}
          hint={t.create.claimsHint}
          error={form.error("spec.claims")}
          rows={d.claims}
          onRows={(claims) => form.set({ claims })}
          fresh={{ name: "", type: "text", value: "" }}
          columns={[
            { id: "name", label: t.create.claimName },
            { id: "type", label: t.create.claimType, options: claimTypes.map((type) => [type, t.create.claimTypes[type] ?? type]) },
            { id: "value", label: t.create.value },
          ]}
        />
      </Section>
      <Section title={sections.rotation} set={[d.mode !== "Scheduled" && d.mode, d.mode === "Scheduled" && d.renewBefore, d.mode === "Scheduled" && d.quiet, d.mode === "Scheduled" && d.max, d.mode === "OneTimeUse" && d.retryGrace, d.idle]}>
        <Choice cards legend={t.create.mode} options={Object.entries(t.create.modes).map(([value, [text, hint]]) => ({ value, text, hint }))} value={d.mode} onValue={(mode) => form.set({ mode })} error={form.error("spec.rotation.mode")} />
        {d.mode === "Scheduled" && (
          <>
            <Line form={form} id="renewBefore" />
            <div class="pair">
              <Line form={form} id="quiet" />
              <Line form={form} id="max" />
            </div>
          </>
        )}
        {d.mode === "OneTimeUse" && <Line form={form} id="retryGrace" />}
        <Line form={form} id="idle" />
      </Section>
      <Section title={sections.secret} set={[d.noSecret && t.create.noSecret, !d.noSecret && d.secretName, !d.noSecret && d.accessToken && t.create.accessToken, !d.noSecret && d.labels.length > 0 && count.labels(d.labels.length)]}>
        <Check text={t.create.noSecret} hint={t.create.noSecretHint} checked={d.noSecret} onChecked={(noSecret) => form.set({ noSecret })} />
        {!d.noSecret && (
          <>
            <Line form={form} id="secretName" />
            <Check text={t.create.accessToken} hint={t.create.accessTokenHint} error={form.error("spec.secret.accessToken")} checked={d.accessToken} onChecked={(accessToken) => form.set({ accessToken })} />
            <Check text={t.create.retain} hint={t.create.retainHint} checked={d.retain} onChecked={(retain) => form.set({ retain })} />
            <RowsField
              label={t.create.labels}
              error={form.error("spec.secret.labels")}
              rows={d.labels}
              onRows={(labels) => form.set({ labels })}
              fresh={{ name: "", value: "" }}
              columns={[
                { id: "name", label: t.create.label },
                { id: "value", label: t.create.value },
              ]}
            />
          </>
        )}
      </Section>
      <Section title={sections.holder} set={[d.deviceName || d.deviceID, d.account, d.thumbprint]}>
        <p class="hint">{t.create.deviceText}</p>
        <div class="pair">
          <Line form={form} id="deviceName" />
          <Line form={form} id="deviceID" />
          <Line form={form} id="deviceOS" />
          <Line form={form} id="deviceBrowser" />
        </div>
        <Line form={form} id="account" />
        <Line form={form} id="thumbprint" />
      </Section>
      <Section title={sections.restart} set={[d.workloads.length > 0 && count.workloads(d.workloads.length)]}>
        <RowsField
          label={t.create.workloads}
          hint={t.create.workloadsHint}
          error={form.error("spec.rolloutRestart")}
          rows={d.workloads}
          onRows={(workloads) => form.set({ workloads })}
          fresh={{ kind: "Deployment", name: "" }}
          columns={[
            { id: "kind", label: t.create.kind, options: ["Deployment", "StatefulSet", "DaemonSet"].map((kind) => [kind, kind]) },
            { id: "name", label: t.create.name },
          ]}
        />
      </Section>
    </section>
  );
}
