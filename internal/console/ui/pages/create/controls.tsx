// The controls of the form beyond a line of text: choices, tokens, rows.
import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { Fault, Field, TextField, Tick } from "../../parts/Field";
import { Icon } from "../../parts/Icon";
import { t } from "../../text";
import { texts, type Row, type TextID } from "./draft";
import type { Form } from "./form";

/** A line of text that is a field of spec. */
export function Line({ form, id }: { form: Form; id: TextID }) {
  const [label, hint, example] = t.create.fields[id] ?? [id, "", ""];
  return <TextField label={label} hint={hint} error={form.error(`spec.${texts[id]}`)} value={form.draft.value[id]} onValue={(value) => form.set({ [id]: value })} input={{ placeholder: example }} />;
}

export interface Option {
  value: string;
  text: string;
  hint?: string;
  /** Why it cannot be chosen. */
  why?: string | undefined;
}

/** One of several: a row of segments, or cards that explain themselves. */
export function Choice({ legend, options, value, onValue, error, hint, cards }: { legend: string; options: Option[]; value: string; onValue: (value: string) => void; error?: string | undefined; hint?: string | undefined; cards?: boolean }) {
  const id = useId();
  return (
    <fieldset class="choice" data-invalid={error === undefined ? undefined : ""} aria-describedby={`${id}-hint${error === undefined ? "" : ` ${id}-error`}`}>
      <legend>{legend}</legend>
      <div class={cards ? "cards" : "segments"}>
        {options.map((option) => (
          <label key={option.value} data-tip={option.why} class={option.why === undefined ? undefined : "no"}>
            <input type="radio" name={id} value={option.value} checked={value === option.value} disabled={option.why !== undefined} onChange={() => onValue(option.value)} />
            <span>
              {option.text}
              {option.hint && <small>{option.hint}</small>}
            </span>
          </label>
        ))}
      </div>
      <Fault id={`${id}-error`} text={error} />
      <p class="hint" id={`${id}-hint`}>
        {hint}
        {options.map(({ value: one, why }) => why !== undefined && <span key={one} class="unseen">{`${t.create.presets[Number(one)] ?? ""}: ${why}`}</span>)}
      </p>
    </fieldset>
  );
}

/** Words, each with a button that removes it. */
export function Tokens({ label, hint, error, words, onWords, suggestions }: { label: string; hint: string; error: string | undefined; words: string[]; onWords: (words: string[]) => void; suggestions: string[] }) {
  const text = useSignal("");
  const input = useRef<HTMLInputElement>(null);
  const add = (more: string[]) => {
    const fresh = more.map((word) => word.trim()).filter((word) => word && !words.includes(word));
    if (fresh.length > 0) onWords([...words, ...fresh]);
    text.value = "";
  };
  const left = suggestions.filter((word) => !words.includes(word));
  return (
    <Field label={label} hint={hint} error={error}>
      {(control) => (
        <>
          <div class="tokens" onClick={() => input.current?.focus()}>
            {words.map((word) => (
              <span key={word} class="pill mono">
                {word}
                <button type="button" aria-label={t.create.remove(word)} onClick={() => onWords(words.filter((one) => one !== word))}>
                  <Icon name="close" />
                </button>
              </span>
            ))}
            <input
              ref={input}
              {...control}
              type="text"
              autocomplete="off"
              spellcheck={false}
              value={text.value}
              onInput={(event) => {
                const parts = event.currentTarget.value.split(/[\s,]+/);
                text.value = parts.pop() ?? "";
                if (parts.length > 0) {
                  const last = text.value;
                  add(parts);
                  text.value = last;
                }
              }}
              onKeyDown={(event) => {
                if (event.key === "Enter" && text.value) {
                  event.preventDefault();
                  add([text.value]);
                } else if (event.key === "Backspace" && !text.value) onWords(words.slice(0, -1));
              }}
              onBlur={() => add([text.value])}
            />
          </div>
          {left.length > 0 && (
            <p class="suggested">
              <span class="hint">{t.create.suggested}</span>
              {left.slice(0, 12).map((word) => (
                <button key={word} type="button" class="button small" onClick={() => add([word])}>
                  <Icon name="plus" />
                  {word}
                </button>
              ))}
            </p>
          )}
        </>
      )}
    </Field>
  );
}

const truths = ["true", "false"];

interface Column {
  id: string;
  label: string;
  options?: [string, string][];
}

/** Rows of small controls, which can be added and removed. */
export function RowsField({ label, hint, error, rows, onRows, columns, fresh }: { label: string; hint?: string; error?: string | undefined; rows: Row[]; onRows: (rows: Row[]) => void; columns: Column[]; fresh: Row }) {
  const box = useRef<HTMLFieldSetElement>(null);
  const id = useId();
  const change = (at: number, id: string, value: string) => onRows(rows.map((row, i) => (i === at ? { ...row, [id]: value } : row)));
  return (
    <fieldset class="choice" ref={box} data-invalid={error === undefined ? undefined : ""} aria-describedby={`${id}-hint ${id}-error`}>
      <legend>{label}</legend>
      {rows.map((row, at) => (
        <div key={at} class="row">
          {columns.map(({ id, label: name, options }) =>
            options ? (
              <select key={id} aria-label={name} value={row[id]} onChange={(event) => change(at, id, event.currentTarget.value)}>
                {options.map(([value, text]) => (
                  <option key={value} value={value}>
                    {text}
                  </option>
                ))}
              </select>
            ) : id === "value" && row["type"] === "boolean" ? (
              <select key={id} aria-label={name} value={row[id] === "true" ? "true" : "false"} onChange={(event) => change(at, id, event.currentTarget.value)}>
                {truths.map((word) => (
                  <option key={word}>{word}</option>
                ))}
              </select>
            ) : (
              <input key={id} type="text" autocomplete="off" spellcheck={false} aria-label={name} placeholder={name} value={row[id] ?? ""} onInput={(event) => change(at, id, event.currentTarget.value)} />
            ),
          )}
          <button type="button" class="ghost icon-only" aria-label={t.create.remove(row["name"] || label)} onClick={() => onRows(rows.filter((_, i) => i !== at))}>
            <Icon name="trash" />
          </button>
        </div>
      ))}
      <Fault id={`${id}-error`} text={error} />
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      <button
        type="button"
        class="button small"
        onClick={() => {
          onRows([...rows, { ...fresh }]);
          requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(".row:last-of-type input")?.focus());
        }}
      >
        <Icon name="plus" />
        {t.create.add}
      </button>
    </fieldset>
  );
}

export function Check({ text, hint, error, checked, onChecked }: { text: string; hint?: string; error?: string | undefined; checked: boolean; onChecked: (on: boolean) => void }) {
  const id = useId();
  return (
    <div class="field tick">
      <Tick checked={checked} onChecked={onChecked} aria-invalid={error !== undefined} aria-describedby={`${id}-hint`}>
        <span>{text}</span>
      </Tick>
      <p class={error === undefined ? "hint" : "error"} id={`${id}-hint`}>
        {error ?? hint}
      </p>
    </div>
  );
}

/** A group of fields behind its heading, with what is set in it. */
export function Section({ title, set, children }: { title: string; set: (string | false | undefined)[]; children: ComponentChildren }) {
  const values = set.filter(Boolean);
  return (
    <details class="section">
      <summary>
        <Icon name="right" />
        <strong>{title}</strong>
        <span class="quiet cut">{values.length > 0 ? values.join(" · ") : t.create.unset}</span>
      </summary>
      <div class="fields">{children}</div>
    </details>
  );
}
