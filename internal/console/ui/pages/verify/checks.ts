// The checks of a token, in the order and in the words of kubectl refreshkey verify.
import { ago, and } from "../../app/time";
import type * as wire from "../../app/wire";
import { t } from "../../text";
import { skew, type Claims, type Parsed } from "./token";

export type Verdict = "passed" | "failed" | "unknown";

interface Found {
  verdict: Verdict;
  reason: string;
}

export interface Check extends Found {
  name: string;
}

/** The checks with their names; one that is not made for a token is undefined. */
function named(found: (Found | undefined)[]): Check[] {
  return found.flatMap((one, i) => (one ? { name: t.verify.names[i] ?? "", ...one } : []));
}

/** What is known of a stored key, beyond its row. */
export interface Stored {
  metadata: { uid: string; deletionTimestamp?: string };
  spec: { revoked?: boolean; expiresAt?: string; binding?: unknown };
  status?: { revision?: number; jti?: string; tokenHash?: string; firstRevision?: number; revokedAt?: string; revocationReason?: string; previous?: { jti: string; revision: number; tokenHash: string }[] };
}

/** What the checks are made from. An absent value is one that does not exist, if no failure says that it is unknown. */
export interface Evidence {
  token: Parsed;
  now: number;
  hash: string;
  issuer?: wire.IssuerDetail | undefined;
  issuerFailure?: string | undefined;
  key?: Stored | undefined;
  mode?: string;
  ready?: string | undefined;
  keyFailure?: string | undefined;
  /** The signature of an access token: by the published key, or not, or that key is not published. */
  signature?: "good" | "forged" | "notPublished" | undefined;
  jwksFailure?: string | undefined;
}

function stamp(seconds: number, now: number): string {
  return `${new Date(seconds * 1000).toISOString().replace(".000Z", "Z")} (${ago(seconds * 1000, now)})`;
}

const seconds = (text: string) => Math.floor(Date.parse(text) / 1000);

export function examine(e: Evidence): Check[] {
  const v = t.verify;
  const { token, now, key, issuer } = e;
  const claims = token.claims;
  const pass = (reason: string): Found => ({ verdict: "passed", reason });
  const reject = (reason: string): Found => ({ verdict: "failed", reason });
  const unsure = (reason: string): Found => ({ verdict: "unknown", reason });
  if (token.fault !== undefined || !claims) return named([reject(token.fault ?? v.form.parts)]);

  const text = (name: string) => (typeof token.header?.[name] === "string" ? (token.header[name] as string) : "");
  const [typ, alg, kid] = [text("typ"), text("alg"), text("kid")];
  const refresh = typ === "rt+jwt";
  const late = refresh ? "" : v.caveat;
  const ring = refresh ? "refresh" : "access";
  const status = key?.status ?? {};
  const revision = status.revision ?? 0;
  const first = status.firstRevision ?? 0;
  const noKey = e.keyFailure ?? v.key.unknown;
  const end = key?.spec.expiresAt ? seconds(key.spec.expiresAt) * 1000 : Infinity;
  const full = `${claims.ns}/${claims.name}`;

  const form = (): Found => (Object.keys(token.header ?? {}).length !== 3 || !typ || !alg || !kid ? reject(v.form.members) : pass(v.form.good));
  const type = (): Found => {
    if (refresh && claims.revision > 0) return pass(v.type.refresh(claims.revision));
    if (typ === "at+jwt" && !claims.account) return pass(v.type.access(claims.aud));
    return reject(refresh || typ === "at+jwt" ? v.type.other(typ) : v.type.none);
  };
  const iss = (): Found => (e.issuerFailure ? unsure(e.issuerFailure) : issuer ? pass(v.issuer.good(issuer.row.name, claims.iss)) : reject(v.issuer.none(claims.iss)));
  const signing = (): Found => {
    if (!issuer) return unsure(e.issuerFailure ?? v.kid.noIssuer);
    const known = issuer.keys.find((one) => one.kid === kid && one.ring === ring);
    if (!known) return reject(v.kid.none(kid.slice(0, 64), ring, issuer.row.name));
    return known.algorithm === alg ? pass(v.kid.good(kid, known.state, ring, alg)) : reject(v.kid.algorithm(kid, known.algorithm, alg));
  };
  const signature = (): Found => {
    if (!refresh) {
      if (e.signature === undefined) return unsure(e.jwksFailure ?? v.signature.noKeys);
      return e.signature === "good" ? pass(v.signature.good) : reject(v.signature[e.signature]);
    }
    if (!key) return unsure(e.keyFailure ?? v.signature.noRecord);
    const recorded = claims.jti === status.jti ? status.tokenHash : status.previous?.find(({ jti }) => jti === claims.jti)?.tokenHash;
    if (recorded === undefined) return unsure(v.signature.offRecord);
    return recorded === e.hash ? pass(v.signature.recorded) : reject(v.signature.changed);
  };
  const time = (): Found => {
    if (now < (claims.iat - 2 * skew) * 1000) return reject(v.time.before(stamp(claims.iat - skew, now)));
    return now >= claims.exp * 1000 ? reject(v.time.expired(stamp(claims.exp, now))) : pass(v.time.good(stamp(claims.iat, now), stamp(claims.exp, now)));
  };
  const object = (): Found => {
    if (e.keyFailure) return unsure(e.keyFailure);
    if (!key) return reject(v.key.none(full));
    return key.metadata.uid === claims.uid ? pass(v.key.good(full)) : reject(v.key.again(full));
  };
  const alive = (): Found => {
    if (!key) return unsure(noKey);
    if (key.metadata.deletionTimestamp) return reject(v.alive.deleting + late);
    if (status.revokedAt) return reject(v.alive.revoked(stamp(seconds(status.revokedAt), now), status.revocationReason ?? "") + late);
    if (key.spec.revoked) return reject(v.alive.spec + late);
    return now >= end ? reject(v.alive.ended(stamp(end / 1000, now)) + late) : pass(v.alive.good);
  };
  const dead = () => alive().verdict === "failed" || object().verdict === "failed";
  const standing = (): Found => {
    const s = v.standing;
    const n = claims.revision;
    if (!key) return unsure(noKey);
    const below = n < first;
    if (!dead() && !below) {
      if (revision === 0 && n === 1) return pass(s.first);
      if (claims.jti === status.jti && n === revision) return pass(s.current(revision));
      if (status.previous?.some((one) => one.jti === claims.jti && one.revision === n)) return pass(s.superseded(n, revision));
    }
    if (below) return reject(s.below(n, first));
    if (n < revision && e.mode === "OneTimeUse") return reject(s.used(n, revision));
    return reject(dead() ? s.dead : s.retired(n, revision));
  };
  const issuedFrom = (): Found => {
    const s = v.standing;
    const n = claims.revision;
    if (!key) return unsure(noKey);
    if (n < first) return reject(s.fromBelow(first) + v.caveat);
    if (dead()) return reject(s.dead + v.caveat);
    if (n > Math.max(revision, 1)) return reject(s.fromNone(n, revision) + v.caveat);
    return pass(n === 0 ? s.earlier : s.from(n, revision));
  };
  const policy = (): Found => (!key ? unsure(noKey) : e.ready === "PolicyDenied" ? reject(v.policy.denied) : pass(v.policy.good));
  const binding = (): Found => {
    const needs = needed(claims);
    if (refresh && key?.spec.binding && needs.length === 0) return reject(v.binding.later);
    return pass(needs.length > 0 ? v.binding.only(and(needs)) : v.binding.none);
  };
  return named([form(), type(), iss(), signing(), signature(), time(), object(), alive(), refresh ? standing() : issuedFrom(), refresh ? policy() : undefined, binding()]);
}

function needed({ account, thumbprint }: Claims): string[] {
  const b = t.verify.binding;
  return [...(account ? [b.account(account)] : []), ...(thumbprint ? [b.thumbprint(thumbprint)] : [])];
}

/** Failed if a check failed, else unknown if a check could not be made, else passed. */
export function accepted(checks: readonly Check[]): Verdict {
  if (checks.some(({ verdict }) => verdict === "failed")) return "failed";
  return checks.some(({ verdict }) => verdict === "unknown") ? "unknown" : "passed";
}
