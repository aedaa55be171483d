// The sessions of the person who is signed in.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { api, failureOf } from "../../app/api";
import { commands } from "../../app/commands";
import { Button } from "../../parts/Button";
import { Empty, FailureBanner } from "../../parts/Box";
import { Chip } from "../../parts/Chip";
import { Confirm } from "../../parts/Confirm";
import { Page } from "../../parts/Page";
import { toast } from "../../parts/Toast";
import { t } from "../../text";
import { deviceName, ReasonChip, SessionTable } from "./Table";

interface Asked {
  title: string;
  text: string;
  body: wire.EndSessions;
  command: string;
}

export function Mine() {
  const mine = useSignal<wire.OwnSession[] | undefined>(undefined);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  const asked = useSignal<Asked | undefined>(undefined);
  const load = async () => {
    try {
      mine.value = (await api.get<wire.Mine>("api/mine")).sessions;
      failure.value = undefined;
    } catch (error) {
      failure.value = failureOf(error);
    }
  };
  useEffect(() => void load(), []);
  const run = async (body: wire.EndSessions) => {
    const { ended } = await api.post<wire.Ended>("api/mine/end", body);
    toast(t.sessions.done(ended));
    await load();
  };
  const all = mine.value ?? [];
  const isLive = ({ status }: wire.OwnSession) => status === "Active";
  const others = all.filter((session) => !session.current && isLive(session)).map(({ id }) => id);
  const one = (id: string) => {
    const session = all.find((each) => each.id === id);
    asked.value = { title: t.sessions.ask(1), text: `${deviceName(session?.device)}. ${session?.current ? t.sessions.endMineText : t.sessions.mineText}`, body: { ids: [id] }, command: commands.endOwn(id) };
  };
  const statusOf = (session: wire.OwnSession) => {
    const { current, revocationReason, status } = session;
    if (revocationReason) return <ReasonChip reason={revocationReason} />;
    return <Chip tone={isLive(session) ? "good" : "off"} word={current ? t.sessions.current : status} />;
  };
  const rows = all
    .map((session) => ({ ...session, live: isLive(session), status: statusOf(session) }))
    .sort((a, b) => Number(b.current ?? 0) - Number(a.current ?? 0) || Number(b.live) - Number(a.live) || ((a.lastUsed ?? a.startedAt) < (b.lastUsed ?? b.startedAt) ? 1 : -1));
  return (
    <Page
      title={t.sessions.mineTitle}
      crumbs={[{ text: t.nav.account }, { text: t.sessions.mineTitle }]}
      lead={<p class="lead">{t.sessions.mineLead}</p>}
      actions={
        others.length > 0 && (
          <>
            <Button class="button" onClick={() => (asked.value = { title: t.sessions.endMineAsk, text: t.sessions.endMineText, body: { all: true }, command: commands.endOwn("--all") })}>
              {t.sessions.endMine}
            </Button>
            <Button class="button danger" onClick={() => (asked.value = { title: t.sessions.endOthersAsk(others.length), text: t.sessions.mineText, body: { others: true }, command: commands.endOwn(...others) })}>
              {t.sessions.endOthers}
            </Button>
          </>
        )
      }
    >
      {failure.value && <FailureBanner failure={failure.value} />}
      {!mine.value && !failure.value && <p role="status">{t.loading}</p>}
      {mine.value && (
        <section class="card table-card" aria-label={t.sessions.mineTitle}>
          {rows.length > 0 ? <SessionTable rows={rows} onEnd={one} /> : <Empty icon="sessions" title={t.sessions.noMine} />}
        </section>
      )}
      {asked.value && (
        <Confirm act={t.sessions.end} title={asked.value.title} command={asked.value.command} run={() => run(asked.value?.body ?? {})} onClose={() => (asked.value = undefined)}>
          <p>{asked.value.text}</p>
        </Confirm>
      )}
    </Page>
  );
}
