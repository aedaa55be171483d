// What the form holds, and the manifest that it stands for: pure.
import { hours, seconds, written } from "./spans";

export type Row = Record<string, string>;

/** The fields with one line of text; each is the path of its field below spec. */
export const texts = {
  issuer: "issuerRef.name",
  subject: "subject",
  access: "accessToken.lifetime",
  renewBefore: "rotation.renewBefore",
  quiet: "rotation.overlap.quiet",
  max: "rotation.overlap.max",
  retryGrace: "rotation.retryGrace",
  idle: "idleTimeout",
  secretName: "secret.name",
  deviceID: "deviceInfo.id",
  deviceName: "deviceInfo.name",
  deviceOS: "deviceInfo.os",
  deviceBrowser: "deviceInfo.browser",
  account: "binding.serviceAccountName",
  thumbprint: "binding.jwkThumbprint",
} as const;
export type TextID = keyof typeof texts;

/** Those of them that are durations. */
export const spans: readonly TextID[] = ["access", "renewBefore", "quiet", "max", "retryGrace", "idle"];

export interface Draft extends Record<TextID, string> {
  ns: string;
  name: string;
  audience: string;
  /** Hours of a preset, custom, or until. */
  life: string;
  custom: string;
  /** A date and time in UTC, as the control has it. */
  until: string;
  scopes: string[];
  claims: Row[];
  mode: string;
  noSecret: boolean;
  accessToken: boolean;
  retain: boolean;
  labels: Row[];
  workloads: Row[];
}

export const presets = [24, 168, 720, 2160, 8760] as const;

export function blank(): Draft {
  const all = Object.fromEntries(Object.keys(texts).map((id) => [id, ""])) as Record<TextID, string>;
  return { ...all, ns: "", name: "", audience: "", life: "720", custom: "", until: "", scopes: [], claims: [], mode: "Scheduled", noSecret: false, accessToken: false, retain: false, labels: [], workloads: [] };
}

type Tree = { [name: string]: unknown };

function at(tree: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((inner, name) => (inner as Tree | undefined)?.[name], tree);
}

function put(tree: Tree, path: string, value: unknown): void {
  if (value === undefined || value === "" || value === false) return;
  const names = path.split(".");
  const last = names.pop() ?? "";
  let inner = tree;
  for (const name of names) inner = (inner[name] ??= {}) as Tree;
  inner[last] = value;
}

export const claimTypes = ["text", "number", "boolean", "list"] as const;

/** The value of a claim; a text that is not of its type stays a text, so that nothing is lost. */
function claimValue({ type, value = "" }: Row): unknown {
  const text = value.trim();
  if (type === "number" && text !== "" && Number.isFinite(Number(text))) return Number(text);
  if (type === "boolean") return text === "true";
  if (type === "list") return text === "" ? [] : text.split(",").map((item) => item.trim());
  return value;
}

function claimRow(name: string, value: unknown): Row {
  if (Array.isArray(value)) return { name, type: "list", value: value.join(", ") };
  return { name, type: typeof value === "number" || typeof value === "boolean" ? typeof value : "text", value: String(value) };
}

function pairs(rows: Row[]): Tree | undefined {
  const named = rows.filter(({ name }) => name?.trim());
  return named.length > 0 ? Object.fromEntries(named.map((row) => [row["name"]?.trim(), row["type"] ? claimValue(row) : (row["value"] ?? "")])) : undefined;
}

/** The spec that the form stands for. kept has what the form has no field for. */
export function specOf(draft: Draft, kept: Tree = {}): Tree {
  const spec: Tree = { audience: draft.audience.trim() };
  put(spec, "lifetime", draft.life === "custom" || draft.life === "until" ? written(draft.custom) : hours(Number(draft.life) * 3600));
  if (draft.life === "until") put(spec, "expiresAt", draft.until && `${draft.until}${draft.until.length === 16 ? ":00" : ""}Z`);
  const text = (id: TextID) => put(spec, texts[id], spans.includes(id) ? written(draft[id]) : draft[id].trim());
  text("issuer");
  text("subject");
  if (draft.scopes.length > 0) spec["scopes"] = draft.scopes;
  put(spec, "claims", pairs(draft.claims));
  put(spec, "rotation.mode", draft.mode === "Scheduled" ? undefined : draft.mode);
  if (draft.mode === "Scheduled") (["renewBefore", "quiet", "max"] as const).forEach(text);
  if (draft.mode === "OneTimeUse") text("retryGrace");
  text("access");
  text("idle");
  if (draft.noSecret) put(spec, "secret.mode", "None");
  else {
    text("secretName");
    put(spec, "secret.labels", pairs(draft.labels));
    put(spec, "secret.annotations", at(kept, "secret.annotations"));
    put(spec, "secret.accessToken", draft.accessToken);
    put(spec, "secret.deletionPolicy", draft.retain ? "Retain" : undefined);
  }
  (["deviceID", "deviceName", "deviceOS", "deviceBrowser", "account", "thumbprint"] as const).forEach(text);
  const workloads = draft.workloads.filter(({ name }) => name?.trim());
  if (workloads.length > 0) spec["rolloutRestart"] = workloads.map(({ kind, name }) => ({ kind, name: name?.trim() }));
  put(spec, "revoked", kept["revoked"]);
  return spec;
}

/** The form of a spec. */
export function draftOf(spec: Tree): Draft {
  const draft = blank();
  for (const [id, path] of Object.entries(texts)) draft[id as TextID] = String(at(spec, path) ?? "");
  draft.audience = String(spec["audience"] ?? "");
  const lifetime = String(spec["lifetime"] ?? "720h");
  const preset = presets.find((n) => n * 3600 === seconds(lifetime));
  draft.life = preset ? String(preset) : "custom";
  draft.custom = preset ? "" : lifetime;
  if (spec["expiresAt"]) {
    draft.life = "until";
    draft.custom = String(spec["lifetime"] ?? "");
    draft.until = new Date(String(spec["expiresAt"])).toISOString().replace(/(:00)?\.000Z$/, "");
  }
  draft.scopes = (spec["scopes"] as string[] | undefined) ?? [];
  draft.claims = Object.entries((spec["claims"] as Tree | undefined) ?? {}).map(([name, value]) => claimRow(name, value));
  draft.mode = String(at(spec, "rotation.mode") ?? "Scheduled");
  draft.noSecret = at(spec, "secret.mode") === "None";
  draft.accessToken = at(spec, "secret.accessToken") === true;
  draft.retain = at(spec, "secret.deletionPolicy") === "Retain";
  draft.labels = Object.entries((at(spec, "secret.labels") as Record<string, string> | undefined) ?? {}).map(([name, value]) => ({ name, value }));
  draft.workloads = (spec["rolloutRestart"] as Row[] | undefined) ?? [];
  return draft;
}

/** The JSON merge patch (RFC 7386) from one spec to another; undefined if they are the same. */
export function mergePatch(from: Tree, to: Tree): Tree | undefined {
  const patch: Tree = {};
  for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [a, b] = [from[name], to[name]];
    if (b === undefined) patch[name] = null;
    else if (isTree(a) && isTree(b)) {
      const inner = mergePatch(a, b);
      if (inner) patch[name] = inner;
    } else if (JSON.stringify(a) !== JSON.stringify(b)) patch[name] = b;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}

function isTree(value: unknown): value is Tree {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** A name for a key of an audience: the first part of its host that says something. */
export function proposeName(audience: string, taken: (name: string) => boolean): string {
  const text = audience.trim().toLowerCase();
  const host = /^[a-z][a-z\d+.-]*:\/\/([^/:?#]*)/.exec(text)?.[1] ?? text;
  const labels = host.split(".").filter((label) => !["www", "api", ""].includes(label));
  const stem = (/^[\d.]+$/.test(host) ? host : (labels[0] ?? "")).replaceAll(/[^a-z\d]+/g, "-").replaceAll(/^-+|-+$/g, "").slice(0, 50);
  let name = stem;
  for (let n = 2; name && taken(name); n++) name = `${stem}-${n}`;
  return name;
}
