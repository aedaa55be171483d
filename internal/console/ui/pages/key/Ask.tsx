// Revoke, Rotate now and Delete: what happens, and the name to type where that matters.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { api, keyPath } from "../../app/api";
import { commands } from "../../app/commands";
import { now } from "../../app/clock";
import { keys } from "../../app/store";
import { ago, span } from "../../app/time";
import type * as wire from "../../app/wire";
import { Banner } from "../../parts/Box";
import { Confirm } from "../../parts/Confirm";
import { TextField } from "../../parts/Field";
import { toast } from "../../parts/Toast";
import { t } from "../../text";
import { change } from "../keys/actions";
import { deviceText } from "../keys/cells";
import { lastUse } from "../keys/view";

type What = "revoke" | "rotateNow" | "delete";

async function perform(what: What, row: wire.KeyRow, note: string): Promise<void> {
  if (what !== "delete") return change(row, what, note ? { note } : {});
  await api.delete(keyPath(row.ns, row.name), { uid: row.uid } satisfies wire.Precondition);
  keys.del([row.uid]);
}

export function Ask({ what, row, onClose }: { what: What; row: wire.KeyRow; onClose: () => void }) {
  const note = useSignal("");
  const detail = useSignal<wire.KeyDetail | undefined>(undefined);
  const { ns, name, gitops } = row;
  useEffect(() => {
    const stop = new AbortController();
    api.get<wire.KeyDetail>(keyPath(ns, name), { stop: stop.signal }).then(
      (got) => (detail.value = got),
      () => undefined,
    );
    return () => stop.abort();
  }, []);
  const texts = t.key.ask;
  const { secretName, accessTokenSeconds, object } = detail.value ?? {};
  const kept = (object as { spec?: { secret?: { deletionPolicy?: string } } } | undefined)?.spec?.secret?.deletionPolicy === "Retain";
  const used = lastUse(row);
  const why = note.value.trim();
  const command = commands[what](ns, name);
  return (
    <Confirm
      title={texts.title[what](name)}
      act={texts.act[what]}
      typed={what !== "rotateNow" || used ? name : undefined}
      more={what === "revoke" && <TextField label={texts.note} optional={t.optional} hint={texts.noteHint} value={note.value} onValue={(value) => (note.value = value)} input={{ maxLength: 500, spellcheck: true }} />}
      command={why ? `${commands.note(ns, name, why)}\n${command}` : command}
      run={async () => {
        await perform(what, row, why);
        toast(texts.done[what](name));
      }}
      onClose={onClose}
    >
      <p>{texts.text[what]}</p>
      <ul class="points">
        <li>{used ? texts.used(ago(Date.parse(used), now.value), deviceText(row.device)) : texts.neverUsed}</li>
        {accessTokenSeconds ? <li>{texts.access(span(accessTokenSeconds))}</li> : null}
        {secretName && what !== "rotateNow" && <li>{texts.secret[what === "revoke" ? "emptied" : kept ? "kept" : "deleted"](secretName)}</li>}
        {what === "revoke" && <li>{row.session ? texts.final : texts.restorable}</li>}
      </ul>
      {gitops && <Banner tone="wait">{texts.gitops[what](gitops)}</Banner>}
    </Confirm>
  );
}
