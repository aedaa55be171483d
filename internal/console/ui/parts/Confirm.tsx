// Asks before something ends: sessions, a signing key.
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import { failureOf } from "../app/api";
import type * as wire from "../app/wire";
import { Code, FailureBanner } from "./Box";
import { Dialog } from "./Dialog";
import { TextField } from "./Field";
import { t } from "../text";
import { Typed } from "../pages/keys/Bulk";

export interface ConfirmProps {
  title: string;
  act: string;
  danger?: boolean | undefined;
  children: ComponentChildren;
  /** What must be typed first. */
  typed?: string | undefined;
  command?: string | undefined;
  run: () => Promise<void>;
  onClose: () => void;
}

export function Confirm({ title, act, danger, children, typed, command, run, onClose }: ConfirmProps) {
  const text = useSignal("");
  const busy = useSignal(false);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  const sure = typed === undefined || text.value.trim() === typed;
  const confirm = async () => {
    busy.value = true;
    try {
      await run();
      onClose();
    } catch (error) {
      failure.value = failureOf(error);
    }
    busy.value = false;
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={() => {
        if (sure && !busy.value) void confirm();
      }}
      actions={
        <>
          <button type="button" class="button" onClick={onClose}>
            {t.cancel}
          </button>
          <button type="submit" class={danger === false ? "button primary" : "button primary danger"} disabled={!sure} aria-busy={busy.value}>
            {act}
          </button>
        </>
      }
    >
      {children}
      {typed !== undefined && <TextField label={<Typed text={typed} />} value={text.value} onValue={(value) => (text.value = value)} input={{ class: "mono" }} />}
      {command && <Code wrap text={command} what={t.command} />}
      {failure.value && <FailureBanner failure={failure.value} />}
    </Dialog>
  );
}
