// The checks of a token, in the order and in the words of kubectl refreshkey verify.
import { ago, and } from "../../app/time";
import type * as wire from "../../app/wire";
import { t } from "../../text";
import { skew, type Claims, type Parsed } from "./token";

export type Verdict = "passed" | "failed" | "unknown";

export interface Check {
  name: string;
  verdict: Verdict;
  reason: string;
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
  const pass = (name: string, reason: string): Check => ({ name, verdict: "passed", reason });
  const reject = (name: string, reason: string): Check => ({ name, verdict: "failed", reason });
  const unsure = (name: string, reason: string): Check => ({ name, verdict: "unknown", reason });
  if (token.fault !== undefined || !claims) return [reject("form", token.fault ?? v.form.parts)];

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

  const form = (): Check => (Object.keys(token.header ?? {}).length !== 3 || !typ || !alg || !kid ? reject("form", v.form.members) : pass("form", v.form.good));
  const type = (): Check => {
    if (refresh && claims.revision > 0) return pass("type", v.type.refresh(claims.revision));
    if (typ === "at+jwt" && !claims.account) return pass("type", v.type.access(claims.aud));
    return reject("type", refresh || typ === "at+jwt" ? v.type.other(typ) : v.type.none);
  };
  const iss = (): Check => (e.issuerFailure ? unsure("issuer", e.issuerFailure) : issuer ? pass("issuer", v.issuer.good(issuer.row.name, claims.iss)) : reject("issuer", v.issuer.none(claims.iss)));
  const signing = (): Check => {
    if (!issuer) return unsure("signing key", e.issuerFailure ?? v.kid.noIssuer);
    const known = issuer.keys.find((one) => one.kid === kid && one.ring === ring);
    if (!known) return reject("signing key", v.kid.none(kid.slice(0, 64), ring, issuer.row.name));
    return known.algorithm === alg ? pass("signing key", v.kid.good(kid, known.state, ring, alg)) : reject("signing key", v.kid.algorithm(kid, known.algorithm, alg));
  };
  const signature = (): Check => {
    if (!refresh) {
      if (e.signature === undefined) return unsure("signature", e.jwksFailure ?? v.signature.noKeys);
      return e.signature === "good" ? pass("signature", v.signature.good) : reject("signature", v.signature[e.signature]);
    }
    if (!key) return unsure("signature", e.keyFailure ?? v.signature.noRecord);
    const recorded = claims.jti === status.jti ? status.tokenHash : status.previous?.find(({ jti }) => jti === claims.jti)?.tokenHash;
    if (recorded === undefined) return unsure("signature", v.signature.offRecord);
    return recorded === e.hash ? pass("signature", v.signature.recorded) : reject("signature", v.signature.changed);
  };
  const time = (): Check => {
    if (now < (claims.iat - 2 * skew) * 1000) return reject("time", v.time.before(stamp(claims.iat - skew, now)));
    return now >= claims.exp * 1000 ? reject("time", v.time.expired(stamp(claims.exp, now))) : pass("time", v.time.good(stamp(claims.iat, now), stamp(claims.exp, now)));
  };
  const object = (): Check => {
    if (e.keyFailure) return unsure("key", e.keyFailure);
    if (!key) return reject("key", v.key.none(full));
    return key.metadata.uid === claims.uid ? pass("key", v.key.good(full)) : reject("key", v.key.again(full));
  };
  const alive = (): Check => {
    if (!key) return unsure("alive", noKey);
    if (key.metadata.deletionTimestamp) return reject("alive", v.alive.deleting + late);
    if (status.revokedAt) return reject("alive", v.alive.revoked(stamp(seconds(status.revokedAt), now), status.revocationReason ?? "") + late);
    if (key.spec.revoked) return reject("alive", v.alive.spec + late);
    return now >= end ? reject("alive", v.alive.ended(stamp(end / 1000, now)) + late) : pass("alive", v.alive.good);
  };
  const dead = () => alive().verdict === "failed" || object().verdict === "failed";
  const standing = (): Check => {
    const s = v.standing;
    const n = claims.revision;
    if (!key) return unsure("standing", noKey);
    const below = n < first;
    if (!dead() && !below) {
      if (revision === 0 && n === 1) return pass("standing", s.first);
      if (claims.jti === status.jti && n === revision) return pass("standing", s.current(revision));
      if (status.previous?.some((one) => one.jti === claims.jti && one.revision === n)) return pass("standing", s.superseded(n, revision));
    }
    if (below) return reject("standing", s.below(n, first));
    if (n < revision && e.mode === "OneTimeUse") return reject("standing", s.used(n, revision));
    return reject("standing", dead() ? s.dead : s.retired(n, revision));
  };
  const issuedFrom = (): Check => {
    const s = v.standing;
    const n = claims.revision;
    if (!key) return unsure("standing", noKey);
    if (n < first) return reject("standing", s.fromBelow(first) + v.caveat);
    if (dead()) return reject("standing", s.dead + v.caveat);
    if (n > Math.max(revision, 1)) return reject("standing", s.fromNone(n, revision) + v.caveat);
    return pass("standing", n === 0 ? s.earlier : s.from(n, revision));
  };
  const policy = (): Check => (!key ? unsure("policy", noKey) : e.ready === "PolicyDenied" ? reject("policy", v.policy.denied) : pass("policy", v.policy.good));
  const binding = (): Check => {
    const needs = needed(claims);
    if (refresh && key?.spec.binding && needs.length === 0) return reject("binding", v.binding.later);
    return pass("binding", needs.length > 0 ? v.binding.only(and(needs)) : v.binding.none);
  };
  return [form(), type(), iss(), signing(), signature(), time(), object(), alive(), ...(refresh ? [standing(), policy()] : [issuedFrom()]), binding()];
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
