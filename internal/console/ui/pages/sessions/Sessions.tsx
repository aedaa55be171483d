// The sessions of all people, by subject.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { forEach } from "../../app/commands";
import { api, failureOf, issuerPath, Refusal } from "../../app/api";
import { each } from "../../app/pool";
import { current, link, setQuery } from "../../app/router";
import { namespace, switchNamespace } from "../../app/scope";
import { issuers, keys } from "../../app/store";
import { count } from "../../app/time";
import type * as wire from "../../app/wire";
import { Banner, Empty } from "../../parts/Box";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Confirm } from "../../parts/Confirm";
import { Tick } from "../../parts/Field";
import { Icon } from "../../parts/Icon";
import { Page, setup } from "../../parts/Page";
import { Options, SearchBox } from "../../parts/Search";
import { toast } from "../../parts/Toast";
import { t } from "../../text";
import { change, mayChangeEach } from "../keys/actions";
import { Refused } from "../keys/States";
import { lastUse } from "../keys/view";
import { groupsOf, isLive, reuse, type Group } from "./groups";
import { deviceName, ReasonChip, SessionTable, type Shown } from "./Table";

const step = 50;
const every = "all";

/** Ends sessions; what failed is thrown. */
async function end(rows: readonly wire.KeyRow[]): Promise<void> {
  const failed: string[] = [];
  await each(rows, async (row) => {
    try {
      await change(row, "revoke");
    } catch (error) {
      failed.push(failureOf(error).message);
    }
  });
  if (rows.length > failed.length) toast(t.sessions.done(rows.length - failed.length));
  if (failed.length > 0) throw new Refusal({ code: 0, message: t.sessions.failed(failed.length, failed[0] ?? "") });
}

function shown(row: wire.KeyRow, why: string | undefined): Shown {
  const { session, uid, ns, name, audience, device, expiresAt, revokedAt, revocationReason } = row;
  return {
    id: uid,
    href: link(`keys/${ns}/${name}`),
    audience,
    client: session?.client,
    method: session?.method,
    provider: session?.provider,
    device,
    startedAt: session?.startedAt ?? row.madeAt,
    lastUsed: lastUse(row),
    expiresAt,
    revokedAt,
    live: isLive(row),
    why,
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
        .get<wire.IssuerDetail>(issuerPath(name), { automatic: true })
        .then((detail) => (limits.value = { ...limits.peek(), [name]: detail }))
        .catch(() => undefined);
  }, [names.join()]);
  return limits.value;
}

function Subject({ group, limit, onEnd }: { group: Group; limit: number; onEnd: (rows: wire.KeyRow[]) => void }) {
  const { subject, issuer, live, over, reused } = group;
  const rows = [...(reused ? over.filter(({ revocationReason }) => revocationReason === reuse) : []), ...live, ...over.filter(({ revocationReason }) => revocationReason !== reuse)];
  const reasons = mayChangeEach(live);
  const why = reasons.every((reason) => reason !== undefined) ? reasons[0] : undefined;
  const account = /^system:serviceaccount:/.test(subject);
  return (
    <section class="card table-card" aria-label={subject}>
      <header>
        <h2 class="who-is">
          <Icon name={account ? "key" : "person"} />
          <span>
            <span class="mono">{subject}</span> {issuers.byUID.size > 1 && <span class="quiet">{issuer}</span>} <span class="count">{t.sessions.active(live.length, limit)}</span>
          </span>
        </h2>
        {live.length > 1 && (
          <Button class="button small danger" label={t.sessions.endAllOf(subject)} why={why} onClick={() => onEnd(live)}>
            {t.sessions.endAll}
          </Button>
        )}
      </header>
      {reused && (
        <div class="inset">
          <Banner tone="bad">
            <strong>{reuse}.</strong> {t.sessions.reusedText}
          </Banner>
        </div>
      )}
      <SessionTable rows={rows.map((row) => shown(row, reasons[live.indexOf(row)]))} onEnd={(uid) => onEnd(rows.filter((row) => row.uid === uid))} />
    </section>
  );
}

function Bar({ methods, method, ended, q }: { methods: string[]; method: string; ended: boolean; q: string }) {
  return (
    <div class="bar">
      <SearchBox label={t.sessions.search} hint={t.sessions.searchHint} value={q} onValue={(value) => setQuery({ q: value })} />
      <Options label={t.sessions.methods} ids={[every, ...methods]} at={method} onChoose={(id) => setQuery({ method: id === every ? undefined : id })} face={(id) => t.sessions.method[id] ?? id} />
      <Tick checked={ended} onChecked={(on) => setQuery({ ended: on ? "1" : undefined })}>
        {t.sessions.ended}
      </Tick>
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
        <Button onClick={() => switchNamespace(to)}>
          {t.top.show}
        </Button>
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
            <Button class="button" onClick={() => (most.value += step)}>
              {t.sessions.more(groups.length - most.value)}
            </Button>
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
