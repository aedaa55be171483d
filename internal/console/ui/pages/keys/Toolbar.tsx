// Above the table: saved views, search, filter by status, columns.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { prefer, prefs } from "../../app/prefs";
import { setQuery } from "../../app/router";
import { count, span } from "../../app/time";
import { Icon } from "../../parts/Icon";
import { Pop } from "../../parts/Menu";
import { t } from "../../text";
import { query, statusCounts, viewCounts } from "./state";
import { optional, usual, views, type View } from "./view";

const parameters: Record<View, Record<string, string | undefined>> = {
  all: {},
  attention: { view: "attention" },
  expiring: { expiring: "7d" },
  unused: { unused: "30d" },
  never: { view: "never" },
  revoked: { view: "revoked" },
};

export function Views() {
  const { view, days } = query.value;
  const texts: Record<View, string> = { ...t.keys.views, expiring: t.keys.expiring(span(days.expiring * 86_400)), unused: t.keys.unused(span(days.unused * 86_400)) };
  return (
    <ul class="views" aria-label={t.keys.views.label}>
      {views.map((id) => (
        <li key={id}>
          <button
            type="button"
            aria-pressed={id === view}
            class={id === "attention" && viewCounts.value[id] > 0 ? "alerting" : undefined}
            onClick={() => setQuery({ view: undefined, expiring: undefined, unused: undefined, page: undefined, sort: undefined, ...parameters[id] }, { replace: false })}
          >
            {texts[id]} <span class="count">{count(viewCounts.value[id])}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Search() {
  const { q } = query.value;
  const text = useSignal(q);
  // Back, forward and "clear filters" change the parameter; typing changes it after a moment.
  useEffect(() => {
    if (text.peek().trim() !== q) text.value = q;
  }, [q]);
  useEffect(() => {
    if (text.value.trim() === query.peek().q) return undefined;
    const due = setTimeout(() => setQuery({ q: text.peek().trim() || undefined, page: undefined }), 120);
    return () => clearTimeout(due);
  }, [text.value]);
  return (
    <div class="search" role="search">
      <Icon name="search" />
      <input
        type="search"
        data-search
        aria-label={t.keys.search}
        placeholder={t.keys.searchHint}
        autocomplete="off"
        spellcheck={false}
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape" && text.value) {
            event.preventDefault();
            text.value = "";
          }
        }}
      />
      {prefs.value.shortcuts && !text.value && <kbd aria-hidden="true">/</kbd>}
    </div>
  );
}

function StatusFilter() {
  const { status } = query.value;
  const set = (next: string[]) => setQuery({ status: next.join(",") || undefined, page: undefined });
  return (
    <Pop
      label={t.keys.status}
      panelClass="checks"
      face={
        <>
          <Icon name="filter" />
          {status.length === 0 ? t.keys.status : status.join(", ")}
          <Icon name="down" />
        </>
      }
    >
      {() => (
        <>
          {statusCounts.value.map(([word, n, tone]) => (
            <label key={word} class="check">
              <input type="checkbox" data-stop checked={status.includes(word)} onChange={(event) => set(event.currentTarget.checked ? [...status, word] : status.filter((other) => other !== word))} />
              <span class={`dot ${tone}`} />
              {word}
              <span class="count">{count(n)}</span>
            </label>
          ))}
          <button type="button" class="button small full" data-stop disabled={status.length === 0} onClick={() => set([])}>
            {t.keys.anyStatus}
          </button>
        </>
      )}
    </Pop>
  );
}

function Columns() {
  const { columns, hidden } = prefs.value;
  return (
    <Pop
      label={t.keys.columns}
      panelClass="checks"
      face={
        <>
          <Icon name="columns" />
          <span class="wide-only">{t.keys.columns}</span>
        </>
      }
    >
      {() => (
        <>
          {usual.slice(1).map((id) => (
            <label key={id} class="check">
              <input type="checkbox" data-stop checked={!hidden.includes(id)} onChange={(event) => prefer({ hidden: event.currentTarget.checked ? hidden.filter((other) => other !== id) : [...hidden, id] })} />
              {t.keys.column[id]}
            </label>
          ))}
          <hr />
          {optional.map((id) => (
            <label key={id} class="check">
              <input type="checkbox" data-stop checked={columns.includes(id)} onChange={(event) => prefer({ columns: event.currentTarget.checked ? [...columns, id] : columns.filter((other) => other !== id) })} />
              {t.keys.column[id]}
            </label>
          ))}
          <button type="button" class="button small full" data-stop onClick={() => prefer({ columns: [], hidden: [] })}>
            {t.keys.resetColumns}
          </button>
        </>
      )}
    </Pop>
  );
}

export function Toolbar() {
  return (
    <div class="toolbar">
      <Search />
      <StatusFilter />
      <span class="gap" />
      <button type="button" class="button" aria-pressed={prefs.value.absolute} data-tip={t.top.absolute} aria-label={t.top.absolute} onClick={() => prefer({ absolute: !prefs.value.absolute })}>
        <Icon name="clock" />
      </button>
      <Columns />
    </div>
  );
}
