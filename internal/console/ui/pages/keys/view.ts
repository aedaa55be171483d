// What the list shows of the rows: pure, so that it takes rows, a time and the parameters of the URL.
import type { KeyRow } from "../../app/wire";

export const dayMS = 86_400_000;

/** The parameters of the list. */
export interface Query {
  q: string;
  status: string[];
  view: View;
  sort: ColumnID;
  down: boolean;
}

export const views = ["all", "attention", "expiring", "unused", "never", "revoked"] as const;
export type View = (typeof views)[number];

export const usual = ["name", "audience", "status", "expiresAt", "lastUsed", "createdAt", "revision"] as const;
export const optional = ["issuer", "subject", "mode", "jti", "tokenHash", "renewal", "revokedAt"] as const;
export type ColumnID = (typeof usual)[number] | (typeof optional)[number];

// Names sort as people read them, k-2 before k-10. Each name is prepared once, and then compared as plain text: with 10,000 rows
// even one Intl.Collator takes ten times as long.
const prepared = new Map<string, string>();

function sortable(text: string): string {
  let found = prepared.get(text);
  if (found === undefined) {
    found = text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
    prepared.set(text, found);
  }
  return found;
}

function compare(a: string, b: string): number {
  const x = sortable(a);
  const y = sortable(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

const ms = (text: string | undefined): number | undefined => (text ? Date.parse(text) : undefined);

/** The last use of any token of a key. */
export function lastUse(row: KeyRow): string | undefined {
  const { lastUsed, supersededLastUsed } = row;
  return supersededLastUsed && (!lastUsed || supersededLastUsed > lastUsed) ? supersededLastUsed : lastUsed;
}

/** How many days the views of the next end and of the last use span. */
export interface Days {
  expiring: number;
  unused: number;
}

function needsAttention(row: KeyRow, now: number): boolean {
  if (row.tone === "bad" || row.status === "Expired") return true;
  if (row.waitsFor === "OverlapPending" && now - (ms(row.waitsSince) ?? now) > 15 * 60_000) return true;
  // A client still uses a superseded token a while after the current one was made.
  const created = ms(row.createdAt);
  const used = ms(row.supersededLastUsed);
  return !!row.overlap && created !== undefined && used !== undefined && used > created + 15 * 60_000;
}

export function inView(view: View, row: KeyRow, now: number, days: Days): boolean {
  switch (view) {
    case "all":
      return true;
    case "attention":
      return needsAttention(row, now);
    case "expiring": {
      const end = ms(row.expiresAt);
      return end !== undefined && !row.revokedAt && end >= now && end <= now + days.expiring * dayMS;
    }
    case "unused":
      return now - Math.max(ms(row.madeAt) ?? 0, ms(lastUse(row)) ?? 0) >= days.unused * dayMS;
    case "never":
      return lastUse(row) === undefined;
    case "revoked":
      return row.revokedAt !== undefined;
  }
}

export function counts(rows: readonly KeyRow[], now: number, days: Days): Record<View, number> {
  const found: Record<View, number> = { all: 0, attention: 0, expiring: 0, unused: 0, never: 0, revoked: 0 };
  for (const row of rows) for (const view of views) if (inView(view, row, now, days)) found[view]++;
  return found;
}

export function statuses(rows: readonly KeyRow[]): [string, number, string][] {
  const found = new Map<string, [string, number, string]>();
  for (const { status, tone } of rows) {
    const had = found.get(status);
    if (had) had[1]++;
    else found.set(status, [status, 1, tone]);
  }
  return [...found.values()].sort((a, b) => compare(a[0], b[0]));
}

function matchesText(row: KeyRow, q: string): boolean {
  const text = q.toLowerCase();
  if (text.startsWith("sha256:")) return row.tokenHash?.toLowerCase().startsWith(text) ?? false;
  return (
    row.name.includes(text) ||
    row.ns.includes(text) ||
    `${row.ns}/${row.name}`.includes(text) ||
    row.audience.toLowerCase().includes(text) ||
    (text.length > 3 && (row.jti?.toLowerCase().includes(text) ?? false)) ||
    (text.length > 7 && (row.tokenHash?.toLowerCase().includes(text) ?? false))
  );
}

type Value = string | number | undefined;

export const valueOf: Record<ColumnID, (row: KeyRow) => Value> = {
  name: (row) => row.name,
  audience: (row) => row.audience,
  status: (row) => row.status,
  expiresAt: (row) => row.expiresAt,
  lastUsed: lastUse,
  createdAt: (row) => row.createdAt,
  revision: (row) => row.revision,
  issuer: (row) => row.issuer,
  subject: (row) => row.subject,
  mode: (row) => row.mode,
  jti: (row) => row.jti,
  tokenHash: (row) => row.tokenHash,
  renewal: (row) => row.renewalTime,
  revokedAt: (row) => row.revokedAt,
};

// RFC 3339 in UTC sorts as text; names and the like sort as people read them.
const times = new Set<ColumnID>(["expiresAt", "lastUsed", "createdAt", "renewal", "revokedAt"]);

/** The rows that match, in order. Rows without a value come last in either order. */
export function select(rows: readonly KeyRow[], query: Query, now: number, days: Days): KeyRow[] {
  const { status, view, sort, down } = query;
  const q = query.q.trim();
  const found = rows.filter((row) => inView(view, row, now, days) && (status.length === 0 || status.includes(row.status)) && (q === "" || matchesText(row, q)));
  const value = valueOf[sort];
  const sign = down ? -1 : 1;
  const byTime = times.has(sort);
  return found.sort((a, b) => {
    const x = value(a);
    const y = value(b);
    if (x !== y) {
      if (x === undefined || x === "") return 1;
      if (y === undefined || y === "") return -1;
      const order = typeof x === "number" && typeof y === "number" ? x - y : byTime ? (x < y ? -1 : 1) : compare(String(x), String(y));
      if (order !== 0) return order * sign;
    }
    return compare(a.name, b.name) || compare(a.ns, b.ns);
  });
}

/** How many rows came, went, or moved among those that stayed. */
export function differences(before: readonly string[], after: readonly string[]): number {
  const places = new Map(before.map((uid, i) => [uid, i]));
  const kept = after.flatMap((uid) => places.get(uid) ?? []);
  // Rows in their earlier order are an increasing row of places; the longest one leaves the fewest that moved.
  const ends: number[] = [];
  for (const place of kept) {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] ?? 0) < place) low = middle + 1;
      else high = middle;
    }
    ends[low] = place;
  }
  return after.length - kept.length + (before.length - kept.length) + (kept.length - ends.length);
}
