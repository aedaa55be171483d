// Above the table: saved views, search, filter by status, columns.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { prefer, prefs } from "../../app/prefs";
import { setQuery } from "../../app/router";
import { count, span } from "../../app/time";
import { Tick } from "../../parts/Field";
import { Icon } from "../../parts/Icon";
import { Pop } from "../../parts/Menu";
import { Options, SearchBox } from "../../parts/Search";
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
    <Options
      label={t.keys.views.label}
      ids={views}
      at={view}
      onChoose={(id) => setQuery({ view: undefined, expiring: undefined, unused: undefined, page: undefined, sort: undefined, ...parameters[id] }, { replace: false })}
      face={(id) => (
        <>
          {texts[id]} <span class={id === "attention" && viewCounts.value[id] > 0 ? "count alerting" : "count"}>{count(viewCounts.value[id])}</span>
        </>
      )}
    />
  );
}

function Search() {
  const { q } = query.value;
  const text = useSignal(q);
  const own = useRef(q);
  // Back, forward and "clear filters" change the parameter; typing changes it after a moment.
  useEffect(() => {
    if (own.current !== q) text.value = q;
    own.current = q;
  }, [q]);
  useEffect(() => {
    if (text.value.trim() === query.peek().q) return undefined;
    const due = setTimeout(() => {
      own.current = text.peek().trim();
      setQuery({ q: own.current || undefined, page: undefined });
    }, 120);
    return () => clearTimeout(due);
  }, [text.value]);
  return <SearchBox label={t.keys.search} hint={t.keys.searchHint} value={text.value} onValue={(value) => (text.value = value)} />;
}

/** A list with a word, or without it. */
const listed = (list: string[], word: string, on: boolean) => (on ? [...list, word] : list.filter((other) => other !== word));

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
            <Tick key={word} checked={status.includes(word)} onChecked={(on) => set(listed(status, word, on))}>
              <span class={`dot ${tone}`} />
              {word}
              <span class="count">{count(n)}</span>
            </Tick>
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
            <Tick key={id} checked={!hidden.includes(id)} onChecked={(on) => prefer({ hidden: listed(hidden, id, !on) })}>
              {t.keys.column[id]}
            </Tick>
          ))}
          <hr />
          {optional.map((id) => (
            <Tick key={id} checked={columns.includes(id)} onChecked={(on) => prefer({ columns: listed(columns, id, on) })}>
              {t.keys.column[id]}
            </Tick>
          ))}
          <button type="button" class="button small full" data-stop onClick={() => prefer({ columns: [], hidden: [] })}>
            {t.keys.resetColumns}
          </button>
        </>
      )}
    </Pop>
  );
}

/** The issuer whose keys are listed, if the link of an issuer's page chose one. */
function IssuerFilter() {
  const { issuer } = query.value;
  if (!issuer) return null;
  return (
    <button type="button" class="button" aria-label={t.keys.ofIssuer(issuer)} data-tip={t.keys.ofIssuer(issuer)} aria-pressed onClick={() => setQuery({ issuer: undefined, page: undefined })}>
      <span class="cut">{issuer}</span>
      <Icon name="close" />
    </button>
  );
}

/** The children are what the list says while its order does not change. */
export function Toolbar({ children }: { children: ComponentChildren }) {
  return (
    <div class="toolbar">
      <Search />
      <div class="tools">
      <StatusFilter />
      <IssuerFilter />
      <span class="gap" role="status">
        {children}
      </span>
      <button type="button" class="button wide-only" aria-pressed={prefs.value.absolute} data-tip={t.top.absolute} aria-label={t.top.absolute} onClick={() => prefer({ absolute: !prefs.value.absolute })}>
        <Icon name="wait" />
      </button>
      <Columns />
      </div>
    </div>
  );
}
