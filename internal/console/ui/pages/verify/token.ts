// The parts of a token, read in the browser: pure.
import { t } from "../../text";

export type Tree = { [name: string]: unknown };

export interface Claims {
  iss: string;
  sub: string;
  aud: string;
  iat: number;
  exp: number;
  jti: string;
  ns: string;
  name: string;
  uid: string;
  /** 0 in access tokens of earlier releases. */
  revision: number;
  thumbprint: string;
  account: string;
}

export interface Parsed {
  compact: string;
  header: Tree | undefined;
  payload: unknown;
  claims: Claims | undefined;
  /** What is wrong with its form. */
  fault: string | undefined;
}

export const skew = 60;
const longest = 8 << 10;
const last = 253_402_300_799;

export function bytes(part: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const text = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
    const found = Uint8Array.from(text, (c) => c.charCodeAt(0));
    // Bits that no byte uses must be 0, so that each token has one text.
    return found.length > 0 && btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "") === part ? found : undefined;
  } catch {
    return undefined;
  }
}

function json(part: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(part));
  } catch {
    return undefined;
  }
}

const isTree = (value: unknown): value is Tree => value !== null && typeof value === "object" && !Array.isArray(value);

/** The claims of a payload, or what is wrong with the first that is not as it must be. */
function read(payload: unknown): Claims | string {
  const f = t.verify.form;
  if (!isTree(payload)) return f.isObject;
  let fault: string | undefined;
  const wrong = (name: string, what: string) => {
    fault ??= f.claim(name, what);
  };
  const text = (tree: Tree, name: string) => {
    const value = tree[name];
    if (typeof value === "string" && value !== "") return value;
    wrong(name, f.isText);
    return "";
  };
  const time = (name: string) => {
    const value = payload[name];
    if (typeof value === "number" && Number.isInteger(value) && value > 0 && value <= last) return value;
    wrong(name, f.isTime);
    return 0;
  };
  const claims = { iss: text(payload, "iss"), sub: text(payload, "sub"), aud: text(payload, "aud"), iat: time("iat"), exp: time("exp"), jti: text(payload, "jti") };
  text(payload, "client_id");
  if (time("nbf") !== claims.iat - skew) wrong("nbf", f.skew);
  const object = payload["refreshkeys.dev"];
  if (!isTree(object)) wrong("refreshkeys.dev", f.isObject);
  const of = isTree(object) ? object : {};
  const cnf = payload["cnf"];
  if (cnf !== undefined && !isTree(cnf)) wrong("cnf", f.isObject);
  const proofs = isTree(cnf) ? cnf : {};
  const found = {
    ...claims,
    ns: text(of, "namespace"),
    name: text(of, "name"),
    uid: text(of, "uid"),
    revision: typeof of["revision"] === "number" ? of["revision"] : 0,
    thumbprint: String(proofs["jkt"] ?? ""),
    account: String(proofs["refreshkeys.dev/service-account"] ?? ""),
  };
  return fault ?? found;
}

export function parse(compact: string): Parsed {
  const f = t.verify.form;
  const parts = compact.split(".");
  const raw = parts.map(bytes);
  const none = { compact, header: undefined, payload: undefined, claims: undefined };
  if (compact.length > longest || parts.length !== 3 || raw.includes(undefined) || !raw[0] || !raw[1]) return { ...none, fault: f.parts };
  const header = json(raw[0]);
  const payload = json(raw[1]);
  if (!isTree(header)) return { ...none, payload, fault: f.header };
  if (payload === undefined) return { ...none, header, fault: f.json };
  const claims = read(payload);
  return typeof claims === "string" ? { compact, header, payload, claims: undefined, fault: f.payload(claims) } : { compact, header, payload, claims, fault: undefined };
}

/** sha256: and the hash of a token, as the record has it. */
export async function hash(compact: string): Promise<string> {
  const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(compact));
  return `sha256:${Array.from(new Uint8Array(sum), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const algorithms: Record<string, [RsaHashedImportParams | EcKeyImportParams | Algorithm, EcdsaParams | Algorithm]> = {
  ES256: [{ name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-256" }],
  ES384: [{ name: "ECDSA", namedCurve: "P-384" }, { name: "ECDSA", hash: "SHA-384" }],
  RS256: [{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, { name: "RSASSA-PKCS1-v1_5" }],
  EdDSA: [{ name: "Ed25519" }, { name: "Ed25519" }],
};

export interface PublicKey extends JsonWebKey {
  kid?: string;
}

/** Whether the signature of a token is by a public key. */
export async function signedBy(compact: string, { kty, crv, x, y, n, e, alg }: PublicKey): Promise<boolean> {
  const [of, by] = algorithms[alg ?? ""] ?? [];
  const at = compact.lastIndexOf(".");
  const signature = bytes(compact.slice(at + 1));
  if (!of || !by || !signature) return false;
  const key = await crypto.subtle.importKey("jwk", { kty, crv, x, y, n, e } as JsonWebKey, of, false, ["verify"]);
  return crypto.subtle.verify(by, key, signature, new TextEncoder().encode(compact.slice(0, at)));
}
