// The sessions of all people, by subject.
import { useSignal } from "@preact/signals";
import { forEach } from "../../app/commands";
import { failureOf, Refusal } from "../../app/api";
import { current, link, setQuery } from "../../app/router";
import { namespace, switchNamespace } from "../../app/scope";
import { issuers, keys } from "../../app/store";
import { count } from "../../app/time";
import type * as wire from "../../app/wire";
import { api } from "../../app/api";
import { useEffect } from "preact/hooks";
import { Banner, Empty } from "../../parts/Box";
import { Chip } from "../../parts/Chip";
import { Icon } from "../../parts/Icon";
import { Confirm } from "../../parts/Confirm";
import { Page, setup } from "../../parts/Page";
import { toast } from "../../parts/Toast";
import { t } from "../../text";
import { change, mayChange } from "../keys/actions";
import { Refused } from "../keys/States";
import { lastUse } from "../keys/view";
import { groupsOf, isLive, reuse, type Group } from "./groups";
import { deviceName, ReasonChip, SessionTable, type Shown } from "./Table";

const step = 50;
const every = "all";

/** Ends sessions, five at a time; what failed is thrown. */
async function end(rows: readonly wire.KeyRow[]): Promise<void> {
  const rest = [...rows];
  const failed: string[] = [];
  const worker = async () => {
    for (let row = rest.shift(); row; row = rest.shift()) {
      try {
        await change(row, "revoke");
      } catch (error) {
        failed.push(failureOf(error).message);
      }
    }
  };
  await Promise.all([1, 2, 3, 4, 5].map(worker));
  if (rows.length > failed.length) toast(t.sessions.done(rows.length - failed.length));
  if (failed.length > 0) throw new Refusal({ code: 0, message: t.sessions.failed(failed.length, failed[0] ?? "") });
}

function shown(row: wire.KeyRow): Shown {
  const { session, uid, ns, name, audience, device, expiresAt, revokedAt, revocationReason } = row;
  return {
    id: uid,
    href: link(`keys/${ns}/${name}`),
    audience,
    method: session?.method,
    provider: session?.provider,
    device,
    startedAt: session?.startedAt ?? row.madeAt,
    lastUsed: lastUse(row),
    expiresAt,
    revokedAt,
    live: isLive(row),
    status: revocationReason ? <ReasonChip reason={revocationReason} /> : <Chip tone={row.tone} word={row.status} tip={row.message} />,
  };
}

/** The limits of the issuers with sessions, by issuer; asked once. */
function useLimits(): Record<string, wire.IssuerDetail> {
  const limits = useSignal<Record<string, wire.IssuerDetail>>({});
  void issuers.version.value;
  const names = issuers
    .all()
    .filter(({ sessionNamespace }) => sessionNamespace)
    .map(({ name }) => name);
  useEffect(() => {
    for (const name of names)
      api
        .get<wire.IssuerDetail>(`api/issuers/${encodeURIComponent(name)}`, { automatic: true })
        .then((detail) => (limits.value = { ...limits.peek(), [name]: detail }))
        .catch(() => undefined);
  }, [names.join()]);
  return limits.value;
}

function Subject({ group, limit, onEnd }: { group: Group; limit: number; onEnd: (rows: wire.KeyRow[]) => void }) {
  const { subject, issuer, live, over, reused } = group;
  const rows = [...(reused ? over.filter(({ revocationReason }) => revocationReason === reuse) : []), ...live, ...over.filter(({ revocationReason }) => revocationReason !== reuse)];
  const why = rows[0] && mayChange(rows[0]);
  const account = /^system:serviceaccount:/.test(subject);
  return (
    <section class="card table-card" aria-label={subject}>
      <header>
        <h2 class="who-is">
          <Icon name={account ? "key" : "person"} />
          <span class="mono">{subject}</span>
          {issuers.byUID.size > 1 && <span class="quiet">{issuer}</span>}
          <span class="count">{t.sessions.active(live.length, limit)}</span>
        </h2>
        {live.length > 1 && (
          <button type="button" class="button small danger" aria-label={t.sessions.endAllOf(subject)} aria-disabled={why !== undefined} data-tip={why} onClick={() => why ?? onEnd(live)}>
            {t.sessions.endAll}
          </button>
        )}
      </header>
      {reused && (
        <div class="inset">
          <Banner tone="bad">
            <strong>{reuse}.</strong> {t.sessions.reusedText}
          </Banner>
        </div>
      )}
      <SessionTable rows={rows.map(shown)} why={why} onEnd={(uid) => onEnd(rows.filter((row) => row.uid === uid))} />
    </section>
  );
}

function Bar({ methods, method, ended, q }: { methods: string[]; method: string; ended: boolean; q: string }) {
  return (
    <div class="bar">
      <div class="search" role="search">
        <Icon name="search" />
        <input type="search" data-search aria-label={t.sessions.search} placeholder={t.sessions.searchHint} autocomplete="off" spellcheck={false} value={q} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
      </div>
      <ul class="views" aria-label={t.sessions.methods}>
        {[every, ...methods].map((id) => (
          <li key={id}>
            <button type="button" aria-pressed={id === method} onClick={() => setQuery({ method: id === every ? undefined : id })}>
              {t.sessions.method[id] ?? id}
            </button>
          </li>
        ))}
      </ul>
      <label class="check">
        <input type="checkbox" checked={ended} onChange={(event) => setQuery({ ended: event.currentTarget.checked ? "1" : undefined })} />
        {t.sessions.ended}
      </label>
    </div>
  );
}

function Elsewhere() {
  const ns = namespace.value;
  const other = issuers.all().find(({ sessionNamespace }) => sessionNamespace && ns && sessionNamespace !== ns);
  if (!other?.sessionNamespace) return null;
  const to = other.sessionNamespace;
  return (
    <Banner
      tone="info"
      action={
        <button type="button" class="button small" onClick={() => switchNamespace(to)}>
          {t.top.show}
        </button>
      }
    >
      {t.sessions.elsewhere(other.name, to)}
    </Banner>
  );
}

function Content() {
  const limits = useLimits();
  const asked = useSignal<wire.KeyRow[] | undefined>(undefined);
  const most = useSignal(step);
  void keys.version.value;
  const { query } = current.value;
  const wanted = { q: query.get("q") ?? "", method: query.get("method") ?? every, ended: query.has("ended") };
  const failure = keys.failure.value;
  if (failure) return <Refused failure={failure} />;
  if (!keys.complete.value) return <p role="status">{t.loading}</p>;
  const all = keys.all().filter(({ session }) => session);
  const groups = groupsOf(all, wanted);
  const rows = asked.value;
  const subject = rows?.[0]?.session?.subject ?? "";
  return (
    <div class="column">
      <Elsewhere />
      {all.length === 0 ? (
        <div class="card">
          <Empty icon="sessions" title={t.sessions.empty}>
            <p>{t.sessions.emptyText}</p>
          </Empty>
        </div>
      ) : (
        <>
          <Bar {...wanted} methods={[...new Set(all.map(({ session }) => session?.method ?? ""))].filter(Boolean).sort()} />
          <p class="quiet" role="status">
            {t.sessions.people(new Set(groups.map(({ subject }) => subject)).size)}
            {Object.values(limits).map(({ row, maxSessions }) => (
              <span key={row.uid} class="limit">
                {t.sessions.activeOf(count(all.filter((key) => key.issuer === row.name && isLive(key)).length), count(maxSessions ?? 0), row.name)}
              </span>
            ))}
          </p>
          {groups.length === 0 && <p class="quiet">{t.sessions.noMatch}</p>}
          {groups.slice(0, most.value).map((group) => (
            <Subject key={group.issuer + group.subject} group={group} limit={limits[group.issuer]?.sessionsPerSubject ?? 0} onEnd={(list) => (asked.value = list)} />
          ))}
          {groups.length > most.value && (
            <button type="button" class="button" onClick={() => (most.value += step)}>
              {t.sessions.more(groups.length - most.value)}
            </button>
          )}
        </>
      )}
      {rows && (
        <Confirm act={t.sessions.end} title={t.sessions.ask(rows.length)} typed={rows.length > 1 ? t.sessions.word(rows.length) : undefined} command={forEach("revoke", rows)} run={() => end(rows)} onClose={() => (asked.value = undefined)}>
          <p>
            <strong class="mono">{subject}</strong>
            {rows.length === 1 && `, ${deviceName(rows[0]?.device)}`}
          </p>
          <p>{t.sessions.askText}</p>
        </Confirm>
      )}
    </div>
  );
}

export function Sessions() {
  return (
    <Page title={t.sessions.title} crumbs={setup({ text: t.sessions.title })} lead={<p class="lead">{t.sessions.lead}</p>}>
      <Content />
    </Page>
  );
}
