// The rings of signing keys on one time axis: pure.
import type { SigningKey } from "../../app/wire";

export interface Bar {
  key: SigningKey;
  made: number;
  signs: number | undefined;
  /** When the next key takes over; planned if that key is not made yet. */
  ends: number | undefined;
  planned: boolean;
  gone: number | undefined;
}

export interface Axis {
  from: number;
  to: number;
}

const ms = (text: string | undefined) => (text ? Date.parse(text) : undefined);

/** The bars of a ring, the youngest key first. rotateAfter is how long a key signs, in ms. */
export function barsOf(keys: readonly SigningKey[], ring: string, rotateAfter: number): Bar[] {
  const sorted = keys.filter((key) => key.ring === ring).sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  return sorted
    .map((key, i) => {
      const signs = ms(key.activeAt);
      const next = ms(sorted[i + 1]?.activeAt);
      const planned = next === undefined && signs !== undefined;
      return { key, made: Date.parse(key.createdAt), signs, ends: next ?? (planned ? signs + rotateAfter : undefined), planned, gone: ms(key.retireAt) };
    })
    .reverse();
}

/** The axis that all bars share, with the present inside. */
export function axisOf(bars: readonly Bar[], now: number): Axis {
  const from = Math.min(now, ...bars.map(({ made }) => made));
  const to = Math.max(now, ...bars.flatMap(({ ends, gone }) => [ends ?? now, gone ?? now]));
  const room = Math.max(60_000, (to - from) * 0.02);
  return { from: from - room, to: to + room };
}

/** Where a time is on the axis, in percent. */
export function place({ from, to }: Axis, at: number): number {
  return Math.max(0, Math.min(100, (100 * (at - from)) / (to - from)));
}

/** Round times for the axis, at most five. */
export function ticks({ from, to }: Axis): number[] {
  const day = 86_400_000;
  const steps = [day / 24, day / 4, day, 7 * day, 30 * day, 90 * day, 365 * day];
  const step = steps.find((one) => (to - from) / one <= 5) ?? 1000 * day;
  const found: number[] = [];
  for (let at = Math.ceil(from / step) * step; at < to; at += step) found.push(at);
  return found;
}
