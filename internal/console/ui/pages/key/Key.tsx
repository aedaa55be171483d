// The page of one key.
import { useEffect, useMemo } from "preact/hooks";
import { commands } from "../../app/commands";
import { created } from "../../app/created";
import { now } from "../../app/clock";
import { link } from "../../app/router";
import { listLink } from "../../app/scope";
import { ago } from "../../app/time";
import type * as wire from "../../app/wire";
import { Button } from "../../parts/Button";
import { Banner, Empty, FailureBanner, Marked } from "../../parts/Box";
import { Chip } from "../../parts/Chip";
import { Loading, Page, setup, type Crumb } from "../../parts/Page";
import type { PageProps } from "../../routes";
import { t } from "../../text";
import { Asked } from "../keys/Asked";
import { Actions } from "./Actions";
import { Content } from "./Content";
import { Conditions, Events, ObjectText, Settings } from "./Record";
import { Reveal } from "./Reveal";
import { Timeline } from "./Timeline";
import { Token } from "./Token";
import { Use } from "./Use";
import { openKey } from "./state";

function crumbs(ns: string, name: string): Crumb[] {
  return setup({ text: t.keys.title, href: listLink("keys") }, { text: ns, href: link("keys", { ns }) }, { text: name });
}

/** What the status means, and what to do. */
function Standing({ row, detail }: { row: wire.KeyRow; detail: wire.KeyDetail }) {
  const { guidance } = detail;
  if (row.tone === "good") return <p class="lead">{row.message}</p>;
  return (
    <div class="standing">
      <Banner tone={row.tone === "bad" ? "bad" : row.tone === "wait" ? "wait" : "info"}>
        <p>{row.message || row.status}</p>
        {guidance && (
          <p class="advice">
            <strong>{t.key.whatToDo}</strong> <Marked text={guidance.do} />.
          </p>
        )}
      </Banner>
    </div>
  );
}

function Created({ ns, name, detail }: { ns: string; name: string; detail: wire.KeyDetail }) {
  const made = created.value;
  if (!made || made.ns !== ns || made.name !== name) return null;
  return (
    <div class="standing">
      {made.took === undefined ? (
        <Banner tone="wait">{t.key.creating}</Banner>
      ) : (
        <Banner tone="good">
          <strong>{t.key.readyIn(made.took)}</strong> {detail.secretName && t.key.tokenIsIn(detail.secretName, ns)} <a href="#use">{t.key.useIt}</a>
        </Banner>
      )}
    </div>
  );
}

export function Key({ params }: PageProps) {
  const { ns = "", name = "" } = params;
  const opened = useMemo(() => openKey(ns, name), [ns, name]);
  useEffect(() => opened.close, [opened]);
  const detail = opened.detail.value;
  const row = opened.row.value;
  const deleted = opened.deleted.value;
  const failure = opened.failure.value;

  if (!detail || !row) {
    return (
      <Page title={name} crumbs={crumbs(ns, name)}>
        {!failure && <Loading />}
        {failure?.code === 404 && (
          <div class="card">
            <Empty icon="search" title={t.key.notFound} action={<a class="button" href={link("keys", { ns })}>{t.key.toList(ns)}</a>}>
              <p>{t.key.notFoundText(ns, name)}</p>
            </Empty>
          </div>
        )}
        {failure && failure.code !== 404 && <FailureBanner failure={failure} action={<Button onClick={opened.reload}>{t.retry}</Button>} />}
      </Page>
    );
  }
  return (
    <Page title={name} crumbs={crumbs(ns, name)} beside={<Chip tone={row.tone} word={row.status} />} actions={deleted === undefined && <Actions row={row} detail={detail} />}>
      {deleted !== undefined ? (
        <div class="standing">
          <Banner tone="wait" action={<a class="button small" href={link("keys", { ns })}>{t.key.toList(ns)}</a>}>
            {t.key.deleted(ago(deleted, now.value))}
          </Banner>
        </div>
      ) : (
        <>
          <Created ns={ns} name={name} detail={detail} />
          <Standing row={row} detail={detail} />
        </>
      )}
      {failure && <FailureBanner failure={failure} />}
      <div class={deleted === undefined ? "columns" : "columns past"} inert={deleted !== undefined}>
        <div class="column">
          <Token row={row} detail={detail} />
          <Content detail={detail} />
          {detail.snippets && <Use list={detail.snippets} accessToken={detail.accessToken} />}
          <Events events={detail.events} failure={detail.eventsFailure} />
          <ObjectText yaml={detail.yaml} command={commands.yaml(ns, name)} />
        </div>
        <div class="column">
          <Timeline row={row} detail={detail} />
          {detail.secretName && <Reveal row={row} detail={detail} />}
          <Settings detail={detail} />
          <Conditions conditions={detail.conditions ?? []} />
        </div>
      </div>
      <Asked />
    </Page>
  );
}
