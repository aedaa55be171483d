// The catalogue of the page's language. ?locale=pseudo lengthens every text and marks it, so that a test finds text that
// is not in the catalogue, and a layout that breaks.
import { en } from "./en";

export type Catalogue = typeof en;

function pseudo(text: string): string {
  return `⟦${text.replace(/[aeiounc]/gi, "$&\u0301")}${" ~".repeat(Math.ceil(text.length / 8))}⟧`;
}

function disguise(value: unknown): unknown {
  if (typeof value === "string") return pseudo(value);
  if (typeof value === "function") return (...values: unknown[]) => disguise((value as (...values: unknown[]) => unknown)(...values));
  if (Array.isArray(value)) return value.map(disguise);
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, disguise(inner)]));
  return value;
}

export const t: Catalogue = new URLSearchParams(location.search).get("locale") === "pseudo" ? (disguise(en) as Catalogue) : en;
