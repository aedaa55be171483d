// The state of the form: what is entered, what the API server and the policy say of it, and how it is saved.
import { useEffect, useRef } from "preact/hooks";
import { useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { api, failureOf, keyPath } from "../../app/api";
import { signedIn } from "../../app/me";
import { t } from "../../text";
import { specOf, spans, texts, type Draft, type TextID } from "./draft";
import { seconds } from "./spans";

/** The key that is edited. */
export interface Editing {
  uid: string;
  row: wire.KeyRow;
  /** The form as it was, and what the form has no field for. */
  before: Draft;
}

export interface Form {
  draft: ReadonlySignal<Draft>;
  set: (change: Partial<Draft>) => void;
  /** What is wrong with a field such as spec.audience. */
  error: (field: string) => string | undefined;
  /** What is wrong, and belongs to no field of the form. */
  others: () => wire.Cause[];
  previewed: Signal<wire.Previewed | undefined>;
  checking: Signal<boolean>;
  causes: Signal<wire.Cause[]>;
  /** What a Save was refused with, other than causes. */
  refused: Signal<wire.Failure | undefined>;
  manifest: () => { [name: string]: unknown };
  spec: () => { [name: string]: unknown };
  /** Checks what can be checked here; the answer says whether all is well. */
  complete: () => boolean;
  kept: { [name: string]: unknown };
  editing: Editing | undefined;
}

const controls = [
  "metadata.name",
  ...["audience", "lifetime", "expiresAt", "scopes", "claims", "rotation.mode", "secret.labels", "secret.accessToken", "rolloutRestart", ...Object.values(texts)].map((path) => `spec.${path}`),
];

function under(field: string | undefined, path: string): boolean {
  return field === path || !!field?.startsWith(`${path}.`) || !!field?.startsWith(`${path}[`);
}

/** What is wrong with the durations of the form, before the API server sees them. */
function spanFaults(draft: Draft): wire.Cause[] {
  const faults = spans.filter((id) => draft[id].trim() !== "" && seconds(draft[id]) === undefined).map((id: TextID) => `spec.${texts[id]}`);
  if ((draft.life === "custom" || draft.life === "until") && draft.custom.trim() !== "" && seconds(draft.custom) === undefined) faults.push("spec.lifetime");
  return faults.map((field) => ({ field, message: t.create.noSpan }));
}

export function useForm(initial: Draft, kept: { [name: string]: unknown }, editing: Editing | undefined): Form {
  const draft = useSignal(initial);
  const previewed = useSignal<wire.Previewed | undefined>(undefined);
  const checking = useSignal(false);
  const causes = useSignal<wire.Cause[]>([]);
  const missing = useSignal<wire.Cause[]>([]);
  const refused = useSignal<wire.Failure | undefined>(undefined);
  const before = useRef("");

  const spec = () => specOf(draft.value, kept);
  const manifest = () => ({ apiVersion: "jwt.refreshkeys.dev/v1alpha1", kind: "JWTRefreshKey", metadata: { name: draft.value.name.trim(), namespace: draft.value.ns }, spec: spec() });
  const { ns, audience, name } = draft.value;
  const body = ns && audience.trim() && name.trim() ? JSON.stringify({ manifest: { ...manifest(), metadata: { name: name.trim() } }, ...(editing ? { uid: editing.uid } : {}) } satisfies wire.Preview) : "";
  const inside = signedIn.value;

  useEffect(() => {
    if (body === "" || !inside) {
      checking.value = false;
      if (body === "") {
        previewed.value = undefined;
        causes.value = [];
      }
      return undefined;
    }
    const stop = new AbortController();
    checking.value = true;
    // Values that the page opens with are checked at once.
    const due = setTimeout(() => {
      api
        .post<wire.Previewed>(`${keyPath(ns)}/preview`, JSON.parse(body), { stop: stop.signal })
        .then((answer) => {
          const taken = answer.denied?.reason === "AlreadyExists" ? answer.denied : undefined;
          refused.value = undefined;
          previewed.value = taken ? { ...answer, denied: undefined } : answer;
          causes.value = [...(answer.causes ?? []), ...(taken ? [{ field: "metadata.name", message: t.create.taken(ns) }] : [])];
        })
        .catch((error: unknown) => {
          if (stop.signal.aborted) return;
          const failure = failureOf(error);
          previewed.value = undefined;
          causes.value = failure.causes ?? [];
          if (!failure.causes && failure.code !== 401) refused.value = failure;
        })
        .finally(() => {
          if (!stop.signal.aborted) checking.value = false;
        });
    }, before.current === "" ? 0 : 300);
    before.current = body;
    return () => {
      clearTimeout(due);
      stop.abort();
    };
  }, [body, ns, inside]);

  const all = () => [...missing.value, ...spanFaults(draft.value), ...causes.value];
  return {
    draft,
    previewed,
    checking,
    causes,
    refused,
    manifest,
    spec,
    kept,
    editing,
    set: (change) => {
      draft.value = { ...draft.peek(), ...change };
      refused.value = undefined;
      if (missing.peek().length > 0) missing.value = incomplete(draft.peek());
    },
    error: (field) => all().find((cause) => under(cause.field, field))?.message,
    others: () => causes.value.filter(({ field }) => !controls.some((path) => under(field, path))),
    complete: () => {
      missing.value = incomplete(draft.peek());
      return missing.value.length === 0 && spanFaults(draft.peek()).length === 0;
    },
  };
}

function incomplete({ audience, name, ns, life, until }: Draft): wire.Cause[] {
  const found: wire.Cause[] = [];
  if (!audience.trim()) found.push({ field: "spec.audience", message: t.create.needAudience });
  if (life === "until" && !until) found.push({ field: "spec.expiresAt", message: t.create.needDate });
  if (!name.trim()) found.push({ field: "metadata.name", message: t.create.needName });
  if (!ns.trim()) found.push({ field: "metadata.namespace", message: t.create.needNamespace });
  return found;
}

/** Opens what hides the first error, and puts the focus there. */
export function focusError(form: HTMLElement | null): void {
  requestAnimationFrame(() => {
    const field = form?.querySelector<HTMLElement>('[aria-invalid="true"],[data-invalid] input:checked,[data-invalid] input,[data-error]');
    for (let at = field?.parentElement; at; at = at.parentElement) if (at instanceof HTMLDetailsElement) at.open = true;
    field?.focus();
    field?.scrollIntoView({ block: "center" });
  });
}
