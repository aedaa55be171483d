// Beside the form: its manifest, and the commands that do the same.
import type { Signal } from "@preact/signals";
import { commands, quote } from "../../app/commands";
import { Button } from "../../parts/Button";
import { Card, Code } from "../../parts/Box";
import { Copy } from "../../parts/Copy";
import { t } from "../../text";
import { createCommand } from "./command";
import { Check } from "./controls";
import { mergePatch, specOf } from "./draft";
import type { Form } from "./form";
import { yaml } from "./yaml";

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  URL.revokeObjectURL(url);
}

/** What an edit changes; undefined for nothing. */
export function patchOf(form: Form): { [name: string]: unknown } | undefined {
  return form.editing && mergePatch(specOf(form.editing.before, form.kept), form.spec());
}

export function Aside({ form, git }: { form: Form; git: Signal<boolean> }) {
  const text = yaml(form.manifest());
  const { name, ns } = form.draft.value;
  const file = `${name || "refreshkey"}.yaml`;
  const patch = patchOf(form);
  const plugin = form.editing ? undefined : createCommand(form.draft.value);
  return (
    <aside class="beside">
      <Card
        title={t.create.manifest}
        id="manifest"
        aside={
          <span class="buttons">
            <Copy text={text} what={t.create.copy} words />
            <Button onClick={() => download(file, text)}>
              {t.create.download}
            </Button>
          </span>
        }
      >
        <pre class="yaml" tabIndex={0} role="region" aria-label={file}>
          <code>{text}</code>
        </pre>
        <Check text={t.create.git} hint={t.create.gitHint} checked={git.value} onChecked={(on) => (git.value = on)} />
      </Card>
      <Card title={t.onTheCommandLine} id="line">
        <div class="inside">
          {patch && <Code wrap what={t.create.changes} text={`kubectl patch jrk ${name} -n ${ns} --type merge -p ${quote(JSON.stringify({ spec: patch }))}`} />}
          {form.editing && <Code wrap what={t.command} text={commands.yaml(ns, name)} />}
          {!form.editing && (
            <>
              <h3>{t.create.apply}</h3>
              <Code wrap what={t.create.apply} text={`kubectl apply -f ${quote(file)}`} />
              <h3>{t.create.plugin}</h3>
              {plugin ? <Code wrap what={t.create.plugin} text={`${plugin} --wait`} /> : <p class="quiet">{t.create.noFlags}</p>}
            </>
          )}
        </div>
      </Card>
    </aside>
  );
}
