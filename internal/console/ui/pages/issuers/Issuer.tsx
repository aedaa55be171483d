// The page of an issuer.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { api, failureOf, issuerPath } from "../../app/api";
import { can, refusal } from "../../app/can";
import { link } from "../../app/router";
import { namespace } from "../../app/scope";
import { issuers, keys } from "../../app/store";
import { capital, count } from "../../app/time";
import type { PageProps } from "../../routes";
import { Banner, Card, Empty, Fact, Facts, FailureBanner, Marked } from "../../parts/Box";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Page, setup } from "../../parts/Page";
import { t } from "../../text";
import { Conditions, Events, ObjectText } from "../key/Record";
import { statuses } from "../keys/view";
import { seconds } from "../create/spans";
import { RotateDialog, WithdrawDialog } from "./Dialogs";
import { Policy } from "./Policy";
import { Rings } from "./Rings";

function About({ detail }: { detail: wire.IssuerDetail }) {
  const f = t.issuers.facts;
  const { row, tokenEndpoint, jwksURI, endpointURL } = detail;
  const at = (name: string, url: string | undefined) =>
    url ? (
      <Fact name={name} copy={url}>
        <span class="mono">{url}</span>
      </Fact>
    ) : null;
  return (
    <Card title={t.issuers.about} id="about">
      <div class="inside">
        <Facts>
          {at(f.url, row.url)}
          {at(f.token, tokenEndpoint)}
          {jwksURI && (
            <Fact name={f.jwks} copy={jwksURI}>
              <a class="mono" href={jwksURI} target="_blank" rel="noreferrer">
                {jwksURI}
              </a>
            </Fact>
          )}
          {at(f.inside, endpointURL)}
          <Fact name={f.algorithm}>{row.algorithm}</Fact>
          {row.sessionNamespace && (
            <Fact name={f.sessions}>
              <a href={link("sessions", { ns: row.sessionNamespace })}>{row.sessionNamespace}</a>
            </Fact>
          )}
          {detail.facts.map(({ name, value }) => (
            <Fact key={name} name={name}>
              {value}
            </Fact>
          ))}
        </Facts>
      </div>
    </Card>
  );
}

function Usage({ detail }: { detail: wire.IssuerDetail }) {
  void keys.version.value;
  const own = keys.all().filter(({ issuer }) => issuer === detail.row.name);
  const live = own.filter(({ session, revokedAt, status }) => session && !revokedAt && status !== "Expired").length;
  const max = detail.maxSessions ?? 0;
  return (
    <Card title={t.issuers.usage} id="usage">
      <div class="inside">
        <h3>{t.issuers.byStatus(namespace.value)}</h3>
        {own.length === 0 && <p class="quiet">{keys.failure.value?.message ?? t.issuers.noKeys}</p>}
        <ul class="amounts">
          {statuses(own).map(([word, n, tone]) => (
            <li key={word}>
              <Chip tone={tone} word={word} />
              <svg height="8" aria-hidden="true" class={tone}>
                <rect width={`${Math.max(1, (100 * n) / own.length)}%`} height="8" rx="4" />
              </svg>
              <a href={link("keys", { issuer: detail.row.name, status: word, ns: namespace.value })}>{count(n)}</a>
            </li>
          ))}
        </ul>
        {max > 0 && (
          <>
            <h3>{t.issuers.sessions}</h3>
            <p>
              {t.issuers.sessionsOf(count(live), count(max))} <span class="quiet">{t.issuers.perSubject(count(detail.sessionsPerSubject ?? 0))}</span>
            </p>
            <progress max={max} value={live} aria-label={t.issuers.sessions} />
          </>
        )}
      </div>
    </Card>
  );
}

/** How long a signing key signs, in ms. */
function rotateAfter(detail: wire.IssuerDetail): number {
  const spec = (detail.object as { spec?: { signing?: { rotateAfter?: string } } } | undefined)?.spec;
  return (seconds(spec?.signing?.rotateAfter ?? "2160h") ?? 0) * 1000;
}

function Content({ detail }: { detail: wire.IssuerDetail }) {
  const asked = useSignal<"rotate" | wire.SigningKey | undefined>(undefined);
  const close = () => (asked.value = undefined);
  const no = refusal(can({ verb: "patch", resource: "jwtissuers", name: detail.row.name }).value);
  const why = no && (no.reason || t.key.mayNot("patch", detail.row.name));
  const { row, guidance } = detail;
  return (
    <>
      {row.tone !== "good" && row.message && <Banner tone={row.tone === "wait" ? "wait" : "bad"}>{row.message}</Banner>}
      {guidance && (row.tone !== "good" || detail.conditions?.some(({ type }) => type === "TrustBundle")) && (
        <Banner tone="info">
          <Marked text={capital(guidance.means)} />. <strong>{t.key.whatToDo}</strong> <Marked text={guidance.do} />.
        </Banner>
      )}
      <Card
        title={t.issuers.rings}
        id="rings"
        aside={
          <Button why={why} onClick={() => (asked.value = "rotate")}>
            {t.issuers.rotate}
          </Button>
        }
      >
        <Rings detail={detail} rotateAfter={rotateAfter(detail)} why={why} onWithdraw={(key) => (asked.value = key)} />
      </Card>
      <div class="halves">
        <About detail={detail} />
        <Usage detail={detail} />
      </div>
      <Policy detail={detail} />
      <div class="halves">
        <Conditions conditions={detail.conditions ?? []} />
        <Events events={detail.events} failure={detail.eventsFailure} />
      </div>
      <ObjectText yaml={detail.yaml} command={`kubectl get jwtissuer ${row.name} -o yaml`} />
      {asked.value === "rotate" ? <RotateDialog row={row} onClose={close} /> : asked.value && <WithdrawDialog row={row} signing={asked.value} onClose={close} />}
    </>
  );
}

function NoIssuer({ name }: { name: string }) {
  return (
    <div class="card">
      <Empty icon="search" title={t.issuers.none} action={<a class="button" href={link("issuers")}>{t.issuers.toList}</a>}>
        <p>{t.issuers.noneText(name)}</p>
      </Empty>
    </div>
  );
}

export function Issuer({ params }: PageProps) {
  const name = params["name"] ?? "";
  const detail = useSignal<wire.IssuerDetail | undefined>(undefined);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  void issuers.version.value;
  const live = issuers.all().find((row) => row.name === name);
  const state = JSON.stringify(live);
  useEffect(() => {
    const stop = new AbortController();
    api
      .get<wire.IssuerDetail>(issuerPath(name), { stop: stop.signal, automatic: detail.peek() !== undefined })
      .then((answer) => {
        detail.value = answer;
        failure.value = undefined;
      })
      .catch((error: unknown) => {
        if (!stop.signal.aborted) failure.value = failureOf(error);
      });
    return () => stop.abort();
  }, [state]);
  const row = live ?? detail.value?.row;
  return (
    <Page title={name} crumbs={setup({ text: t.issuers.title, href: link("issuers") }, { text: name })} beside={row && <Chip tone={row.tone} word={row.status} tip={row.message} />}>
      <div class="column">
        {failure.value?.code === 404 ? <NoIssuer name={name} /> : failure.value && <FailureBanner failure={failure.value} />}
        {detail.value ? <Content detail={detail.value} /> : !failure.value && <p role="status">{t.loading}</p>}
      </div>
    </Page>
  );
}
