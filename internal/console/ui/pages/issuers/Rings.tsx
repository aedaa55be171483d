// The rings of signing keys, and that of seal keys where people sign in, as bars on one time axis.
import type * as wire from "../../app/wire";
import { now } from "../../app/clock";
import { ago, dated, shortUTC } from "../../app/time";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Copy } from "../../parts/Copy";
import { Time } from "../../parts/Time";
import { t } from "../../text";
import { axisOf, barsOf, place, ticks, type Axis, type Bar } from "./axis";

const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
const height = 26;
const dot = " · ";
const phases = ["published", "signs", "verifies"] as const;

function Part({ axis, from, to, look }: { axis: Axis; from: number | undefined; to: number | undefined; look: string }) {
  if (from === undefined || to === undefined || to <= from) return null;
  const x = place(axis, from);
  return <rect class={look} x={`${x}%`} y="6" width={`${Math.max(0.5, place(axis, to) - x)}%`} height="14" rx="3" />;
}

function Lines({ axis, at }: { axis: Axis; at: number }) {
  const x = `${place(axis, at)}%`;
  return (
    <>
      {ticks(axis).map((tick) => (
        <line key={tick} class="tick" x1={`${place(axis, tick)}%`} x2={`${place(axis, tick)}%`} y1="0" y2={height} />
      ))}
      <line class="now" x1={x} x2={x} y1="0" y2={height} />
    </>
  );
}

function Times({ bar }: { bar: Bar }) {
  const { key, ends, planned, gone } = bar;
  const iso = (at: number | undefined) => (at === undefined ? undefined : new Date(at).toISOString());
  return (
    <small>
      {t.issuers.made} <Time at={key.createdAt} />
      {key.state === "Pending" && key.activeAt && (
        <>
          {dot}
          {t.issuers.from} <Time at={key.activeAt} day />
        </>
      )}
      {key.state === "Active" && ends !== undefined && (
        <>
          {dot}
          {planned ? t.issuers.plan : t.issuers.until} <Time at={iso(ends)} day={!planned} />
        </>
      )}
      {gone !== undefined && (
        <>
          {dot}
          {t.issuers.gone} <Time at={key.retireAt} />
        </>
      )}
    </small>
  );
}

function said({ key, made, signs, ends, gone }: Bar, at: number): string {
  const i = t.issuers;
  const parts = [`${i.made} ${ago(made, at)}`, signs && `${i.from} ${dated(signs, at)}`, ends && `${i.until} ${dated(ends, at)}`, gone && `${i.gone} ${ago(gone, at)}`];
  return i.bar(key.kid.slice(0, 8), parts.filter(Boolean).join(", "));
}

function Key({ bar, axis, onWithdraw, why }: { bar: Bar; axis: Axis; onWithdraw: () => void; why: string | undefined }) {
  const { key, made, signs, ends, gone } = bar;
  const at = now.value;
  const until = gone ?? axis.to;
  return (
    <li>
      <div class="kid">
        <span>
          <code data-tip={key.kid}>{key.kid.slice(0, 8)}…</code>
          <Copy text={key.kid} what={t.issuers.copyKid} />
          <Chip tone={t.issuers.tones[key.state] ?? "off"} word={t.issuers.states[key.state] ?? key.state} /> <small>{key.algorithm}</small>
        </span>
        <Times bar={bar} />
      </div>
      <svg class="ring" height={height} role="img" aria-label={said(bar, at)} data-tip={said(bar, at).replaceAll(", ", "\n")}>
        <Lines axis={axis} at={at} />
        <Part axis={axis} from={made} to={signs ?? axis.to} look="published" />
        <Part axis={axis} from={signs} to={bar.planned ? Math.min(at, ends ?? at) : ends} look="signs" />
        {bar.planned && <Part axis={axis} from={Math.max(at, signs ?? at)} to={ends} look="signs later" />}
        {!bar.planned && <Part axis={axis} from={ends} to={until} look={gone === undefined ? "verifies later" : "verifies"} />}
      </svg>
      <Button class="button small danger" label={t.issuers.withdrawOf(key.kid.slice(0, 8))} why={why} onClick={onWithdraw}>
        {t.issuers.withdraw}
      </Button>
    </li>
  );
}

export function Rings({ detail, rotateAfter, why, onWithdraw }: { detail: wire.IssuerDetail; rotateAfter: number; why: string | undefined; onWithdraw: (key: wire.SigningKey) => void }) {
  const rings = ["refresh", "access", "seal"].map((ring) => ({ ring, bars: barsOf(detail.keys, ring, rotateAfter) })).filter(({ bars }) => bars.length);
  const axis = axisOf(
    rings.flatMap(({ bars }) => bars),
    now.value,
  );
  return (
    <div class="rings">
      <div class="legend" aria-hidden="true">
        {phases.map((phase) => (
          <span key={phase}>
            <svg width="14" height="10">
              <rect class={phase} width="14" height="10" rx="2" />
            </svg>
            {t.issuers.phases[phase]}
          </span>
        ))}
        <span>
          <svg width="2" height="14">
            <line class="now" x1="1" x2="1" y1="0" y2="14" />
          </svg>
          {t.issuers.now}
        </span>
      </div>
      {rings.map(({ ring, bars }) => {
        const [title, text] = t.issuers.ring[ring] ?? [ring, ""];
        const next = detail.nextRotation?.[ring];
        return (
          <div key={ring}>
            <h3>{title}</h3>
            <p class="hint">
              {text}
              {next && (
                <>
                  {" "}
                  {t.issuers.next} <Time at={next} stop />.
                </>
              )}
            </p>
            <ul>
              {bars.map((bar) => (
                <Key key={bar.key.kid} bar={bar} axis={axis} why={why} onWithdraw={() => onWithdraw(bar.key)} />
              ))}
            </ul>
          </div>
        );
      })}
      <svg class="ring axis" height="18" aria-hidden="true">
        {ticks(axis).map((tick) => (
          <text key={tick} x={`${place(axis, tick)}%`} y="12" text-anchor="middle">
            {day.format(tick)}
          </text>
        ))}
      </svg>
      <span class="unseen">{shortUTC(now.value)}</span>
    </div>
  );
}
