// A time: relative, or as a date if the person prefers that; both, with the local time, on hover and focus.
import { now } from "../app/clock";
import { prefs } from "../app/prefs";
import { ago, dated, fullLocal, fullUTC, shortUTC } from "../app/time";
import { t } from "../text";

export interface TimeProps {
  at: string | undefined;
  /** What is shown without a time. */
  none?: string;
  /** Whether the Tab key stops here: in tables the arrow keys do. */
  stop?: boolean;
  /** Whether the day is shown as well: after "from", a distance alone cannot be read. */
  day?: boolean;
}

export function Time({ at, none, stop, day }: TimeProps) {
  if (!at) return <span class="quiet">{none ?? t.none}</span>;
  const ms = Date.parse(at);
  return (
    <time dateTime={at} tabIndex={stop ? 0 : -1} data-tip={`${fullUTC(ms)}\n${fullLocal(ms)}\n${ago(ms, now.value)}`}>
      {prefs.value.absolute ? shortUTC(ms) : (day ? dated : ago)(ms, now.value)}
    </time>
  );
}
