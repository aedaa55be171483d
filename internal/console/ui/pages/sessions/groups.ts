// The sessions of a list, by their subject: pure.
import type { KeyRow } from "../../app/wire";
import { deviceText } from "../keys/cells";
import { lastUse } from "../keys/view";

/** The reason of a session whose used token was presented again. */
export const reuse = "ReuseDetected";

export interface Group {
  subject: string;
  /** Each issuer counts the sessions of its own subjects. */
  issuer: string;
  live: KeyRow[];
  over: KeyRow[];
  /** A token of a session was used again. */
  reused: boolean;
}

export function isLive({ revokedAt, status }: KeyRow): boolean {
  return revokedAt === undefined && status !== "Expired" && status !== "Deleting";
}

function latest(row: KeyRow): string {
  return lastUse(row) ?? row.session?.startedAt ?? "";
}

export interface Wanted {
  q: string;
  method: string;
  ended: boolean;
}

export function groupsOf(rows: readonly KeyRow[], { q, method, ended }: Wanted): Group[] {
  const text = q.trim().toLowerCase();
  const found = new Map<string, Group>();
  for (const row of rows) {
    const { session } = row;
    if (!session || (method !== "all" && session.method !== method)) continue;
    if (text && !`${session.subject} ${session.client ?? ""} ${row.name} ${row.audience} ${deviceText(row.device)} ${row.device?.address ?? ""}`.toLowerCase().includes(text)) continue;
    const id = `${row.issuer} ${session.subject}`;
    const group = found.get(id) ?? { subject: session.subject, issuer: row.issuer, live: [], over: [], reused: false };
    found.set(id, group);
    const reused = row.revocationReason === reuse;
    group.reused ||= reused;
    if (isLive(row)) group.live.push(row);
    else if (ended || reused) group.over.push(row);
  }
  const newest = ({ live, over }: Group) => latest(live[0] ?? (over[0] as KeyRow));
  const groups = [...found.values()].filter(({ live, over }) => live.length + over.length > 0);
  for (const group of groups) for (const list of [group.live, group.over]) list.sort((a, b) => (latest(a) < latest(b) ? 1 : -1));
  for (const group of groups) group.over.sort((a, b) => Number(b.revocationReason === reuse) - Number(a.revocationReason === reuse));
  return groups.sort((a, b) => Number(b.reused) - Number(a.reused) || (newest(a) < newest(b) ? 1 : -1));
}
