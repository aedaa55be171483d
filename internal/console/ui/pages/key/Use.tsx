// How a workload uses the key, with this key's names filled in.
import { useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { Card, Code } from "../../parts/Box";
import { t } from "../../text";

export function Use({ list, accessToken }: { list: wire.Snippet[]; accessToken: boolean | undefined }) {
  const at = useSignal(0);
  const tabs = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    at.value = (at.value + step + list.length) % list.length;
    (tabs.current?.children[at.value] as HTMLElement | undefined)?.focus();
  };
  const shown = list[Math.min(at.value, list.length - 1)];
  return (
    <Card title={t.key.useIt} id="use">
      <div class="inside">
        <div ref={tabs} class="tabs" role="tablist" aria-labelledby="use" onKeyDown={onKeyDown}>
          {list.map(({ name }, i) => (
            <button key={name} type="button" role="tab" id={`use-${i}`} aria-selected={i === at.value} aria-controls="use-panel" tabIndex={i === at.value ? 0 : -1} onClick={() => (at.value = i)}>
              {name}
            </button>
          ))}
        </div>
        <div id="use-panel" role="tabpanel" aria-labelledby={`use-${at.value}`}>
          {shown && <Code text={shown.text} what={shown.name} />}
        </div>
        <p class="quiet">{accessToken ? t.key.useAccess : t.key.useHint}</p>
      </div>
    </Card>
  );
}
