// The detail of the key that is open. It is read again when the stream brings a change of its row.
import { computed, effect, signal, untracked, type ReadonlySignal } from "@preact/signals";
import { api, failureOf, keyPath } from "../../app/api";
import { created } from "../../app/created";
import { findKey, keys } from "../../app/store";
import type * as wire from "../../app/wire";

export interface Opened {
  detail: ReadonlySignal<wire.KeyDetail | undefined>;
  failure: ReadonlySignal<wire.Failure | undefined>;
  /** When the key was deleted while it was open. */
  deleted: ReadonlySignal<number | undefined>;
  /** The row, newer than the one of the detail. */
  row: ReadonlySignal<wire.KeyRow | undefined>;
  reload: () => void;
  close: () => void;
}

export function openKey(ns: string, name: string): Opened {
  const detail = signal<wire.KeyDetail | undefined>(undefined);
  const failure = signal<wire.Failure | undefined>(undefined);
  const deleted = signal<number | undefined>(undefined);
  const stop = new AbortController();
  let due: ReturnType<typeof setTimeout> | undefined;

  const live = computed(() => {
    void keys.version.value;
    return findKey(ns, name);
  });
  const row = computed(() => live.value ?? detail.value?.row);

  const load = (automatic?: boolean) => {
    api.get<wire.KeyDetail>(keyPath(ns, name), { stop: stop.signal, automatic }).then(
      (got) => {
        detail.value = got;
        failure.value = undefined;
        deleted.value = undefined;
      },
      (error: unknown) => {
        if (stop.signal.aborted) return;
        const refused = failureOf(error);
        if (refused.code === 404 && detail.peek()) deleted.value ??= Date.now();
        else failure.value = refused;
      },
    );
  };

  const ends = [
    effect(() => {
      const now = live.value;
      const complete = keys.complete.value;
      untracked(() => {
        const had = detail.peek();
        if (!had) return;
        clearTimeout(due);
        if (!now && complete && deleted.peek() === undefined) due = setTimeout(load, 200, true);
        else if (now && JSON.stringify(now) !== JSON.stringify(had.row)) due = setTimeout(load, 300, true);
      });
    }),
    effect(() => {
      const at = row.value;
      const made = created.peek();
      if (made?.ns !== ns || made.name !== name || made.took !== undefined) return;
      if (at?.tone === "good") created.value = { ...made, took: Date.now() - made.at };
      // A key that is stalled says why itself.
      else if (at?.tone === "bad") created.value = undefined;
    }),
  ];
  load();
  return {
    detail,
    failure,
    deleted,
    row,
    reload: () => load(),
    close: () => {
      stop.abort();
      clearTimeout(due);
      for (const end of ends) end();
      if (created.peek()?.name === name) created.value = undefined;
    },
  };
}
