// The key that was just created: its page says when it was ready.
import { signal } from "@preact/signals";

export interface Created {
  ns: string;
  name: string;
  at: number;
  /** How long it took, in milliseconds, once that is known. */
  took?: number;
}

export const created = signal<Created | undefined>(undefined);
