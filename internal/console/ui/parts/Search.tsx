// What is above a list: the search, and one of several selections.
import type { ComponentChildren } from "preact";
import { prefs } from "../app/prefs";
import { Icon } from "./Icon";

export function SearchBox({ label, hint, value, onValue }: { label: string; hint: string; value: string; onValue: (value: string) => void }) {
  return (
    <div class="search" role="search">
      <Icon name="search" />
      <input
        type="search"
        data-search
        aria-label={label}
        placeholder={hint}
        autocomplete="off"
        spellcheck={false}
        value={value}
        onInput={(event) => onValue(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape" && value) {
            event.preventDefault();
            onValue("");
          }
        }}
      />
      {prefs.value.shortcuts && !value && <kbd aria-hidden="true">/</kbd>}
    </div>
  );
}

export function Options<ID extends string>({ label, ids, at, onChoose, face }: { label: string; ids: readonly ID[]; at: string; onChoose: (id: ID) => void; face: (id: ID) => ComponentChildren }) {
  return (
    <ul class="views" aria-label={label}>
      {ids.map((id) => (
        <li key={id}>
          <button type="button" aria-pressed={id === at} onClick={() => onChoose(id)}>
            {face(id)}
          </button>
        </li>
      ))}
    </ul>
  );
}
