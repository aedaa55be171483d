// The fields of the token.
import type { ComponentChildren } from "preact";
import { link } from "../../app/router";
import { shortUTC } from "../../app/time";
import { prefs } from "../../app/prefs";
import type * as wire from "../../app/wire";
import { Card, Fact, Facts } from "../../parts/Box";
import { Time } from "../../parts/Time";
import { t } from "../../text";
import { lastUse } from "../keys/view";

/** A relative time with the date behind it. */
function Moment({ at, none }: { at: string | undefined; none: string }) {
  return (
    <>
      <Time at={at} none={none} stop />
      {at && !prefs.value.absolute && <span class="quiet date">{shortUTC(Date.parse(at))}</span>}
    </>
  );
}

function Mono({ text }: { text: string | undefined }) {
  return text ? <span class="mono">{text}</span> : <span class="quiet">{t.none}</span>;
}

const parts = ["name", "browser", "os", "id", "userAgent", "address"] as const;

/** What is known of the device beside what spec says of it; what differs stands out. */
function Devices({ meant, seen, differs: others }: wire.KeyDetail): ComponentChildren {
  if (!meant && !seen) return <span class="quiet">{t.key.noDevice}</span>;
  const shown = parts.filter((part) => meant?.[part] || seen?.[part]);
  return (
    <table class="devices">
      <thead>
        <tr>
          <td />
          {seen && <th scope="col">{t.key.seen}</th>}
          {meant && <th scope="col">{t.key.meant}</th>}
        </tr>
      </thead>
      <tbody>
        {shown.map((part) => {
          const differs = others?.includes(part);
          return (
            <tr key={part} class={differs ? "differs" : undefined}>
              <th scope="row">{t.key.device[part]}</th>
              {seen && (
                <td>
                  {seen[part] ?? <span class="quiet">{t.none}</span>}
                  {differs && <small>{t.key.differs}</small>}
                </td>
              )}
              {meant && <td>{meant[part] ?? <span class="quiet">{t.none}</span>}</td>}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

export function Token({ row, detail }: { row: wire.KeyRow; detail: wire.KeyDetail }) {
  const f = t.keys.column;
  const claims = detail.content?.length ?? 0;
  return (
    <Card title={t.key.token} id="token">
      <Facts>
        <Fact name={f.audience} copy={row.audience}>
          <Mono text={row.audience} />
        </Fact>
        <Fact name={f.expiresAt}>
          <Moment at={row.expiresAt} none={t.none} />
        </Fact>
        <Fact name={f.createdAt}>
          <Moment at={row.createdAt} none={t.key.notIssued} />
        </Fact>
        <Fact name={f.revokedAt}>
          <Moment at={row.revokedAt} none={t.key.notRevoked} />
          {row.revocationReason && <span class="reason">{t.key.because(row.revocationReason)}</span>}
          {row.revokedAt && detail.revocationNote && <span class="reason">{detail.revocationNote}</span>}
        </Fact>
        <Fact name={f.lastUsed}>
          <Moment at={lastUse(row)} none={t.keys.neverUsed} />
        </Fact>
        <Fact name={t.key.content}>{claims > 0 ? <a href="#claims">{t.key.claims(claims)}</a> : <span class="quiet">{t.none}</span>}</Fact>
        <Fact name={f.tokenHash} copy={row.tokenHash}>
          <Mono text={row.tokenHash} />
        </Fact>
        <Fact name={f.jti} copy={row.jti}>
          <Mono text={row.jti} />
        </Fact>
        <Fact name={t.key.deviceInfo}>
          <Devices {...detail} />
        </Fact>
        <Fact name={f.subject} copy={detail.subject}>
          <Mono text={detail.subject} />
        </Fact>
        <Fact name={t.key.scopes}>
          {detail.scopes && detail.scopes.length > 0 ? (
            <span class="tags">
              {detail.scopes.map((scope) => (
                <code key={scope}>{scope}</code>
              ))}
            </span>
          ) : (
            <span class="quiet">{t.none}</span>
          )}
        </Fact>
        <Fact name={t.key.signedBy}>
          <a href={link(`issuers/${row.issuer}`)}>{row.issuer}</a>
          {row.keyID && <span class="mono quiet date">{row.keyID}</span>}
        </Fact>
        {row.session && (
          <Fact name={t.key.session}>
            {row.session.subject}
            <span class="quiet date">{[row.session.client, row.session.method, row.session.provider].filter(Boolean).join(", ")}</span>
          </Fact>
        )}
        {row.gitops && <Fact name={t.key.managedBy}>{row.gitops}</Fact>}
      </Facts>
    </Card>
  );
}
