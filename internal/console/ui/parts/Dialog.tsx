// A modal dialog. It takes the focus, and gives it back to where it came from.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { signedIn } from "../app/me";
import { submits } from "./Field";
import { Icon } from "./Icon";
import { t } from "../text";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** The buttons, the one that acts last. */
  actions?: ComponentChildren;
  onSubmit?: () => void;
  wide?: boolean;
  /** What it began is not done: it stays open, so that a failure is seen. */
  busy?: boolean;
}

export function Dialog({ title, onClose, children, actions, onSubmit, wide, busy }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  const pressed = useRef<EventTarget | null>(null);
  const id = useId();
  const close = () => {
    if (!busy) onClose();
  };
  // A dialog that is open when the session ends would keep the sign-in from being used.
  const inside = signedIn.value;
  useEffect(() => {
    if (!inside) return undefined;
    const from = document.activeElement;
    const dialog = box.current;
    dialog?.showModal();
    // The close button is first, but a field is what the person came for.
    dialog?.querySelector<HTMLElement>(".body input, .body textarea")?.focus();
    return () => {
      dialog?.close();
      if (from instanceof HTMLElement && from.isConnected) from.focus();
      else document.querySelector("h1")?.focus();
    };
  }, [inside]);
  return (
    <dialog
      ref={box}
      class={wide ? "wide" : undefined}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onKeyDown={(event) => {
        // At a second Escape the browser closes the dialog without a cancel event.
        if (event.key !== "Escape") return;
        event.preventDefault();
        close();
      }}
      onPointerDown={(event) => (pressed.current = event.target)}
      onClick={(event) => {
        // A press that begins inside, such as one that selects text, and ends beside the dialog does not close it.
        if (event.target === box.current && pressed.current === box.current) close();
      }}
    >
      <form
        method="dialog"
        noValidate
        onSubmit={submits(() => onSubmit?.())}
      >
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="ghost icon-only" aria-label={t.close} onClick={close}>
            <Icon name="close" />
          </button>
        </header>
        <div class="body">{children}</div>
        {actions && <footer>{actions}</footer>}
      </form>
    </dialog>
  );
}
