// The question that a dialog asks about keys.
import { signal } from "@preact/signals";
import type { KeyRow } from "../../app/wire";

export type Asking = { what: "revoke" | "rotateNow" | "delete"; row: KeyRow } | { what: "bulkRevoke" | "bulkRotate"; rows: KeyRow[] };

export const asking = signal<Asking | undefined>(undefined);
