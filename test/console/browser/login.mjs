// Signing in at the login page of the issuer itself: the whole story with a browser alone, and the pages.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { flow, rowOf, seen } from "./browser.mjs";
import { audience, clientID, grant, issuer, openAs, password } from "./provider.mjs";
import { awaitKey, namespace, world } from "./world.mjs";

const origin = new URL(issuer).origin;
const heading = (page, name) => page.getByRole("heading", { name, level: 1 });
const dialog = (page) => page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });

async function fill(page, user, secret = password) {
  await page.getByLabel("User name").fill(user);
  await page.getByLabel("Password").fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** The sign-in page of the console, in a browser in which no person is signed in. */
async function outside(visit, path, options) {
  visit.visits(issuer);
  const context = await visit.context({ base: world.consoles.own, ...options });
  const page = await context.newPage();
  await page.goto(context.base + path);
  await page.getByRole("link", { name: `Continue with ${new URL(issuer).host}` }).click();
  await seen(heading(page, "Sign in"));
  return page;
}

async function signIn(page, user) {
  await fill(page, user);
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL((url) => url.origin !== origin && !url.pathname.startsWith("/auth/"));
}

const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

flow("the whole story with a browser alone: sign in at the issuer, create, see the token, revoke, sign out", async (visit) => {
  // The API server may need ten seconds to know the issuer, and a user has five tries.
  await (await openAs(visit, "visitor", "verify", { at: "exchange" })).context().close();
  const ns = await namespace("story");
  await grant("people:story", "refreshkeys-editor", ns);
  await grant("people:story", "edit", ns);
  const page = await outside(visit, `keys/new?ns=${ns}`);
  await visit.accessible(page, "login page");
  await fill(page, "story", "wrong");
  await seen(page.getByRole("alert").filter({ hasText: "The user name or the password is wrong." }));
  await visit.accessible(page, "login page after a failure");
  await signIn(page, "story");
  await seen(heading(page, "Create a refresh key"));
  await page.getByLabel("Audience", { exact: true }).fill("https://orders.example.com");
  await page.getByRole("radio", { name: "7 days" }).check();
  await page.getByRole("button", { name: "Save" }).click();
  await seen(page.getByText(/ready in [\d.]+ s/i));
  await awaitKey(ns, "orders");
  await page.getByRole("button", { name: /^Show for/ }).click();
  await seen(page.getByRole("button", { name: /^Hide/ }));
  await page.getByRole("button", { name: /^Hide/ }).click();
  await page.getByRole("button", { name: "Revoke…" }).click();
  await dialog(page).getByLabel("Type orders to confirm").fill("orders");
  await dialog(page).locator("button[type=submit]").click();
  await awaitKey(ns, "orders", (key) => key.status.revokedAt);
  await page.goto(`${world.consoles.own}me/sessions`);
  await seen(page.getByText("This session", { exact: true }));
  await page.goto(`${world.consoles.own}keys?ns=${ns}`);
  await seen(rowOf(page, ns, "orders").getByText("Revoked"));
  await page.getByRole("button", { name: /^Account/ }).click();
  await seen(page.getByText("people:story", { exact: true }));
  await page.getByRole("button", { name: "Sign out" }).click();
  await seen(page.getByLabel("Bearer token"));
});

flow("a person who does not allow the access returns to the console, which says so", async (visit) => {
  const page = await outside(visit, "keys");
  await fill(page, "denier");
  await seen(heading(page, "The console"));
  await seen(page.getByText(audience));
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await visit.accessible(page, `page of consent, ${colorScheme}`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  assert.equal(await fits(page), true, "the page of consent scrolls sideways at 390 px");
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("button", { name: "Deny" }).click();
  await page.waitForURL((url) => url.searchParams.get("failed") === "AccessDenied");
  await seen(page.getByLabel("Bearer token"));
});

flow("the login page needs no script, and its form leads to the application alone", async (visit) => {
  visit.visits(issuer);
  visit.visits(world.consoles.own);
  const context = await visit.context({ base: world.consoles.own, javaScriptEnabled: false });
  const page = await context.newPage();
  const query = new URLSearchParams({
    client_id: clientID, redirect_uri: `${world.consoles.own}auth/callback`, response_type: "code", state: "s1", code_challenge_method: "S256",
    code_challenge: createHash("sha256").update(randomBytes(32).toString("base64url")).digest("base64url"),
  });
  await page.goto(`${issuer}/authorize?${query}`);
  await fill(page, "plain");
  const [back] = await Promise.all([page.waitForRequest((request) => request.url().startsWith(`${world.consoles.own}auth/callback`)), page.getByRole("button", { name: "Allow" }).click()]);
  const { searchParams } = new URL(back.url());
  assert.deepEqual([searchParams.get("iss"), searchParams.get("state"), searchParams.has("code")], [issuer, "s1", true]);
});
