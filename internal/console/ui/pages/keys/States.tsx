// What the list shows in place of rows.
import { useEffect } from "preact/hooks";
import { useComputed, useSignal } from "@preact/signals";
import { can } from "../../app/can";
import { link, setQuery } from "../../app/router";
import { namespace, namespaces, switchNamespace } from "../../app/scope";
import { retryStream } from "../../app/stream";
import type * as wire from "../../app/wire";
import { Button } from "../../parts/Button";
import { Code, Empty } from "../../parts/Box";
import { submits, TextField } from "../../parts/Field";
import { t } from "../../text";

/** At most so many namespaces are asked about, as the server does, and so many are offered. */
const mostAsked = 500;
const mostOffered = 200;

const manifest = (ns: string) => `apiVersion: jwt.refreshkeys.dev/v1alpha1
kind: JWTRefreshKey
metadata:
  name: orders
  namespace: ${ns || "default"}
spec:
  audience: https://orders.example.com
  lifetime: 720h
`;

export function NoKeys() {
  const ns = namespace.value;
  return (
    <div class="card">
      <Empty
        icon="key"
        title={ns ? t.keys.empty.inNamespace(ns) : t.keys.empty.title}
        action={
          <a class="button primary" href={link("keys/new")}>
            {t.keys.create}
          </a>
        }
      >
        <p>{t.keys.what}</p>
        <details>
          <summary>{t.keys.empty.manifest}</summary>
          <Code text={manifest(ns)} what={t.key.manifest} />
        </details>
      </Empty>
    </div>
  );
}

export function NoMatch() {
  const clear = () => setQuery({ q: undefined, issuer: undefined, status: undefined, view: undefined, expiring: undefined, unused: undefined, page: undefined });
  return (
    <Empty
      icon="search"
      title={t.keys.noMatch.title}
      action={
        <Button class="button" onClick={clear}>
          {t.keys.noMatch.clear}
        </Button>
      }
    >
      <p>{t.keys.noMatch.text}</p>
    </Empty>
  );
}

/** Namespaces to choose from. */
function Choices({ names }: { names: string[] }) {
  return (
    <ul class="choices">
      {names.map((name) => (
        <li key={name}>
          <Button onClick={() => switchNamespace(name)}>
            {name}
          </Button>
        </li>
      ))}
    </ul>
  );
}

/** Asks for a namespace by its name. */
function AskNamespace() {
  const ns = useSignal("");
  return (
    <form
      class="inline"
      onSubmit={submits(() => {
        if (ns.value.trim()) switchNamespace(ns.value.trim());
      })}
    >
      <TextField label={t.keys.forbidden.type} value={ns.value} onValue={(value) => (ns.value = value)} />
      <button type="submit" class="button">
        {t.keys.forbidden.open}
      </button>
    </form>
  );
}

function Again() {
  return (
    <Button class="button" onClick={retryStream}>
      {t.retry}
    </Button>
  );
}

function Forbidden({ failure }: { failure: wire.Failure }) {
  const ns = namespace.value;
  const all = namespaces.value;
  const allowed = useComputed(() => (namespaces.value ?? []).slice(0, mostAsked).filter((name) => can({ verb: "list", resource: "jwtrefreshkeys", ns: name }).value.allowed));
  useEffect(() => {
    for (const name of (all ?? []).slice(0, mostAsked)) can({ verb: "list", resource: "jwtrefreshkeys", ns: name });
  }, [all]);
  return (
    <div class="card">
      <Empty
        icon="off"
        title={ns ? t.keys.forbidden.titleIn(ns) : t.keys.forbidden.title}
        action={<Again />}
      >
        <p>{t.keys.forbidden.text}</p>
        {allowed.value.length > 0 && (
          <>
            <h3>{t.keys.forbidden.allowed}</h3>
            <Choices names={allowed.value} />
          </>
        )}
        {(!all || all.length > mostAsked) && <AskNamespace />}
        {failure.ask && (
          <>
            <h3>{t.keys.forbidden.ask}</h3>
            <Code text={failure.ask} what={t.command} wrap />
          </>
        )}
        <p class="quiet">{failure.message}</p>
      </Empty>
    </div>
  );
}

function Missing() {
  return (
    <div class="card">
      <Empty
        icon="info"
        title={t.keys.missing.title}
        action={<Again />}
      >
        <p>{t.keys.missing.text}</p>
        <Code text="kubectl get crd jwtrefreshkeys.jwt.refreshkeys.dev jwtissuers.jwt.refreshkeys.dev" what={t.command} wrap />
      </Empty>
    </div>
  );
}

function TooMany() {
  const known = namespaces.value;
  return (
    <div class="card">
      <Empty icon="filter" title={t.keys.tooMany.title}>
        <p>{t.keys.tooMany.text}</p>
        {(!known || known.length > mostOffered) && <AskNamespace />}
        {known && <Choices names={known.slice(0, mostOffered)} />}
      </Empty>
    </div>
  );
}

function NoName({ failure }: { failure: wire.Failure }) {
  return (
    <div class="card">
      <Empty icon="search" title={failure.message}>
        <p>{t.keys.nameHint}</p>
        <AskNamespace />
      </Empty>
    </div>
  );
}

/** Why the keys are not shown. */
export function Refused({ failure }: { failure: wire.Failure }) {
  const Why = { Missing, TooMany, NoName }[failure.reason ?? ""] ?? Forbidden;
  return <Why failure={failure} />;
}
