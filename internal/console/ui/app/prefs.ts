// Preferences are all that is kept in the browser.
import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";

export interface Prefs {
  theme: Theme;
  /** The optional columns of the list that are shown. */
  columns: string[];
  /** The columns of the list that are hidden. */
  hidden: string[];
  size: number;
  /** Times are shown as dates. */
  absolute: boolean;
  /** Single keys are shortcuts. */
  shortcuts: boolean;
}

const kept = "refreshkeys";
const defaults: Prefs = { theme: "auto", columns: [], hidden: [], size: 50, absolute: false, shortcuts: true };

function read(): Prefs {
  try {
    const text = localStorage.getItem(kept);
    const had: unknown = text ? JSON.parse(text) : {};
    return { ...defaults, ...(had as Partial<Prefs>) };
  } catch {
    return { ...defaults };
  }
}

export const prefs = signal<Prefs>(read());

export function prefer(change: Partial<Prefs>): void {
  prefs.value = { ...prefs.peek(), ...change };
  try {
    localStorage.setItem(kept, JSON.stringify(prefs.peek()));
  } catch {
    // The browser keeps nothing for this page: the preference lasts as long as the page.
  }
}

effect(() => {
  document.documentElement.dataset["theme"] = prefs.value.theme;
});
