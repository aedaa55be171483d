// The table of sessions, which both pages show.
import type { ComponentChildren } from "preact";
import type * as wire from "../../app/wire";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Time } from "../../parts/Time";
import { t } from "../../text";
import { deviceText } from "../keys/cells";
import { onKeyDown } from "../keys/Table";
import { reuse } from "./groups";

/** A session as both pages show it. */
export interface Shown {
  id: string;
  href?: string;
  audience: string;
  client?: string | undefined;
  method?: string | undefined;
  provider?: string | undefined;
  device?: wire.Device | undefined;
  startedAt: string;
  lastUsed?: string | undefined;
  expiresAt?: string | undefined;
  revokedAt?: string | undefined;
  status: ComponentChildren;
  live: boolean;
  /** Why the person may not end it. */
  why?: string | undefined;
}

export function deviceName(device: wire.Device | undefined): string {
  return deviceText(device) || t.sessions.unknownDevice;
}

export function ReasonChip({ reason }: { reason: string }) {
  return <Chip tone={reason === reuse ? "bad" : "off"} word={reason} tip={reason === reuse ? t.sessions.reusedText : undefined} />;
}

function Row({ row, onEnd }: { row: Shown; onEnd: () => void }) {
  const c = t.sessions.columns;
  const name = deviceName(row.device);
  const host = row.provider?.replace(/^https:\/\//, "") ?? "";
  return (
    <tr class={row.live ? undefined : "over"}>
      <td class="name" data-label={c.device}>
        {row.href ? (
          <a class="cut" data-row href={row.href} title={name}>
            {name}
          </a>
        ) : (
          <strong class="cut">{name}</strong>
        )}
        <small class="cut">{[row.client, host || (t.sessions.method[row.method ?? ""] ?? row.method), row.device?.address].filter(Boolean).join(" · ")}</small>
      </td>
      <td class="audience" data-label={c.audience}>
        <span class="cut" title={row.audience}>
          {row.audience}
        </span>
      </td>
      <td data-label={c.startedAt}>
        <Time at={row.startedAt} />
      </td>
      <td data-label={c.lastUsed}>
        <Time at={row.lastUsed} none={t.never} />
      </td>
      <td data-label={c.expiresAt}>
        <Time at={row.revokedAt ?? row.expiresAt} />
      </td>
      <td class="status" data-label={c.status}>
        {row.status}
      </td>
      <td class="actions">
        {row.live && (
          <Button label={t.sessions.endOne(name)} why={row.why} onClick={onEnd}>
            {t.sessions.end}
          </Button>
        )}
      </td>
    </tr>
  );
}

export function SessionTable({ rows, onEnd }: { rows: Shown[]; onEnd: (id: string) => void }) {
  return (
    <table class="table keys-table session-table">
      <thead>
        <tr>
          {Object.entries(t.sessions.columns).map(([id, name]) => (
            <th key={id} scope="col" class={id}>
              {name}
            </th>
          ))}
          <th scope="col" class="actions">
            <span class="unseen">{t.keys.column.actions}</span>
          </th>
        </tr>
      </thead>
      <tbody onKeyDown={onKeyDown}>
        {rows.map((row) => (
          <Row key={row.id} row={row} onEnd={() => onEnd(row.id)} />
        ))}
      </tbody>
    </table>
  );
}
