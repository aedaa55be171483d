// Settings, conditions, events and the object as the API server has them. The page of an issuer shows them, too.
import type * as wire from "../../app/wire";
import { Card, Code, Fact, Facts, FailureBanner } from "../../parts/Box";
import { Time } from "../../parts/Time";
import { t } from "../../text";

export function Settings({ detail }: { detail: { facts: wire.Fact[] } }) {
  if (detail.facts.length === 0) return null;
  return (
    <Card title={t.key.settings} id="settings">
      <Facts>
        {detail.facts.map(({ name, value }) => (
          <Fact key={name} name={name}>
            {value}
          </Fact>
        ))}
      </Facts>
    </Card>
  );
}

/** True is good for Ready and bad for Stalled; the others only inform. */
function toneOf({ type, status }: wire.Condition): string {
  if (type === "Ready") return status === "True" ? "good" : "bad";
  if (type === "Stalled") return status === "True" ? "bad" : "off";
  return status === "True" ? "wait" : "off";
}

export function Conditions({ conditions }: { conditions: wire.Condition[] }) {
  if (conditions.length === 0) return null;
  return (
    <Card title={t.key.conditions} id="conditions">
      <ul class="entries">
        {conditions.map((condition) => (
          <li key={condition.type}>
            <p>
              <span class={`dot ${toneOf(condition)}`} />
              <strong>{condition.type}</strong>
              <span>{condition.status}</span>
              <span class="quiet">{condition.reason}</span>
              <span class="when">
                <Time at={condition.since} stop />
              </span>
            </p>
            {condition.message && <p class="quiet">{condition.message}</p>}
          </li>
        ))}
      </ul>
    </Card>
  );
}

export function Events({ events, failure }: { events: wire.Event[]; failure: wire.Failure | undefined }) {
  return (
    <Card title={t.key.events} id="events">
      {failure ? (
        <div class="inside">
          <FailureBanner failure={failure} />
        </div>
      ) : events.length === 0 ? (
        <p class="inside quiet">{t.key.noEvents}</p>
      ) : (
        <ul class="entries">
          {events.map(({ at, type, reason, note, count }) => (
            <li key={at + reason + note}>
              <p>
                <span class={`dot ${type === "Warning" ? "wait" : "info"}`} />
                <strong>{reason}</strong>
                {type === "Warning" && <span class="quiet">{type}</span>}
                {count !== undefined && count > 1 && <span class="quiet">{t.key.times(count)}</span>}
                <span class="when">
                  <Time at={at} stop />
                </span>
              </p>
              <p class="quiet">{note}</p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

export function ObjectText({ yaml, command }: { yaml: string; command: string }) {
  return (
    <Card title={t.key.object} id="object">
      <div class="inside">
        <Code wrap text={command} what={t.command} />
        <details>
          <summary>{t.key.showYAML}</summary>
          <Code text={yaml} what={t.key.object} />
        </details>
      </div>
    </Card>
  );
}
