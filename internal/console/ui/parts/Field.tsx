// A labelled control with its hint and its error, both outside of the label.
import type { ComponentChildren, InputHTMLAttributes } from "preact";
import { useId } from "preact/hooks";
import { Icon } from "./Icon";

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
      {error !== undefined && (
        <p class="error" id={`${id}-error`}>
          <Icon name="bad" />
          {error}
        </p>
      )}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
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
