// The table of keys; on a narrow screen each row is a card.
import { useRef } from "preact/hooks";
import { keys } from "../../app/store";
import { setQuery } from "../../app/router";
import { Icon } from "../../parts/Icon";
import { Menu } from "../../parts/Menu";
import { t } from "../../text";
import { rowItems } from "./actions";
import { cells } from "./cells";
import { columns, page, query, selection } from "./state";
import type { ColumnID } from "./view";

function toggle(uids: readonly string[], on: boolean): void {
  const next = new Set(selection.peek());
  for (const uid of uids) {
    if (on) next.add(uid);
    else next.delete(uid);
  }
  selection.value = next;
}

function Header({ id }: { id: ColumnID }) {
  const { sort, down } = query.value;
  const on = sort === id;
  const name = t.keys.column[id];
  const next = on && !down ? `${id}:desc` : id;
  return (
    <th scope="col" class={id} aria-sort={on ? (down ? "descending" : "ascending") : undefined}>
      <button type="button" class="sort" onClick={() => setQuery({ sort: next, page: undefined })}>
        {name}
        {on && <Icon name={down ? "down" : "up"} />}
      </button>
    </th>
  );
}

function Row({ uid }: { uid: string }) {
  const live = keys.byUID.get(uid);
  const last = useRef(live);
  if (live) last.current = live;
  const at = last.current;
  if (!at) return null;
  // A row that is gone keeps its place until the order may change.
  void keys.version.value;
  const gone = !keys.byUID.has(uid);
  const { row, changes } = at.value;
  const on = selection.value.has(uid);
  const flash = changes > 0 ? (changes % 2 ? " flash-a" : " flash-b") : "";
  return (
    <tr class={(gone ? "gone" : "") + (on ? " on" : "") + flash} data-name={`${row.ns}/${row.name}`}>
      <td class="select">
        <label class="pick">
          <input type="checkbox" aria-label={t.keys.select(`${row.ns}/${row.name}`)} checked={on} disabled={gone} onChange={(event) => toggle([uid], event.currentTarget.checked)} />
        </label>
      </td>
      {columns.value.map((id) => (
        <td key={id} class={id} data-label={t.keys.column[id]}>
          {gone && id === "status" ? <span class="quiet">{t.keys.gone}</span> : cells[id](row)}
        </td>
      ))}
      <td class="actions">{!gone && <Menu class="ghost icon-only" label={t.keys.rowMenu(row.name)} face={<Icon name="more" />} items={() => rowItems(at.peek().row)} />}</td>
    </tr>
  );
}

const stops = "a[data-row],time,[data-tip],button,input,a";

/** The arrow keys move between the rows, and inside a row. */
export function onKeyDown(event: KeyboardEvent): void {
  const from = event.target as HTMLElement;
  const row = from.closest("tbody tr");
  if (!row || from.closest(".pop")) return;
  const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (down !== undefined) {
    const rows = [...(row.parentElement?.children ?? [])];
    const to = rows[rows.indexOf(row) + down];
    const kind = from.tagName === "INPUT" ? "input" : "a[data-row]";
    (to?.querySelector<HTMLElement>(kind) ?? to?.querySelector<HTMLElement>(stops))?.focus();
  } else if (along !== undefined) {
    const all = [...row.querySelectorAll<HTMLElement>(stops)].filter((stop) => !stop.closest(".pop"));
    const to = all[all.indexOf(from) + along];
    if (to && to.tabIndex < 0) to.tabIndex = -1;
    to?.focus();
  } else return;
  event.preventDefault();
}

export function KeysTable() {
  const { uids } = page.value;
  const all = uids.length > 0 && uids.every((uid) => selection.value.has(uid));
  const some = uids.some((uid) => selection.value.has(uid));
  return (
    <div class="scroll">
    <table class="table keys-table">
      <thead>
        <tr>
          <th scope="col" class="select">
            <label class="pick">
            <input
              type="checkbox"
              aria-label={t.keys.selectAll}
              checked={all}
              ref={(box: HTMLInputElement | null) => {
                if (box) box.indeterminate = some && !all;
              }}
              onChange={(event) => toggle(uids, event.currentTarget.checked)}
            />
            </label>
          </th>
          {columns.value.map((id) => (
            <Header key={id} id={id} />
          ))}
          <th scope="col" class="actions">
            <span class="unseen">{t.keys.column.actions}</span>
          </th>
        </tr>
      </thead>
      <tbody onKeyDown={onKeyDown}>
        {uids.map((uid) => (
          <Row key={uid} uid={uid} />
        ))}
      </tbody>
    </table>
    </div>
  );
}
