// What happens next, the tokens on record, and what happened.
import type { ComponentChildren } from "preact";
import type * as wire from "../../app/wire";
import { Card } from "../../parts/Box";
import { capital } from "../../app/time";
import { Time } from "../../parts/Time";
import { t } from "../../text";

type Kind = "next" | "blocked" | "current" | "superseded" | "past";

function Item({ kind, at, title, children }: { kind: Kind; at?: string | undefined; title?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <li class={kind}>
      {at && (
        <span class="when">
          <Time at={at} stop />
        </span>
      )}
      {title && <strong>{title}</strong>}
      {children}
    </li>
  );
}

// The tokens on record show when they were issued, and the row when it was revoked.
const happened = new Set(["Retired"]);

export function Timeline({ row, detail }: { row: wire.KeyRow; detail: wire.KeyDetail }) {
  const { next, revisions, events } = detail;
  // The future is above, the latest first.
  const later = next.filter(({ at }) => at).sort((a, b) => (b.at ?? "").localeCompare(a.at ?? ""));
  const open = next.filter(({ at }) => !at);
  const ended = events.filter(({ reason }) => happened.has(reason)).slice(0, 5);
  return (
    <Card title={t.key.timeline} id="timeline">
      <ol class="timeline">
        {later.map(({ what, at, sentence }) => (
          <Item key={what + (at ?? "")} kind="next" at={at}>
            <p>{capital(sentence)}</p>
          </Item>
        ))}
        {open.map(({ what, sentence }) => (
          <Item key={what + sentence} kind={what === "Blocked" ? "blocked" : "next"}>
            <p>{capital(sentence)}</p>
          </Item>
        ))}
        {revisions.map(({ number, state, createdAt, lastUsed, jti }) => (
          <Item key={number} kind={state === "current" ? "current" : state === "superseded" ? "superseded" : "past"} at={createdAt} title={t.key.revision(number)}>
            <span class="state">{t.key.states[state] ?? state}</span>
            <p>
              {lastUsed ? (
                <>
                  {t.key.used} <Time at={lastUsed} stop />
                </>
              ) : (
                t.key.notUsed
              )}
              {jti && <span class="mono cut">{jti}</span>}
            </p>
          </Item>
        ))}
        {row.revokedAt && (
          <Item kind="past" at={row.revokedAt} title={t.key.revokedTitle}>
            {row.revocationReason && <p>{t.key.because(row.revocationReason)}</p>}
            {detail.revocationNote && <p>{detail.revocationNote}</p>}
          </Item>
        )}
        {ended.map(({ at, reason, note }) => (
          <Item key={at + reason} kind="past" at={at} title={reason}>
            <p>{note}</p>
          </Item>
        ))}
        <Item kind="past" at={row.madeAt} title={t.key.made} />
      </ol>
    </Card>
  );
}
