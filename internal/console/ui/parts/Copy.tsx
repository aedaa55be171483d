// A button that copies a text, and says so.
import { useSignal } from "@preact/signals";
import { copyText } from "../app/api";
import { Icon } from "./Icon";
import { act } from "./Toast";
import { t } from "../text";

export interface CopyProps {
  text: string;
  /** What is copied, for a screen reader: "Copy JTI". */
  what: string;
  /** Shows the words beside the icon. */
  words?: boolean;
}

export function Copy({ text, what, words }: CopyProps) {
  const done = useSignal(false);
  const copy = async () => {
    await copyText(text);
    done.value = true;
    setTimeout(() => (done.value = false), 2000);
  };
  const label = done.value ? t.copied : t.copyWhat(what);
  return (
    <button type="button" class={words ? "button small" : "ghost icon-only copy"} aria-label={words ? undefined : label} data-tip={words ? undefined : label} onClick={() => act(copy)}>
      <Icon name={done.value ? "check" : "copy"} />
      {words && <span aria-live="polite">{done.value ? t.copied : what}</span>}
    </button>
  );
}
