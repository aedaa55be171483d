// The form, for a new key and for one that is there.
import { useEffect, useRef } from "preact/hooks";
import { useComputed, useSignal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { api, failureOf, keyPath } from "../../app/api";
import { created } from "../../app/created";
import { interrupted, mark } from "../../app/me";
import { askBeforeLeaving, go, link, setQuery } from "../../app/router";
import { keys } from "../../app/store";
import { toast } from "../../parts/Toast";
import { Banner } from "../../parts/Box";
import { submits } from "../../parts/Field";
import { t } from "../../text";
import { Advanced } from "./Advanced";
import { Aside, patchOf } from "./Aside";
import { Basics } from "./Basics";
import type { Draft } from "./draft";
import { focusError, useForm, type Editing, type Form } from "./form";
import { Verdict } from "./Verdict";

export interface EditorProps {
  initial: Draft;
  /** What the form has no field for. */
  kept?: { [name: string]: unknown };
  editing?: Editing;
  /** The key that the form is filled in from. */
  like?: string | undefined;
}

async function send(form: Form): Promise<wire.KeyRow | undefined> {
  const { ns, name } = form.draft.peek();
  if (form.editing) {
    const spec = patchOf(form);
    if (!spec) return form.editing.row;
    return (await api.patch<wire.Changed>(keyPath(ns, name), { uid: form.editing.uid, action: "edit", spec } satisfies wire.Change)).key;
  }
  const manifest = { ...form.manifest(), metadata: { name: name.trim() } };
  return (await api.post<wire.Changed>(keyPath(ns), { manifest } satisfies wire.Preview)).key;
}

/** A lifetime that the person did not choose follows the policy down. */
function useAllowedLifetime(form: Form, chosen: boolean): void {
  const longest = form.previewed.value?.policy?.longestSeconds ?? 0;
  const { life } = form.draft.value;
  useEffect(() => {
    if (chosen || longest === 0 || life !== "720" || longest >= 720 * 3600) return;
    const fits = [168, 24].find((n) => n * 3600 <= longest);
    if (fits) form.set({ life: String(fits) });
  }, [longest]);
}

export function Editor({ initial, kept = {}, editing, like }: EditorProps) {
  const box = useRef<HTMLFormElement>(null);
  const form = useForm(initial, kept, editing);
  const named = useRef({ own: editing !== undefined || initial.name !== "" }).current;
  const git = useSignal(false);
  const busy = useSignal(false);
  const start = useRef(JSON.stringify(initial)).current;
  // A name that is only proposed is nothing that is lost.
  const dirty = useComputed(() => JSON.stringify(named.own ? form.draft.value : { ...form.draft.value, name: "" }) !== start);
  useAllowedLifetime(form, editing !== undefined || like !== undefined || initial.life !== "720");

  useEffect(() => {
    askBeforeLeaving(() => (dirty.peek() && !busy.peek() && !interrupted.peek() ? t.create.leave : undefined));
    if (!editing) box.current?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => askBeforeLeaving(undefined);
  }, []);
  // A sign-in at the provider leaves this page: the URL brings the form back.
  useEffect(() => {
    if (interrupted.value !== "ended" || !dirty.peek()) return;
    const entered = Object.entries(form.draft.peek()).filter(([id, value]) => JSON.stringify(value) !== JSON.stringify(initial[id as keyof Draft]));
    setQuery({ form: JSON.stringify({ of: mark(), ...Object.fromEntries(entered) }) });
  }, [interrupted.value]);

  const save = async () => {
    if (busy.value) return;
    // While a check is under way, the causes are those of what was there before.
    if (!form.complete() || (!form.checking.value && form.causes.value.length > 0)) {
      focusError(box.current);
      return;
    }
    if (editing && !patchOf(form)) {
      toast(t.create.unchanged);
      return;
    }
    busy.value = true;
    const began = Date.now();
    try {
      const row = await send(form);
      const { ns, name } = form.draft.peek();
      if (row) keys.put([row]);
      if (editing) toast(t.create.saved(name));
      else created.value = { ns, name, at: began };
      askBeforeLeaving(undefined);
      go(link(`keys/${ns}/${name}`));
    } catch (error) {
      const failure = failureOf(error);
      if (failure.causes?.length) form.causes.value = failure.causes;
      else if (failure.reason === "AlreadyExists") form.causes.value = [{ field: "metadata.name", message: t.create.taken(form.draft.peek().ns) }];
      else if (failure.code !== 401) form.refused.value = failure;
      focusError(box.current);
    }
    busy.value = false;
  };

  return (
    <form
      ref={box}
      class="editor"
      noValidate
      onSubmit={submits(() => {
        if (!git.value) void save();
      })}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !git.value) void save();
      }}
    >
      <div class="card">
        <div class="fields">
          {like && <Banner tone="info">{t.create.like(like)}</Banner>}
          {editing?.row.gitops && <Banner tone="wait">{t.create.gitops(editing.row.gitops)}</Banner>}
          <Basics form={form} named={named} />
        </div>
        <Advanced form={form} />
        <div class="fields">
          <Verdict form={form} />
        </div>
        <footer class="end">
          <a class="button" href={editing ? link(`keys/${editing.row.ns}/${editing.row.name}`) : link("keys")}>
            {t.cancel}
          </a>
          {!git.value && (
            <button type="submit" class="button primary" aria-busy={busy.value}>
              {busy.value ? t.create.saving : t.create.save}
            </button>
          )}
        </footer>
      </div>
      <Aside form={form} git={git} />
    </form>
  );
}
