// Times and numbers as text, in the language of the browser.
import { t } from "../text";

const language = navigator.language;
const relative = new Intl.RelativeTimeFormat("en", { style: "short", numeric: "always" });
const day: Intl.DateTimeFormatOptions = { year: "numeric", month: "short", day: "numeric" };
const minute: Intl.DateTimeFormatOptions = { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const date = new Intl.DateTimeFormat("en", { ...day, timeZone: "UTC" });
const short = new Intl.DateTimeFormat("en", { ...minute, timeZone: "UTC" });
const utc = new Intl.DateTimeFormat("en", { ...minute, second: "2-digit", timeZone: "UTC", timeZoneName: "short" });
const local = new Intl.DateTimeFormat(language, { ...minute, second: "2-digit", timeZoneName: "short" });
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const number = new Intl.NumberFormat("en");
const list = new Intl.ListFormat("en", { type: "conjunction" });

const units: [Intl.RelativeTimeFormatUnit, number, number][] = [
  ["second", 1, 90],
  ["minute", 60, 90 * 60],
  ["hour", 3600, 48 * 3600],
  ["day", 86400, 730 * 86400],
  ["year", 365.25 * 86400, Infinity],
];

/** in 30 days, 9 min. ago */
export function ago(at: number, now: number): string {
  const seconds = (at - now) / 1000;
  const size = Math.abs(seconds);
  // The shown time advances every five seconds.
  if (size < 6) return t.justNow;
  for (const [unit, length, until] of units) {
    if (size < until) return relative.format(Math.trunc(seconds / length), unit).replace(".", "");
  }
  return "";
}

/** Feb 27, 2027, in 89 days */
export const dated = (at: number, now: number): string => `${date.format(at)}, ${ago(at, now)}`;

/** A sentence of the server, which begins as in a log. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export const shortUTC = (at: number): string => `${short.format(at)} UTC`;
export const fullUTC = (at: number): string => utc.format(at);
export const fullLocal = (at: number): string => local.format(at);
export const clockTime = (at: number): string => clock.format(at);
export const count = (n: number): string => number.format(n);
export const and = (items: string[]): string => list.format(items);

const spans: [string, number][] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** 15 minutes; 1 day, 6 hours */
export function span(seconds: number): string {
  const parts: string[] = [];
  let rest = Math.round(seconds);
  for (const [unit, length] of spans) {
    const n = Math.floor(rest / length);
    rest -= n * length;
    if (n > 0 && parts.length < 2) parts.push(new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay: "long" }).format(n));
  }
  return parts.length > 0 ? parts.join(" ") : new Intl.NumberFormat("en", { style: "unit", unit: "second", unitDisplay: "long" }).format(0);
}
