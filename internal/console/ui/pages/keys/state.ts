// The state of the list: the parameters of the URL, the rows that match, and the order that is shown.
import { computed, effect, signal } from "@preact/signals";
import { now } from "../../app/clock";
import { prefs } from "../../app/prefs";
import { current } from "../../app/router";
import { keys } from "../../app/store";
import type { KeyRow } from "../../app/wire";
import { seconds } from "../create/spans";
import { counts, differences, optional, select, statuses, usual, views, type ColumnID, type Days, type Query, type View } from "./view";

/** The days of 7d or 12h. */
function days(text: string | null, usually: number): number {
  return (seconds(text ?? "") || usually * 86_400) / 86_400;
}

const parameters = computed(() => current.value.query.toString());

/** The view that the parameters name: expiring=7d and unused=30d are views, too. */
function viewOf(query: URLSearchParams): View {
  if (query.has("expiring")) return "expiring";
  if (query.has("unused")) return "unused";
  return views.find((view) => view === query.get("view")) ?? "all";
}

export const query = computed<Query & { issuer: string; page: number; days: Days }>(() => {
  const from = new URLSearchParams(parameters.value);
  const view = viewOf(from);
  const [column = "", order] = (from.get("sort") ?? "").split(":");
  const known = ([...usual, ...optional] as string[]).includes(column);
  const usually: ColumnID = view === "expiring" ? "expiresAt" : view === "unused" ? "lastUsed" : "name";
  return {
    q: from.get("q") ?? "",
    issuer: from.get("issuer") ?? "",
    status: from.get("status")?.split(",").filter(Boolean) ?? [],
    view,
    sort: known ? (column as ColumnID) : usually,
    down: order === "desc",
    page: Math.max(1, Number.parseInt(from.get("page") ?? "", 10) || 1),
    days: { expiring: days(from.get("expiring"), 7), unused: days(from.get("unused"), 30) },
  };
});

export const filtered = computed(() => {
  const { q, status, view, issuer } = query.value;
  return q + issuer !== "" || status.length > 0 || view !== "all";
});

/** The rows as they are now, of one issuer if the URL names one. */
const all = computed<KeyRow[]>(() => {
  const { issuer } = query.value;
  void keys.version.value;
  const rows = keys.all();
  return issuer ? rows.filter((row) => row.issuer === issuer) : rows;
});

// The views are about minutes and days: they are computed again each half minute.
const moment = computed(() => Math.floor(now.value / 30_000) * 30_000);

// Only another span, and no other parameter, counts again.
const expiring = computed(() => query.value.days.expiring);
const unused = computed(() => query.value.days.unused);
export const viewCounts = computed(() => counts(all.value, moment.value, { expiring: expiring.value, unused: unused.value }));
export const statusCounts = computed(() => statuses(all.value));
export const total = computed(() => {
  void keys.version.value;
  return keys.byUID.size;
});

/** What matches now, in order. */
export const wanted = computed(() => select(all.value, query.value, moment.value, query.value.days));

/** The pointer, or the focus of the keyboard, is in the card of the list: the order does not change. */
export const held = signal(false);

interface Shown {
  uids: string[];
  /** What the person asked for: a change of it shows at once. */
  asked: string;
}

/** The order that is shown. */
export const shown = signal<Shown>({ uids: [], asked: "" });

const asked = computed(() => {
  const { q, status, view, issuer, sort, down } = query.value;
  return JSON.stringify([q, status, view, issuer, sort, down, keys.complete.value]);
});

export function showChanges(): void {
  shown.value = { uids: wanted.peek().map(({ uid }) => uid), asked: asked.peek() };
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((uid, i) => uid === b[i]);
}

/** How many rows came, went or moved since the order was shown. */
export const pending = computed(() => {
  const before = shown.value.uids;
  const after = wanted.value.map(({ uid }) => uid);
  return same(before, after) ? 0 : differences(before, after);
});

/** Keeps the shown order up to date; the answer ends it. */
export function follow(): () => void {
  return effect(() => {
    const same = asked.value === shown.peek().asked;
    // Both are read, so that each of them wakes this effect.
    const hold = held.value;
    const changes = pending.value;
    if (!same || (changes > 0 && !hold)) showChanges();
  });
}

export const page = computed(() => {
  const size = prefs.value.size;
  const { uids } = shown.value;
  const last = Math.max(1, Math.ceil(uids.length / size));
  const at = Math.min(query.value.page, last);
  return { at, last, size, of: uids.length, uids: uids.slice((at - 1) * size, at * size) };
});

/** The uids of the selected rows. */
export const selection = signal<ReadonlySet<string>>(new Set());

export function selected(): KeyRow[] {
  return [...selection.value].flatMap((uid) => keys.byUID.get(uid)?.peek().row ?? []);
}

/** The columns that are shown, in their order. */
export const columns = computed<ColumnID[]>(() => {
  const { columns: more, hidden } = prefs.value;
  return [...usual.filter((id) => !hidden.includes(id)), ...optional.filter((id) => more.includes(id))];
});
