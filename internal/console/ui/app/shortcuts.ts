// Single keys as shortcuts. They can be switched off, and do nothing in a field or while a dialog is open.
import { prefs } from "./prefs";

type Action = () => void;
const actions = new Map<string, Action>();
let before = "";
let beforeAt = 0;

/** Binds a key, or two in a row such as "g k". The answer removes it. */
export function shortcut(key: string, action: Action): () => void {
  actions.set(key, action);
  return () => {
    if (actions.get(key) === action) actions.delete(key);
  };
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== "checkbox");
}

export function startShortcuts(): void {
  document.addEventListener("keydown", (event) => {
    if (!prefs.peek().shortcuts || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const recent = event.timeStamp - beforeAt < 1500 ? before : "";
    const action = actions.get(`${recent} ${event.key}`.trim()) ?? actions.get(event.key);
    before = event.key;
    beforeAt = event.timeStamp;
    if (!action) return;
    before = "";
    event.preventDefault();
    action();
  });
}
