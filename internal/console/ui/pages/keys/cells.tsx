// The cells of the list.
import type { ComponentChildren } from "preact";
import type { KeyRow } from "../../app/wire";
import { link } from "../../app/router";
import { Chip } from "../../parts/Chip";
import { Time } from "../../parts/Time";
import { t } from "../../text";
import { lastUse, type ColumnID } from "./view";

/** The device in few words. */
export function deviceText(device: KeyRow["device"]): string {
  if (!device) return "";
  return device.name || [device.browser, device.os].filter(Boolean).join(", ") || device.userAgent || device.id || "";
}

function mono(text: string | undefined, none = t.none): ComponentChildren {
  return text ? (
    <span class="mono cut" title={text}>
      {text}
    </span>
  ) : (
    <span class="quiet">{none}</span>
  );
}

export const cells: Record<ColumnID, (row: KeyRow) => ComponentChildren> = {
  name: (row) => (
    <>
      <a class="cut" href={link(`keys/${row.ns}/${row.name}`)} data-row title={row.name}>
        {row.name}
      </a>
      <small class="cut">
        {row.ns}
        {row.session && ` · ${t.keys.session}`}
      </small>
    </>
  ),
  audience: (row) => (
    <span class="cut" title={row.audience}>
      {row.audience}
    </span>
  ),
  status: (row) => (
    <>
      <Chip tone={row.tone} word={row.status} tip={row.message} />
      {row.tone !== "good" && row.message && (
        <small class="cut" title={row.message}>
          {row.revocationReason ?? row.message}
        </small>
      )}
      {row.tone === "good" && row.waits && (
        <small class="cut" title={row.waits}>
          {row.waits}
        </small>
      )}
    </>
  ),
  expiresAt: (row) => <Time at={row.expiresAt} />,
  lastUsed: (row) => (
    <>
      <Time at={lastUse(row)} none={t.keys.neverUsed} />
      {row.device && (
        <small class="cut" title={deviceText(row.device)}>
          {deviceText(row.device)}
        </small>
      )}
    </>
  ),
  createdAt: (row) => <Time at={row.createdAt} />,
  revision: (row) => (
    <>
      {row.revision ?? <span class="quiet">{t.none}</span>}
      {row.overlap ? (
        <small class="overlap" data-tip={t.keys.overlapTip(row.overlap)}>
          {t.keys.overlap(row.overlap)}
        </small>
      ) : null}
    </>
  ),
  issuer: (row) => (
    <a class="cut plain-link" href={link(`issuers/${row.issuer}`)} tabIndex={-1}>
      {row.issuer}
    </a>
  ),
  subject: (row) => mono(row.subject, t.keys.defaultSubject),
  mode: (row) => row.mode,
  jti: (row) => mono(row.jti),
  tokenHash: (row) => mono(row.tokenHash),
  renewal: (row) => <Time at={row.renewalTime} />,
  revokedAt: (row) => <Time at={row.revokedAt} />,
};
