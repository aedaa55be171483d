// Durations as people write them, and as the API takes them.

const unit: Record<string, number> = { y: 31_536_000, w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 };
const part = /(\d+)\s*(years?|y|weeks?|w|days?|d|hours?|h|minutes?|min|m|seconds?|sec|s)/g;

/** The seconds of 90d, 12h30m or "2 weeks"; undefined for any other text. */
export function seconds(text: string): number | undefined {
  const plain = text.trim().toLowerCase().replaceAll(/\s+|,|and/g, "");
  if (plain === "" || plain.replaceAll(part, "") !== "") return undefined;
  let sum = 0;
  for (const [, n, name] of plain.matchAll(part)) sum += Number(n) * (unit[name?.[0] ?? ""] ?? 0);
  return sum;
}

/** A duration as the API takes it: 2160h, 12h30m, 45m. */
export function hours(total: number): string {
  const h = Math.floor(total / 3600);
  const m = Math.floor((total % 3600) / 60);
  const s = total % 60;
  return (h ? `${h}h` : "") + (m ? `${m}m` : "") + (s ? `${s}s` : "") || "0s";
}

/** What goes into the manifest: a text that is no duration stays as it is, so that the API server refuses it. */
export function written(text: string): string | undefined {
  const plain = text.trim();
  if (plain === "") return undefined;
  const total = seconds(plain);
  return total === undefined ? plain : hours(total);
}
