// The bar for the selected keys, and the dialog that acts on them: five at a time, with progress, a stop, and what failed.
import { useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { failureOf } from "../../app/api";
import { forEach } from "../../app/commands";
import { now } from "../../app/clock";
import { each } from "../../app/pool";
import { and } from "../../app/time";
import type { KeyRow } from "../../app/wire";
import { Code } from "../../parts/Box";
import { Button } from "../../parts/Button";
import { TypedField } from "../../parts/Confirm";
import { Dialog } from "../../parts/Dialog";
import { Icon } from "../../parts/Icon";
import { act } from "../../parts/Toast";
import { t } from "../../text";
import { change, copyNames, copyYAML, isOver, mayChangeEach, noRotation } from "./actions";
import { asking } from "./asking";
import { page, selected, selection, shown } from "./state";
import { dayMS, lastUse } from "./view";

export function BulkBar() {
  const n = selection.value.size;
  if (n === 0) return null;
  const rows = selected();
  const reasons = mayChangeEach(rows);
  // The dialog leaves out those that the person may not change.
  const why = reasons.every((reason) => reason !== undefined) ? reasons[0] : undefined;
  const of = shown.value.uids.length;
  return (
    <div class="bulk" role="region" aria-label={t.keys.bulk.bar}>
      <button type="button" class="ghost icon-only" aria-label={t.keys.unselect} onClick={() => (selection.value = new Set())}>
        <Icon name="close" />
      </button>
      <strong role="status">{t.keys.selected(n)}</strong>
      {n < of && n >= page.value.uids.length && (
        <button type="button" class="link" onClick={() => (selection.value = new Set(shown.value.uids))}>
          {t.keys.selectMatching(of)}
        </button>
      )}
      <span class="gap" />
      <Button onClick={() => copyNames(rows)}>
        {t.keys.copyName}
      </Button>
      <Button onClick={() => act(() => copyYAML(rows), t.keys.copiedYAML(n))}>
        {t.keys.copyYAML}
      </Button>
      <Button why={why} onClick={() => (asking.value = { what: "bulkRotate", rows })}>
        {t.keys.bulk.rotate}
      </Button>
      <Button class="button small danger" why={why} onClick={() => (asking.value = { what: "bulkRevoke", rows })}>
        {t.keys.bulk.revoke}
      </Button>
    </div>
  );
}

/** Which namespaces, with their numbers. */
function places(rows: readonly KeyRow[]): [string, number][] {
  const found = new Map<string, number>();
  for (const { ns } of rows) found.set(ns, (found.get(ns) ?? 0) + 1);
  return [...found].sort((a, b) => b[1] - a[1]);
}

type What = "revoke" | "rotate";

/** The keys to act on, and how many are left out for each reason. A key that has ended gets a new token only one by one. */
function sorted(what: What, rows: readonly KeyRow[]): { todo: KeyRow[]; denied: number; unfit: number; ended: number } {
  const found = { todo: [] as KeyRow[], denied: 0, unfit: 0, ended: 0 };
  const denied = mayChangeEach(rows);
  for (const [i, row] of rows.entries()) {
    if (denied[i] !== undefined) found.denied++;
    else if (what === "rotate" ? noRotation(row) : row.revoked || isOver(row)) found.unfit++;
    else if (isOver(row)) found.ended++;
    else found.todo.push(row);
  }
  return found;
}

export function BulkDialog({ what, rows, onClose }: { what: What; rows: KeyRow[]; onClose: () => void }) {
  const { todo, denied, unfit, ended } = useRef(sorted(what, rows)).current;
  const typed = useSignal("");
  const state = useSignal<"asking" | "running" | "over">("asking");
  const done = useSignal(0);
  const of = useSignal(todo.length);
  const failed = useSignal<{ row: KeyRow; message: string }[]>([]);
  // What failed, and what was not begun when the person stopped.
  const left = useSignal<KeyRow[]>([]);
  const stopped = useSignal(false);
  const texts = t.keys.bulk;
  const used = todo.filter((row) => Date.parse(lastUse(row) ?? "") > now.value - dayMS).length;
  const sure = what === "rotate" || typed.value.trim() === texts.word(todo.length);

  const run = async (list: readonly KeyRow[]) => {
    state.value = "running";
    stopped.value = false;
    done.value = 0;
    of.value = list.length;
    failed.value = [];
    const rest = new Set(list);
    const one = async (row: KeyRow) => {
      try {
        await change(row, what);
        rest.delete(row);
      } catch (error) {
        failed.value = [...failed.value, { row, message: failureOf(error).message }];
      }
      done.value++;
    };
    await each(list, one, () => stopped.peek());
    state.value = "over";
    left.value = [...rest];
    const uids = new Set(left.value.map(({ uid }) => uid));
    selection.value = new Set([...selection.value].filter((uid) => uids.has(uid)));
  };

  const good = done.value - failed.value.length;
  const halted = done.value < of.value;
  return (
    <Dialog
      title={what === "revoke" ? texts.titleRevoke(todo.length) : texts.titleRotate(todo.length)}
      onClose={() => {
        // While it runs, Escape stops it: what failed is not lost.
        if (state.value === "running") stopped.value = true;
        else onClose();
      }}
      onSubmit={() => {
        if (state.value === "asking" && sure && todo.length > 0) void run(todo);
      }}
      actions={
        state.value === "asking" ? (
          <>
            <Button class="button" onClick={onClose}>
              {t.cancel}
            </Button>
            <button type="submit" class={what === "revoke" ? "button primary danger" : "button primary"} disabled={!sure || todo.length === 0}>
              {texts.run[what]}
            </button>
          </>
        ) : state.value === "running" ? (
          <Button class="button" onClick={() => (stopped.value = true)}>
            {texts.stop}
          </Button>
        ) : (
          <>
            {left.value.length > 0 && (
              <Button class="button" onClick={() => void run(left.value)}>
                {halted ? texts.goOn : texts.retry}
              </Button>
            )}
            <Button class="button primary" onClick={onClose}>
              {texts.close}
            </Button>
          </>
        )
      }
    >
      {state.value === "asking" ? (
        <>
          <p>{what === "revoke" ? texts.revokeText : texts.rotateText}</p>
          <ul class="points">
            <li>{texts.where(todo.length, and(places(todo).map(([ns, n], _, all) => (all.length > 1 ? `${ns} (${n})` : ns))))}</li>
            <li>{used > 0 ? texts.used(used) : texts.usedNone}</li>
            {unfit > 0 && <li>{texts.unfit[what](unfit)}</li>}
            {ended > 0 && <li>{texts.ended(ended)}</li>}
            {denied > 0 && <li>{texts.denied(denied)}</li>}
          </ul>
          {what === "revoke" && todo.length > 0 && <TypedField text={texts.word(todo.length)} value={typed.value} onValue={(value) => (typed.value = value)} />}
          <details>
            <summary>{t.onTheCommandLine}</summary>
            <Code text={forEach(what, todo)} what={t.command} />
          </details>
        </>
      ) : (
        <>
          <progress max={of.value} value={done.value} aria-label={texts.progress(done.value, of.value)} />
          <p role="status">{state.value === "running" ? texts.progress(done.value, of.value) : texts.done[what](good)}</p>
          {state.value === "over" && halted && <p>{texts.stopped}</p>}
          {failed.value.length > 0 && (
            <>
              <h3>{texts.failed(failed.value.length)}</h3>
              <ul class="failures">
                {failed.value.map(({ row, message }) => (
                  <li key={row.uid}>
                    <strong>
                      {row.ns}/{row.name}
                    </strong>
                    {message}
                  </li>
                ))}
              </ul>
            </>
          )}
        </>
      )}
    </Dialog>
  );
}
