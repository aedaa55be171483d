// A button. One that cannot be used stays in the order of the Tab key, and says why.
import type { ComponentChildren } from "preact";

export interface ButtonProps {
  class?: string;
  label?: string;
  /** Why it cannot be used. */
  why?: string | undefined;
  tip?: string | undefined;
  /** What it began is not done. */
  busy?: boolean;
  onClick: () => void;
  children: ComponentChildren;
}

export function Button({ class: look = "button small", label, why, tip, busy, onClick, children }: ButtonProps) {
  return (
    <button type="button" class={look} aria-label={label} aria-disabled={why !== undefined || busy} data-tip={why ?? tip} onClick={() => why ?? (busy || onClick())}>
      {children}
    </button>
  );
}
