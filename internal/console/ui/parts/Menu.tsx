// A button with a menu that opens below it.
import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { Icon, type IconName } from "./Icon";

export interface Item {
  text: string;
  icon?: IconName;
  danger?: boolean;
  /** Why the item cannot be used; it stays visible. */
  why?: string | undefined;
  tip?: string;
  act?: () => void;
  href?: string;
}

export interface PopProps {
  /** The name of the button. */
  label: string;
  /** What the button shows; its label if absent. */
  face?: ComponentChildren;
  class?: string;
  /** The face says the name itself. */
  named?: boolean;
  tip?: string | undefined;
  panelClass?: string;
  role?: "menu" | "dialog";
  onOpen?: () => void;
  children: (close: () => void) => ComponentChildren;
}

/** Puts a panel below its button, inside the window. */
function place(panel: HTMLElement, button: HTMLElement): void {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = panel;
  const page = document.documentElement.clientWidth;
  const left = Math.max(8, Math.min(at.left + width > page - 8 ? at.right - width : at.left, page - width - 8));
  const below = at.bottom + 6 + height <= innerHeight - 8 || at.top < height + 14;
  panel.style.setProperty("left", `${left}px`);
  // In a low window it covers its button.
  panel.style.setProperty("top", `${Math.max(8, Math.min(below ? at.bottom + 6 : at.top - height - 6, innerHeight - height - 8))}px`);
}

/** A button that opens a panel. */
export function Pop({ label, face, named, class: look = "button", tip, panelClass = "", role = "dialog", onOpen, children }: PopProps) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const open = useSignal(false);
  const toggled = (event: ToggleEvent) => {
    const shown = event.newState === "open";
    open.value = shown;
    if (!shown) return;
    onOpen?.();
    requestAnimationFrame(() => {
      if (!panel.current || !button.current) return;
      place(panel.current, button.current);
      panel.current.querySelector<HTMLElement>("input:not([type=hidden]),[role^=menuitem],button,a")?.focus();
    });
  };
  const close = () => {
    panel.current?.hidePopover();
    button.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !panel.current) return;
    const stops = [...panel.current.querySelectorAll<HTMLElement>("[role^=menuitem],[data-stop],input[type=search]")];
    if (stops.length === 0 || ((event.target as HTMLInputElement).type === "search" && step !== 1)) return;
    event.preventDefault();
    const at = stops.indexOf(document.activeElement as HTMLElement);
    stops[Math.max(0, Math.min(stops.length - 1, at + step))]?.focus();
  };
  return (
    <>
      <button ref={button} type="button" class={look} popovertarget={id} aria-haspopup={role} aria-expanded={open.value} aria-label={face === undefined || named ? undefined : label} data-tip={tip}>
        {face ?? label}
      </button>
      <div ref={panel} id={id} popover="auto" class={`pop ${panelClass}`} role={role} aria-label={label} onToggle={toggled} onKeyDown={onKeyDown}>
        {open.value && children(close)}
      </div>
    </>
  );
}

export function Menu({ items, ...pop }: Omit<PopProps, "children" | "role"> & { items: () => Item[] }) {
  return (
    <Pop {...pop} role="menu" panelClass="menu">
      {(close) =>
        items().map((item) =>
          item.href && !item.why ? (
            <a key={item.text} role="menuitem" tabIndex={-1} href={item.href} onClick={close}>
              {item.icon && <Icon name={item.icon} />}
              {item.text}
            </a>
          ) : (
            <button
              key={item.text}
              type="button"
              role="menuitem"
              tabIndex={-1}
              class={item.danger ? "danger" : undefined}
              aria-disabled={item.why !== undefined}
              data-tip={item.why ?? item.tip}
              onClick={() => {
                if (item.why !== undefined) return;
                close();
                item.act?.();
              }}
            >
              {item.icon && <Icon name={item.icon} />}
              <span>
                {item.text}
                {item.why !== undefined && <small>{item.why}</small>}
              </span>
            </button>
          ),
        )
      }
    </Pop>
  );
}
