// Short messages about what was done. They go by themselves, and a screen reader reads them.
import { signal } from "@preact/signals";
import { failureOf } from "../app/api";
import { Icon } from "./Icon";
import { t } from "../text";

interface Note {
  id: number;
  text: string;
  tone: "good" | "bad";
}

const notes = signal<Note[]>([]);
let last = 0;

function drop(id: number): void {
  notes.value = notes.value.filter((note) => note.id !== id);
}

export function toast(text: string, tone: "good" | "bad" = "good"): void {
  const id = ++last;
  notes.value = [...notes.value.slice(-2), { id, text, tone }];
  // A refusal stays until it is closed.
  if (tone === "good") setTimeout(() => drop(id), 6000);
}

/** Runs f, and shows whether it succeeded. */
export function act(f: () => Promise<void>, done?: string): void {
  f().then(
    () => done && toast(done),
    (error: unknown) => toast(failureOf(error).message, "bad"),
  );
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {notes.value.map(({ id, text, tone }) => (
        <div key={id} class={`toast ${tone}`}>
          <Icon name={tone === "good" ? "good" : "bad"} />
          <span>{text}</span>
          <button type="button" class="ghost icon-only" aria-label={t.close} onClick={() => drop(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
