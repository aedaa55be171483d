// A labelled control with its hint and its error, both outside of the label.
import type { ComponentChildren, InputHTMLAttributes } from "preact";
import { useId } from "preact/hooks";
import { Icon } from "./Icon";

/** The handler of a form: f does what it asks for, and the browser nothing. */
export const submits = (f: () => void) => (event: Event) => {
  event.preventDefault();
  f();
};

/** What is wrong with a field. */
export function Fault({ id, text }: { id?: string; text: string | undefined }) {
  if (text === undefined) return null;
  return (
    <p class="error" id={id}>
      <Icon name="bad" />
      <span>{text}</span>
    </p>
  );
}

export interface FieldProps {
  label: ComponentChildren;
  hint?: ComponentChildren;
  error?: string | undefined;
  optional?: string;
  /** The control, with the attributes that tie it to label, hint and error. */
  children: (control: { id: string; "aria-describedby": string | undefined; "aria-invalid": boolean }) => ComponentChildren;
}

export function Field({ label, hint, error, optional, children }: FieldProps) {
  const id = useId();
  const described = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ") || undefined;
  return (
    <div class="field">
      <div class="label">
        <label for={id}>{label}</label>
        {optional && <span class="quiet">{optional}</span>}
      </div>
      {children({ id, "aria-describedby": described, "aria-invalid": error !== undefined })}
      <Fault id={`${id}-error`} text={error} />
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** A box to tick, with its label. */
export function Tick({ checked, onChecked, children, ...input }: { checked: boolean; onChecked: (on: boolean) => void; children: ComponentChildren; role?: "switch"; "aria-invalid"?: boolean; "aria-describedby"?: string }) {
  return (
    <label class="check">
      <input type="checkbox" data-stop {...input} checked={checked} onChange={(event) => onChecked(event.currentTarget.checked)} />
      {children}
    </label>
  );
}

export interface TextFieldProps extends Omit<FieldProps, "children"> {
  value: string;
  onValue: (value: string) => void;
  input?: InputHTMLAttributes<HTMLInputElement>;
}

export function TextField({ value, onValue, input, ...field }: TextFieldProps) {
  return (
    <Field {...field}>
      {(control) => <input type="text" autocomplete="off" spellcheck={false} {...input} {...control} value={value} onInput={(event) => onValue(event.currentTarget.value)} />}
    </Field>
  );
}
