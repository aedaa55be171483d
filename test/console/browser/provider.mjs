// People who sign in at the OpenID Connect provider. Each test has a user of its own.
import assert from "node:assert/strict";
import { request as requests } from "playwright-core";
import { kube, logIn, secrets, unique, until, world } from "./world.mjs";

export const { provider, password, issuer, namespace: sessionNamespace, audience, clientID } = world.oidc;
secrets.add(password);

export const continueButton = (page) => page.getByRole("link", { name: `Continue with ${new URL(provider).host}` });

/** Fills in the page of the provider. */
export async function enter(page, name) {
  await page.getByLabel("Username").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Login" }).click();
}

/** Follows the page of the provider without a browser's window, and returns the answer to the form. */
async function submit(request, link, name, options) {
  const { searchParams } = new URL((await request.get(link)).url());
  return request.post(`${provider}/login/username`, { form: { id: searchParams.get("authRequestID"), username: name, password }, ...options });
}

/** Signs in at the provider, and returns where it sends the browser back to. */
async function sentBack(request, link, name) {
  const signedIn = await submit(request, link, name, { maxRedirects: 0 });
  const given = await request.get(signedIn.headers().location, { maxRedirects: 0 });
  return given.headers().location;
}

/** The callback of a sign-in that a browser began. */
export const callbackOf = (context, path, name) => sentBack(context.request, `${context.base}auth/login?return=/${path}`, name);

/** A page of a person who signed in at the provider. The API server may need ten seconds to know the provider. */
export async function openAs(visit, name, path, { at, ...options }) {
  const context = await visit.context({ base: world.consoles[at], ...options });
  const arrived = await until(`the API server knows ${name}`, async () => {
    const url = new URL((await submit(context.request, `${context.base}auth/login?return=/${path}`, name)).url());
    return url.searchParams.get("failed") === "Unauthorized" ? undefined : url;
  }, 40_000);
  assert.equal(arrived.href, context.base + path);
  const page = await context.newPage();
  await page.goto(context.base + path);
  return page;
}

let known;
/** Waits until the API server knows the provider. */
export function trusted(visit) {
  known ??= openAs(visit, "visitor", "verify", { at: "forward" }).then((page) => page.context().close());
  return known;
}

/** A session of a person at the token service that is not one of a console, and its tokens. */
export async function otherSession(name, userAgent) {
  const request = await requests.newContext({ ignoreHTTPSErrors: true });
  const query = new URLSearchParams({ client_id: clientID, redirect_uri: `${world.consoles.exchange}auth/callback`, response_type: "id_token", scope: "openid", state: unique("state"), nonce: unique("nonce") });
  const { hash } = new URL(await sentBack(request, `${provider}/auth?${query}`, name));
  const token = new URLSearchParams(hash.slice(1)).get("id_token");
  secrets.add(token);
  await request.dispose();
  return logIn(issuer, { token, type: "id_token", audience, userAgent });
}

/** Gives a user the rights of a ClusterRole in a namespace. */
export function grant(user, role, ns) {
  const rbac = { apiVersion: "rbac.authorization.k8s.io/v1", apiGroup: "rbac.authorization.k8s.io" };
  return kube("POST", `/apis/${rbac.apiVersion}/namespaces/${ns}/rolebindings`, {
    apiVersion: rbac.apiVersion,
    kind: "RoleBinding",
    metadata: { name: unique("person") },
    subjects: [{ apiGroup: rbac.apiGroup, kind: "User", name: user }],
    roleRef: { apiGroup: rbac.apiGroup, kind: "ClusterRole", name: role },
  });
}
