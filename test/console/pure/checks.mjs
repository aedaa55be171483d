import assert from "node:assert/strict";
import test from "node:test";
import { accepted, examine } from "../../../internal/console/ui/pages/verify/checks";

const now = Date.parse("2026-02-01T00:00:00Z");
const s = now / 1000;
const claims = { iss: "https://issuer.example.com", sub: "x", aud: "https://orders.example.com", iat: s - 100, exp: s + 100, jti: "second", ns: "shop", name: "orders", uid: "u1", revision: 2, thumbprint: "", account: "" };
const token = (typ, more = {}) => ({ compact: "a.b.c", header: { typ, alg: "ES256", kid: "k1" }, payload: {}, claims: { ...claims, ...more }, fault: undefined });
const key = (status = {}, spec = {}, metadata = {}) => ({ metadata: { uid: "u1", ...metadata }, spec, status: { revision: 2, jti: "second", tokenHash: "sha256:2", firstRevision: 1, previous: [{ jti: "first", revision: 1, tokenHash: "sha256:1" }], ...status } });
const issuer = { row: { name: "default" }, keys: ["refresh", "access"].map((ring) => ({ kid: "k1", ring, state: "Active", algorithm: "ES256" })) };
const evidence = (more = {}) => ({ token: token("rt+jwt"), now, hash: "sha256:2", issuer, key: key(), mode: "Scheduled", ready: "Issued", ...more });
const access = (more = {}, of = {}) => evidence({ token: token("at+jwt", of), signature: "good", ...more });

/** The verdict, and the names of the checks that do not pass. */
const outcome = (found) => {
  const checks = examine(found);
  return [accepted(checks), checks.filter(({ verdict }) => verdict !== "passed").map(({ name }) => name).join()].join(": ");
};

for (const [what, found, wanted] of [
  ["the current token", evidence(), "passed: "],
  ["a token in the overlap", evidence({ token: token("rt+jwt", { jti: "first", revision: 1 }), hash: "sha256:1" }), "passed: "],
  ["the first token, before it is on record", evidence({ token: token("rt+jwt", { revision: 1 }), key: key({ revision: 0, jti: undefined, tokenHash: undefined, previous: [] }) }), "unknown: signature"],
  ["a changed token", evidence({ hash: "sha256:3" }), "failed: signature"],
  ["a used one-time token", evidence({ token: token("rt+jwt", { jti: "zero", revision: 1 }), key: key({ previous: [] }), mode: "OneTimeUse" }), "failed: signature,standing"],
  ["a revision that a revocation ended", evidence({ key: key({ firstRevision: 3 }) }), "failed: standing"],
  ["a token of a revoked key", evidence({ key: key({ revokedAt: "2026-01-31T00:00:00Z", revocationReason: "Requested" }) }), "failed: alive,standing"],
  ["a token of a key that spec revokes", evidence({ key: key({}, { revoked: true }) }), "failed: alive,standing"],
  ["a token of a key that has ended", evidence({ key: key({}, { expiresAt: "2026-01-31T00:00:00Z" }) }), "failed: alive,standing"],
  ["a token of an earlier key of the name", evidence({ key: key({}, {}, { uid: "u0" }) }), "failed: key,standing"],
  ["a token whose key may not be read", evidence({ key: undefined, keyFailure: "you may not" }), "unknown: signature,key,alive,standing,policy"],
  ["a token of no key", evidence({ key: undefined }), "failed: signature,key,alive,standing,policy"],
  ["a token of no issuer", evidence({ issuer: undefined }), "failed: issuer,signing key"],
  ["a token of a withdrawn signing key", evidence({ issuer: { ...issuer, keys: [] } }), "failed: signing key"],
  ["an expired token", evidence({ token: token("rt+jwt", { exp: s }) }), "failed: time"],
  ["a token of later", evidence({ token: token("rt+jwt", { iat: s + 121 }) }), "failed: time"],
  ["a token that the policy denies now", evidence({ ready: "PolicyDenied" }), "failed: policy"],
  ["a token from before the key was bound", evidence({ key: key({}, { binding: {} }) }), "failed: binding"],
  ["a bound token", evidence({ token: token("rt+jwt", { account: "till" }), key: key({}, { binding: {} }) }), "passed: "],
  ["a token of another type", evidence({ token: token("jwt") }), "failed: type,signature"],
  ["an access token", access(), "passed: "],
  ["a forged access token", access({ signature: "forged" }), "failed: signature"],
  ["an access token without the published keys", access({ signature: undefined, jwksFailure: "away" }), "unknown: signature"],
  ["an access token from a revision that is not on record", access({}, { revision: 3 }), "failed: standing"],
  ["a text", evidence({ token: { ...token(""), claims: undefined, fault: "no token" } }), "failed: form"],
]) test(`the checks of ${what}`, () => assert.equal(outcome(found), wanted));
