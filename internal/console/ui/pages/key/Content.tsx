// The claims of the current token, with their meaning.
import { useSignal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { Card, Code } from "../../parts/Box";
import { Time } from "../../parts/Time";
import { link } from "../../app/router";
import { shortUTC } from "../../app/time";
import { t } from "../../text";

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The key that a token belongs to, and the rest of the claim. */
function Holder({ of: { namespace, name, ...rest } }: { of: Record<string, string> }) {
  return (
    <span>
      <a href={link(`keys/${namespace}/${name}`)}>{`${namespace}/${name}`}</a> <span class="mono quiet date">{text(rest)}</span>
    </span>
  );
}

export function Content({ detail }: { detail: wire.KeyDetail }) {
  const raw = useSignal(false);
  const claims = detail.content ?? [];
  if (claims.length === 0) return null;
  const whole = JSON.stringify(Object.fromEntries(claims.map(({ name, value }) => [name, value as unknown])), null, 2);
  return (
    <Card
      title={t.key.content}
      id="claims"
      aside={
        <button type="button" class="button small" aria-pressed={raw.value} onClick={() => (raw.value = !raw.value)}>
          {t.key.rawJSON}
        </button>
      }
    >
      {raw.value ? (
        <div class="inside">
          <Code text={whole} what={t.key.content} />
        </div>
      ) : (
        <dl class="facts claims">
          {claims.map(({ name, value, time, meaning }) => (
            <div key={name}>
              <dt>
                <code>{name}</code>
                {meaning && <small>{meaning}</small>}
              </dt>
              <dd>
                {time ? (
                  <span>
                    <Time at={time} stop /> <span class="quiet date">{shortUTC(Date.parse(time))}</span> <span class="mono quiet date">{text(value)}</span>
                  </span>
                ) : name === "refreshkeys.dev" ? (
                  <Holder of={value as Record<string, string>} />
                ) : (
                  <span class="mono">{text(value)}</span>
                )}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </Card>
  );
}
