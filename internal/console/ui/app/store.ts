// The rows that the stream brought, by uid. Each row is a signal of its own, so that a change renders one row.
import { batch, signal, type Signal } from "@preact/signals";
import type * as wire from "./wire";

/** A row with the number of its changes since it was first shown: a change shows as a flash. */
export interface Live<R> {
  row: R;
  changes: number;
}

/** Whether a row is of an earlier state of its object than another: an answer can come after the change that the stream told. */
function older(row: { version?: string }, than: { version?: string }): boolean {
  const [a, b] = [row.version ?? "", than.version ?? ""];
  return a !== "" && b !== "" && (a.length < b.length || (a.length === b.length && a < b));
}

/** Whether two rows show the same: each write of the object has another version. */
function shows(row: object): string {
  return JSON.stringify({ ...row, version: undefined });
}

export class Rows<R extends { uid: string; version?: string }> {
  readonly byUID = new Map<string, Signal<Live<R>>>();
  /** Grows when any row came, changed or went, at most five times a second. */
  readonly version = signal(0);
  /** All that exists was received once. */
  readonly complete = signal(false);
  /** Why the rows may not be read. */
  readonly failure = signal<wire.Failure | undefined>(undefined);
  /** The uids of a full list that is under way: the others go at its end. */
  private renewing: Set<string> | undefined;
  private due: ReturnType<typeof setTimeout> | undefined;

  put(rows: readonly R[]): void {
    batch(() => {
      for (const row of rows) {
        this.renewing?.add(row.uid);
        const had = this.byUID.get(row.uid);
        if (!had) this.byUID.set(row.uid, signal({ row, changes: this.complete.peek() ? 1 : 0 }));
        else if (older(row, had.peek().row)) continue;
        else if (shows(had.peek().row) !== shows(row)) had.value = { row, changes: had.peek().changes + 1 };
        else if (had.peek().row.version !== row.version) had.value = { row, changes: had.peek().changes };
      }
    });
    if (rows.length > 0) this.touch();
  }

  del(uids: readonly string[]): void {
    for (const uid of uids) this.byUID.delete(uid);
    if (uids.length > 0) this.touch();
  }

  /** The following rows are all that exist: the present ones stay until it is known which are gone. */
  reset(): void {
    this.renewing = new Set();
  }

  synced(): void {
    if (this.renewing) {
      for (const uid of [...this.byUID.keys()]) if (!this.renewing.has(uid)) this.byUID.delete(uid);
      this.renewing = undefined;
    }
    // In one step: a page that takes the rows for complete sees them.
    batch(() => {
      this.complete.value = true;
      this.failure.value = undefined;
      this.version.value = this.version.peek() + 1;
    });
  }

  /** A stream that goes on where an earlier one was cut off tells no more of that one's list: the rows stay. */
  resumed(): void {
    this.renewing = undefined;
  }

  /** Forgets everything, for another namespace or another person. */
  clear(): void {
    this.byUID.clear();
    this.renewing = undefined;
    batch(() => {
      this.complete.value = false;
      this.failure.value = undefined;
      this.version.value = this.version.peek() + 1;
    });
  }

  refuse(failure: wire.Failure): void {
    this.clear();
    this.failure.value = failure;
  }

  all(): R[] {
    return Array.from(this.byUID.values(), (live) => live.peek().row);
  }

  /** The rows that are known to exist: while a full list is under way, those that came. */
  told(): R[] {
    return this.all().filter(({ uid }) => this.renewing?.has(uid) ?? true);
  }

  private touch(): void {
    // The first rows are shown together: to sort them again and again would take longer than to receive them.
    if (this.due !== undefined || !this.complete.peek()) return;
    this.due = setTimeout(() => {
      this.due = undefined;
      this.version.value = this.version.peek() + 1;
    }, 200);
  }
}

export const keys = new Rows<wire.KeyRow>();
export const issuers = new Rows<wire.IssuerRow>();

/** The row of a key by its name. */
export function findKey(ns: string, name: string): wire.KeyRow | undefined {
  for (const live of keys.byUID.values()) {
    const { row } = live.peek();
    if (row.name === name && row.ns === ns) return row;
  }
  return undefined;
}
