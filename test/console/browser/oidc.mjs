// Signing in at an OpenID Connect provider: what is forwarded, how it is renewed, how it ends, and how it fails.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { flow, gone, rowOf, seen } from "./browser.mjs";
import { callbackOf, continueButton, enter, grant, openAs, provider, sessionNamespace, trusted } from "./provider.mjs";
import { awaitKey, control, createKey, kube, keyPath, namespace, secrets, until, world } from "./world.mjs";

const heading = (page, name) => page.getByRole("heading", { name, level: 1 });
const account = (page) => page.getByRole("button", { name: /^Account/ });
const mine = (page) => page.getByRole("link", { name: "My sessions" });

/** A namespace with a key, and a user with rights there. */
async function shop(user, ...roles) {
  const ns = await namespace("shop");
  await createKey(ns, "orders");
  await awaitKey(ns, "orders");
  for (const role of roles) await grant(user, role, ns);
  return ns;
}

/** A page of a browser in which no person is signed in. */
async function outside(visit, at, path) {
  visit.visits(provider);
  const context = await visit.context({ base: world.consoles[at] });
  const page = await context.newPage();
  await page.goto(context.base + path);
  await seen(heading(page, "Sign in"));
  return page;
}

async function signIn(page, name) {
  await continueButton(page).click();
  await enter(page, name);
}

/** Signs out, and returns the parameters with which the provider is asked to end its session. */
async function signOut(page) {
  const leaving = page.waitForRequest((request) => request.url().startsWith(`${provider}/end_session`));
  await account(page).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  const { searchParams } = new URL((await leaving).url());
  const hint = searchParams.get("id_token_hint");
  if (hint) secrets.add(hint);
  await page.waitForURL(`${page.context().base}signin`);
  await seen(continueButton(page));
  return searchParams;
}

const cookies = async (page) => (await page.context().cookies(page.context().base)).map(({ name }) => name);

/** The sessions of a person at the token service that have not ended. */
async function living(subject) {
  const { items } = await kube("GET", keyPath(sessionNamespace));
  return items.filter(({ status }) => status?.session?.subject === subject && !status.revokedAt);
}

flow("sign in at the provider, id_token forwarded: the deep link is kept, the rights are the person's, a sign-out ends it at the provider", async (visit) => {
  await trusted(visit);
  const ns = await shop("oidc:id-forwarded", "refreshkeys-editor", "edit");
  const page = await outside(visit, "forward", `keys/${ns}/orders?tab=use`);
  await signIn(page, "forwarded");
  await seen(heading(page, "orders"));
  assert.equal(page.url(), `${world.consoles.forward}keys/${ns}/orders?tab=use`);
  assert.deepEqual(await cookies(page), ["__Host-rk"], "the cookie of the sign-in is gone");
  await seen(page.getByRole("button", { name: /^Show for/ }));
  await account(page).click();
  for (const text of ["oidc:id-forwarded", "oidc:auditors", "OpenID Connect, id_token forwarded"]) await seen(page.getByText(text, { exact: true }));
  await page.keyboard.press("Escape");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "JWT Refresh Keys" }).click();
  await seen(page.getByRole("heading", { name: "You may not list keys in all namespaces" }));
  const left = await signOut(page);
  assert.equal(left.get("post_logout_redirect_uri"), `${world.consoles.forward}signin`);
  assert.deepEqual([left.get("logout_hint"), left.get("id_token_hint")], ["id-forwarded", null], "the provider learns whose session ends, and the URL has no credential that lives");
  assert.deepEqual(await cookies(page), []);
});

flow("an id_token is renewed while the stream is open: the page stays live", async (visit) => {
  const ns = await shop("oidc:id-renewed", "refreshkeys-editor");
  const page = await openAs(visit, "renewed", `keys?ns=${ns}`, { at: "forward" });
  await seen(rowOf(page, ns, "orders"));
  await seen(page.getByText("Live", { exact: true }));
  const streams = [];
  page.on("request", (request) => request.url().includes("/api/stream") && streams.push(request.url()));
  await page.evaluate(() => {
    window.said = new Set();
    new MutationObserver(() => document.querySelectorAll(".banners .banner, h1").forEach((one) => window.said.add(one.textContent))).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  // The id_token of the sign-in lives for 20 s: the next stream has another one.
  await until("the stream is opened with the next id_token", () => streams.length > 0 || undefined, 30_000);
  assert.equal(streams.length, 1, "the stream is opened once");
  await createKey(ns, "later");
  await seen(rowOf(page, ns, "later"));
  await seen(page.getByText("Live", { exact: true }));
  await rowOf(page, ns, "orders").getByRole("link", { name: "orders" }).click();
  await seen(heading(page, "orders"));
  assert.deepEqual((await page.evaluate(() => [...window.said])).filter((text) => /lost|ends|Sign in/.test(text)), []);
});

flow("sign in at the provider, token exchanged: a session of the token service, one of a browser, and a sign-out ends it", async (visit) => {
  await trusted(visit);
  const subject = "idp:id-exchanged";
  const page = await outside(visit, "exchange", "issuers");
  await signIn(page, "exchanged");
  await seen(heading(page, "Issuers"));
  await account(page).click();
  for (const text of [`people:${subject}`, "OpenID Connect, as a session of Refresh Keys"]) await seen(page.getByText(text, { exact: true }));
  await page.keyboard.press("Escape");
  await seen(mine(page));
  const [first, ...more] = await living(subject);
  assert.deepEqual(more, []);
  assert.equal(first.status.session.provider, provider);
  // Another tab of the browser that still showed the sign-in.
  await page.goto(`${world.consoles.exchange}auth/login?return=/verify`);
  await enter(page, "exchanged");
  await seen(heading(page, "Verify a token"));
  const second = await until("the first session of the browser has ended", async () => {
    const now = await living(subject);
    return now.length === 1 && now[0].metadata.uid !== first.metadata.uid ? now[0] : undefined;
  });
  const left = await signOut(page);
  assert.deepEqual([left.get("logout_hint"), left.get("id_token_hint")], ["id-exchanged", null]);
  assert.deepEqual(await living(subject), [], `the session ${second.metadata.name} goes on after the sign-out`);
});

flow("sign in at the provider, impersonated: the rights are the person's own, and no token is revealed", async (visit) => {
  visit.expects(403);
  await trusted(visit);
  const ns = await shop("oidc:id-impersonated", "refreshkeys-viewer", "edit");
  const other = await namespace("other");
  await createKey(other, "orders");
  const page = await outside(visit, "impersonate", `keys/${ns}/orders`);
  await signIn(page, "impersonated");
  await seen(heading(page, "orders"));
  await seen(page.getByText("This console does not reveal tokens."));
  assert.equal(await page.getByRole("button", { name: /^Show for/ }).count(), 0);
  assert.equal(await mine(page).count(), 0, "there is no list of sessions of one's own");
  await account(page).click();
  for (const text of ["oidc:id-impersonated", "oidc:auditors", "OpenID Connect, impersonated"]) await seen(page.getByText(text, { exact: true }));
  await page.keyboard.press("Escape");
  const key = await kube("GET", keyPath(ns, "orders"));
  const refused = await page.evaluate(async ({ base, ns, uid }) => {
    const send = async (method, path, body) => (await fetch(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })).status;
    return [await send("POST", `${base}api/keys/${ns}/orders/reveal`, { uid }), await send("DELETE", `${base}api/keys/${ns}/orders`, { uid })];
  }, { base: world.consoles.impersonate, ns, uid: key.metadata.uid });
  assert.deepEqual(refused, [403, 403], "reveal, delete");
  await page.goto(`${page.context().base}keys?ns=${other}`);
  await seen(page.getByRole("heading", { name: /^You may not list keys/ }));
  await page.goto(`${page.context().base}keys?ns=${ns}`);
  await seen(rowOf(page, ns, "orders"));
  await signOut(page);
});

flow("a sign-in that the provider denies says so, and another one goes on to the same page", async (visit) => {
  await trusted(visit);
  const page = await outside(visit, "forward", "issuers?q=a");
  await signIn(page, "denied");
  await seen(page.getByText("The provider, or you, refused the sign-in."));
  await visit.accessible(page, "a sign-in that failed");
  assert.deepEqual(await cookies(page), []);
  await signIn(page, "reader");
  await seen(heading(page, "Issuers"));
  assert.equal(page.url(), `${world.consoles.forward}issuers?q=a`);
});

flow("the callback of another browser's sign-in is refused, and that of one's own is accepted once", async (visit) => {
  await trusted(visit);
  const page = await outside(visit, "forward", "verify");
  const callback = await callbackOf(page.context(), "verify", "traveller");
  const other = await outside(visit, "forward", "verify");
  await other.goto(callback);
  await seen(other.getByText("The sign-in was not begun in this browser"));
  assert.deepEqual(await cookies(other), [], "no session begins");
  await page.goto(callback);
  await seen(heading(page, "Verify a token"));
  await page.goto(callback);
  await seen(page.getByRole("heading", { level: 1 }));
  assert.equal(new URL(page.url()).searchParams.get("failed"), "NotBegunHere");
});

flow("a provider with an authority that the console does not know: the sign-in says so, and a token still signs in", async (visit) => {
  const page = await outside(visit, "untrusting", "verify");
  await continueButton(page).click();
  await seen(page.getByText("The provider or the token service cannot be reached now."));
  assert.equal(page.url(), `${world.consoles.untrusting}signin?failed=ProviderAway&return=%2Fverify`);
  assert.match(readFileSync(join(world.logs, "console-untrusting.log"), "utf8"), /certificate signed by unknown authority/);
  await seen(page.getByLabel("Bearer token"));
});

flow("the provider is away: the page says so, and a sign-in works when it is back", async (visit) => {
  await trusted(visit);
  const page = await outside(visit, "forward", "issuers");
  const callback = await callbackOf(page.context(), "issuers", "reader");
  await control("provider", "kill");
  await page.goto(callback);
  await seen(page.getByText("The provider or the token service cannot be reached now."));
  // A console that has not seen the provider yet.
  await control("console-forward", "kill");
  await control("console-forward", "start");
  await page.reload();
  await continueButton(page).click();
  await seen(page.getByText("The provider or the token service cannot be reached now."));
  await gone(page.getByText("Your session has ended."));
  await control("provider", "start");
  await until("the sign-in works again", async () => {
    await continueButton(page).click();
    await page.waitForURL((url) => url.origin === provider || url.searchParams.has("failed"));
    return page.url().startsWith(provider) || undefined;
  }, 20_000);
  await enter(page, "reader");
  await seen(heading(page, "Issuers"));
}, { alone: true });
