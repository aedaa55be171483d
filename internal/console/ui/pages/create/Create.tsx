// The pages that create a key and edit one.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type * as wire from "../../app/wire";
import { api, failureOf, keyPath } from "../../app/api";
import { forgetForm, mark, me } from "../../app/me";
import { current, link } from "../../app/router";
import { namespace } from "../../app/scope";
import type { PageProps } from "../../routes";
import { FailureBanner } from "../../parts/Box";
import { Page, setup } from "../../parts/Page";
import { t } from "../../text";
import { blank, draftOf, presets, type Draft } from "./draft";
import { Editor, type EditorProps } from "./Editor";
import { seconds } from "./spans";

const crumb = { text: t.nav.keys, href: link("keys") };

function specIn(detail: wire.KeyDetail): { [name: string]: unknown } {
  return ((detail.object as { spec?: unknown }).spec ?? {}) as { [name: string]: unknown };
}

/** The form with what was entered when a session ended, as the address has it: each value must be one that the form can hold. */
function entered(from: Draft): Draft {
  const draft: { [name: string]: unknown } = { ...from };
  try {
    const had = JSON.parse(current.peek().query.get("form") ?? "{}") as { [name: string]: unknown };
    if (had["of"] !== mark()) {
      forgetForm();
      return from;
    }
    for (const [id, usual] of Object.entries(blank())) {
      const value = had[id];
      const fits = Array.isArray(usual) ? Array.isArray(value) && value.every((item) => item && typeof item === (id === "scopes" ? "string" : "object")) : typeof value === typeof usual;
      if (fits) draft[id] = value;
    }
  } catch {
    // A form that is cut off: the other parameters hold.
  }
  return draft as unknown as Draft;
}

/** The form that the parameters of the URL ask for. */
function asked(from: Draft): Draft {
  const { query } = current.peek();
  const draft = { ...from };
  draft.audience = query.get("audience") ?? draft.audience;
  draft.issuer = query.get("issuer") ?? draft.issuer;
  const lifetime = query.get("lifetime");
  if (lifetime) {
    const preset = presets.find((n) => n * 3600 === seconds(lifetime));
    draft.life = preset ? String(preset) : "custom";
    draft.custom = preset ? "" : lifetime;
  }
  draft.ns = query.get("ns") ?? (draft.ns || namespace.peek() || me.peek()?.namespace || "default");
  draft.name = query.get("name") ?? draft.name;
  if (draft.issuer === "default") draft.issuer = "";
  // What was entered when a session ended comes last.
  return entered(draft);
}

export function Create() {
  const [ns = "", name = ""] = (current.peek().query.get("like") ?? "").split("/");
  const props = useSignal<EditorProps | undefined>(ns && name ? undefined : { initial: asked(blank()) });
  useEffect(() => {
    if (!ns || !name) return;
    api
      .get<wire.KeyDetail>(keyPath(ns, name))
      .then((detail) => {
        const spec = { ...specIn(detail), revoked: undefined };
        props.value = { initial: asked({ ...draftOf(spec), ns, name: "" }), kept: spec, like: `${ns}/${name}` };
      })
      .catch(() => (props.value = { initial: asked(blank()) }));
  }, []);
  return (
    <Page title={t.create.title} crumbs={setup(crumb, { text: t.create.title })}>
      {props.value ? <Editor {...props.value} /> : <p role="status">{t.loading}</p>}
    </Page>
  );
}

export function Edit({ params }: PageProps) {
  const { ns = "", name = "" } = params;
  const props = useSignal<EditorProps | undefined>(undefined);
  const failure = useSignal<wire.Failure | undefined>(undefined);
  useEffect(() => {
    api
      .get<wire.KeyDetail>(keyPath(ns, name))
      .then((detail) => {
        const before = { ...draftOf(specIn(detail)), ns, name };
        props.value = { initial: { ...entered(before), ns, name }, kept: specIn(detail), editing: { uid: detail.row.uid, row: detail.row, before } };
      })
      .catch((error: unknown) => (failure.value = failureOf(error)));
  }, []);
  return (
    <Page title={t.create.editTitle(name)} crumbs={setup(crumb, { text: name, href: link(`keys/${ns}/${name}`) }, { text: t.create.edit })}>
      {failure.value ? <FailureBanner failure={failure.value} /> : props.value ? <Editor {...props.value} /> : <p role="status">{t.loading}</p>}
    </Page>
  );
}
