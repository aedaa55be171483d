// The list of keys.
import { useEffect, useRef } from "preact/hooks";
import { keys } from "../../app/store";
import { stream } from "../../app/stream";
import { count } from "../../app/time";
import { prefer } from "../../app/prefs";
import { link, setQuery } from "../../app/router";
import { Button } from "../../parts/Button";
import { Icon } from "../../parts/Icon";
import { Loading, Page, setup } from "../../parts/Page";
import { t } from "../../text";
import { BulkBar } from "./Bulk";
import { Asked } from "./Asked";
import { KeysTable } from "./Table";
import { NoKeys, NoMatch, Refused } from "./States";
import { Toolbar, Views } from "./Toolbar";
import { filtered, follow, held, page, pending, selection, showChanges, total } from "./state";

function Live() {
  const { state } = stream.value;
  if (keys.failure.value) return null;
  const live = state === "live";
  return (
    <span class={live ? "live on" : "live"} data-tip={live ? t.keys.liveTip : undefined}>
      {live ? t.keys.live : state === "connecting" ? t.keys.connecting : t.keys.paused}
    </span>
  );
}

function Pager() {
  const { at, last, size, of } = page.value;
  const from = of === 0 ? 0 : (at - 1) * size + 1;
  const to = Math.min(of, at * size);
  const turn = (n: number) => {
    setQuery({ page: n > 1 ? String(n) : undefined });
    scrollTo(0, 0);
  };
  return (
    <div class="pager">
      <label>
        {t.keys.perPage}
        <select value={size} onChange={(event) => prefer({ size: Number(event.currentTarget.value) })}>
          {[50, 100, 200].map((n) => (
            <option key={n} value={n}>
              {n}
            </option>
          ))}
        </select>
      </label>
      <span role="status">{t.keys.range(count(from), count(to), count(of))}</span>
      <span class="buttons">
        <button type="button" class="button icon-only" aria-label={t.keys.previous} disabled={at <= 1} onClick={() => turn(at - 1)}>
          <Icon name="left" />
        </button>
        <button type="button" class="button icon-only" aria-label={t.keys.next} disabled={at >= last} onClick={() => turn(at + 1)}>
          <Icon name="right" />
        </button>
      </span>
    </div>
  );
}

function Content() {
  const failure = keys.failure.value;
  if (failure) return <Refused failure={failure} />;
  if (!keys.complete.value) return <Loading />;
  if (total.value === 0) return <NoKeys />;
  return (
    <>
      <Views />
      <List />
      <BulkBar />
    </>
  );
}

// The search is no reason to hold: what is typed there changes the order anyway.
const holds = ":hover, :has(:focus-visible:not([data-search]), :popover-open)";

/** The card of the table. Its order does not change while a person works in it. */
function List() {
  const card = useRef<HTMLElement>(null);
  const from = useRef<HTMLElement>(undefined);
  const check = () => void setTimeout(() => (held.value = card.current?.matches(holds) ?? false));
  useEffect(() => () => void (held.value = false), []);
  const show = () => {
    showChanges();
    // The button goes, and the focus where it was in the rows.
    requestAnimationFrame(() => (from.current?.isConnected ? from.current : card.current?.querySelector<HTMLElement>("tbody a"))?.focus({ preventScroll: true }));
  };
  return (
    <section
      ref={card}
      class="card table-card"
      aria-label={t.keys.title}
      onPointerEnter={check}
      onPointerLeave={check}
      onFocusOut={check}
      onFocusIn={(event) => {
        const at = event.target as HTMLElement;
        if (at.closest("tbody")) from.current = at;
        check();
      }}
    >
      <Toolbar>
        {pending.value > 0 && (
          <Button class="button changes" onClick={show}>
            {t.keys.changes(pending.value)}
          </Button>
        )}
      </Toolbar>
      {page.value.of === 0 && filtered.value ? (
        <NoMatch />
      ) : (
        <>
          <KeysTable />
          <Pager />
        </>
      )}
    </section>
  );
}

export function Keys() {
  useEffect(() => {
    const stop = follow();
    return () => {
      stop();
      selection.value = new Set();
    };
  }, []);
  return (
    <Page
      title={t.keys.title}
      crumbs={setup({ text: t.keys.title })}
      beside={<Live />}
      actions={
        <a class="round" href={link("keys/new")} aria-label={t.keys.create} data-tip={t.keys.create}>
          <Icon name="plus" big />
        </a>
      }
    >
      <Content />
      <Asked />
    </Page>
  );
}
