// Signing in and out.
import assert from "node:assert/strict";
import { flow, gone, seen } from "./browser.mjs";
import { awaitKey, createKey, endCredential, namespace, person, world } from "./world.mjs";

export const enter = async (page, token) => {
  await page.getByLabel("Bearer token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
};

flow("sign in by token: a bad token is refused at the field, a good one opens the list", async (visit) => {
  visit.expects(401);
  const context = await visit.context();
  const page = await context.newPage();
  await page.goto(context.base);
  await seen(page.getByRole("heading", { name: "Sign in" }));
  await page.getByRole("button", { name: "Sign in" }).click();
  await seen(page.getByText("Paste a token."));
  await enter(page, "this-is-no-token");
  const field = page.getByLabel("Bearer token");
  await seen(page.locator(".field .error"));
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  const who = await person();
  await enter(page, `Bearer ${who.token}`);
  await seen(page.getByRole("heading", { name: "JWT Refresh Keys", level: 1 }));
  const cookies = await context.cookies();
  assert.deepEqual(cookies.map(({ name, httpOnly, secure, sameSite }) => ({ name, httpOnly, secure, sameSite })), [{ name: "__Host-rk", httpOnly: true, secure: true, sameSite: "Strict" }]);
});

flow("sign in by token: an expired token is refused", async (visit) => {
  visit.expects(401);
  const context = await visit.context();
  const page = await context.newPage();
  await page.goto(context.base);
  const who = await person();
  await endCredential(who);
  await enter(page, who.token);
  await seen(page.locator(".field .error"));
  assert.equal(await page.getByLabel("Bearer token").evaluate((field) => field === document.activeElement), true, "the field has the focus");
}, { waits: true });

flow("sign in by token: without rights, the page says which right to ask for", async (visit) => {
  const who = await person({ role: "" });
  const page = await visit.open("keys", { as: who });
  await seen(page.getByRole("heading", { name: "You may not list keys in all namespaces" }));
  await seen(page.getByText(/kubectl auth can-i (list|watch)\s+jwtrefreshkeys.jwt.refreshkeys.dev --all-namespaces/));
});

flow("sign in by token: with rights in one namespace, the page offers it", async (visit) => {
  const ns = await namespace("only");
  await createKey(ns, "orders");
  const who = await person({ ns, role: "refreshkeys-viewer", rules: [{ apiGroups: [""], resources: ["namespaces"], verbs: ["list"] }] });
  const page = await visit.open("keys", { as: who });
  await page.locator(".choices").getByRole("button", { name: ns }).click();
  await seen(page.getByRole("link", { name: "orders" }));
  assert.match(page.url(), new RegExp(`ns=${ns}`));
});

flow("a deep link is kept through the sign-in", async (visit) => {
  const ns = await namespace("deep");
  await createKey(ns, "orders");
  await awaitKey(ns, "orders");
  const context = await visit.context();
  const page = await context.newPage();
  await page.goto(`${context.base}keys/${ns}/orders`);
  await seen(page.getByRole("heading", { name: "Sign in" }));
  await enter(page, (await person()).token);
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  assert.equal(new URL(page.url()).pathname, `/keys/${ns}/orders`);
});

flow("sign out in one tab ends the session in the other", async (visit) => {
  visit.expects(401);
  const first = await visit.open("keys", { as: await person() });
  await seen(first.getByRole("heading", { name: "JWT Refresh Keys", level: 1 }));
  const second = await first.context().newPage();
  await second.goto(`${world.consoles.main}issuers`);
  await seen(second.getByRole("heading", { name: "Issuers", level: 1 }));
  await second.getByRole("button", { name: /^Account/ }).click();
  await second.getByRole("button", { name: "Sign out" }).click();
  await seen(second.getByLabel("Bearer token"));
  await seen(first.getByLabel("Bearer token"));
  await gone(first.getByRole("heading", { name: "JWT Refresh Keys", level: 1 }));
  const after = await first.context().request.get(`${world.consoles.main}api/namespaces`);
  assert.equal(after.status(), 401, "the cookie is worth nothing on the server, too");
});

flow("a session that ends asks to sign in again, and goes on where it was", async (visit) => {
  visit.expects(401);
  const who = await person();
  const page = await visit.open("issuers", { as: who, base: world.consoles.brief });
  await seen(page.getByRole("heading", { name: "Issuers", level: 1 }));
  await seen(page.getByText("Your session ends in"));
  await seen(page.getByText("Your session has ended."), 30_000);
  await enter(page, who.token);
  await seen(page.getByRole("heading", { name: "Issuers", level: 1 }));
}, { waits: true });

flow("a credential that ends takes the page back to the sign-in", async (visit) => {
  visit.expects(401);
  const who = await person();
  const page = await visit.open("keys", { as: who });
  await seen(page.getByRole("heading", { name: "JWT Refresh Keys", level: 1 }));
  await endCredential(who);
  await page.getByRole("link", { name: "Issuers" }).click();
  await page.getByRole("link", { name: "default" }).click();
  await seen(page.getByLabel("Bearer token"));
}, { waits: true });
