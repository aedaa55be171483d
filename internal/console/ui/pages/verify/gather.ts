// Looks up what the checks of a token need: the key and the issuer that it names, and the issuer's published keys. The token
// itself is in no request.
import { api, failureOf, issuerPath, keyPath } from "../../app/api";
import { issuers } from "../../app/store";
import type * as wire from "../../app/wire";
import { t } from "../../text";
import type { Evidence, Stored } from "./checks";
import { hash, signedBy, type Parsed, type PublicKey } from "./token";

const segment = /^[a-z\d]([-a-z\d.]{0,251}[a-z\d])?$/;

async function issuerOf(e: Evidence, url: string): Promise<void> {
  if (issuers.failure.peek()) {
    e.issuerFailure = issuers.failure.peek()?.message;
    return;
  }
  const row = issuers.all().find((one) => one.url === url);
  if (!row) return;
  try {
    e.issuer = await api.get<wire.IssuerDetail>(issuerPath(row.name));
  } catch (error) {
    e.issuerFailure = failureOf(error).message;
  }
}

async function keyOf(e: Evidence, ns: string, name: string): Promise<void> {
  if (!segment.test(ns) || !segment.test(name)) {
    e.keyFailure = t.verify.notLookedUp;
    return;
  }
  try {
    const detail = await api.get<wire.KeyDetail>(keyPath(ns, name));
    e.key = detail.object as Stored;
    e.mode = detail.row.mode;
    e.ready = detail.conditions?.find(({ type }) => type === "Ready")?.reason;
  } catch (error) {
    const failure = failureOf(error);
    if (failure.code !== 404) e.keyFailure = failure.message;
  }
}

async function signatureOf(e: Evidence): Promise<void> {
  if (!e.issuer) {
    e.jwksFailure = e.issuerFailure;
    return;
  }
  try {
    const { keys } = await api.get<{ keys: PublicKey[] }>(`${issuerPath(e.issuer.row.name)}/jwks`);
    const named = keys.filter(({ kid }) => kid === e.token.header?.["kid"]);
    e.signature = named.length !== 1 || !named[0] ? "notPublished" : (await signedBy(e.token.compact, named[0])) ? "good" : "forged";
  } catch (error) {
    e.jwksFailure = failureOf(error).message;
  }
}

export async function gather(token: Parsed, now: number): Promise<Evidence> {
  const e: Evidence = { token, now, hash: await hash(token.compact) };
  const claims = token.claims;
  if (!claims) return e;
  await Promise.all([issuerOf(e, claims.iss), keyOf(e, claims.ns, claims.name)]);
  if (token.header?.["typ"] !== "rt+jwt") await signatureOf(e);
  return e;
}
