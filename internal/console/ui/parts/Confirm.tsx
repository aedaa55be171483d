// Asks before something ends: a key, sessions, a signing key.
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import { failureOf } from "../app/api";
import type * as wire from "../app/wire";
import { Code, FailureBanner } from "./Box";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import { TextField } from "./Field";
import { t } from "../text";

export interface ConfirmProps {
  title: string;
  act: string;
  danger?: boolean | undefined;
  children: ComponentChildren;
  /** What must be typed first. */
  typed?: string | undefined;
  /** What else is asked. */
  more?: ComponentChildren;
  command?: string | undefined;
  run: () => Promise<void>;
  onClose: () => void;
}

export function Confirm({ title, act, danger, children, typed, more, command, run, onClose }: ConfirmProps) {
  const text = useSignal("");
  const busy = useSignal(false);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  const sure = typed === undefined || text.value.trim() === typed;
  const confirm = async () => {
    if (!sure || busy.peek()) return;
    busy.value = true;
    failure.value = undefined;
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
      busy={busy.value}
      onClose={onClose}
      onSubmit={() => void confirm()}
      actions={
        <>
          <Button class="button" busy={busy.value} onClick={onClose}>
            {t.cancel}
          </Button>
          <button type="submit" class={danger === false ? "button primary" : "button primary danger"} disabled={!sure} aria-busy={busy.value}>
            {act}
          </button>
        </>
      }
    >
      {children}
      {typed !== undefined && <TypedField text={typed} value={text.value} onValue={(value) => (text.value = value)} />}
      {more}
      {failure.value && <FailureBanner failure={failure.value} />}
      {command && (
        <div class="aside">
          <p class="quiet">{t.onTheCommandLine}</p>
          <Code wrap text={command} what={t.command} />
        </div>
      )}
    </Dialog>
  );
}

/** The field that takes a given text, which stands out in its label. */
export function TypedField({ text, value, onValue }: { text: string; value: string; onValue: (value: string) => void }) {
  const [before = "", after = ""] = t.keys.bulk.type("\u0000").split("\u0000");
  return (
    <TextField
      label={
        <>
          {before}
          <code>{text}</code>
          {after}
        </>
      }
      value={value}
      onValue={onValue}
      input={{ class: "mono" }}
    />
  );
}
