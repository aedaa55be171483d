// Who the page is for, what it offers, and what it sends by itself.
import assert from "node:assert/strict";
import { dialog, heading, ready } from "./detail.mjs";
import { flow, gone, rowOf, seen } from "./browser.mjs";
import { enter } from "./signin.mjs";
import { awaitKey, createKey, endCredential, exchange, keyPath, kube, namespace, person, readyOf, tokenOf, until, world } from "./world.mjs";

flow("another person who signs in on the same page sees nothing of the first", async (visit) => {
  visit.expects(401);
  const ns = await ready("first");
  const first = await person();
  const page = await visit.open(`keys/${ns}/orders`, { as: first });
  await heading(page, "orders");
  await page.getByRole("button", { name: "Revoke…" }).click();
  await dialog(page).getByLabel("Type orders to confirm").fill("orders");
  await endCredential(first);
  await dialog(page).getByRole("button", { name: "Revoke", exact: true }).click();
  await seen(page.getByText("Your session has ended."));
  await enter(page, (await person({ role: "" })).token);
  await seen(page.getByRole("heading", { name: "You may not list keys in all namespaces" }));
  assert.equal(await dialog(page).count(), 0, "the dialog of the first person is open");
  assert.ok(!(await page.content()).includes(ns), "a namespace that only the first person may see is on the page");
  await page.getByRole("link", { name: "Issuers" }).click();
  await seen(page.getByRole("heading", { name: "You may not list issuers" }), 5000);
  assert.equal((await kube("GET", keyPath(ns, "orders"))).spec.revoked ?? false, false, "the key is revoked");
});

flow("the same person goes on where the session ended, with the dialog that was open", async (visit) => {
  visit.expects(401);
  const ns = await ready("same");
  const who = await person();
  const page = await visit.open(`keys/${ns}/orders`, { as: who });
  await heading(page, "orders");
  await page.getByRole("button", { name: "Revoke…" }).click();
  await dialog(page).getByLabel("Type orders to confirm").fill("orders");
  await page.context().clearCookies();
  await dialog(page).getByRole("button", { name: "Revoke", exact: true }).click();
  await enter(page, who.token);
  await seen(dialog(page));
  await dialog(page).getByRole("button", { name: "Revoke", exact: true }).click();
  await gone(dialog(page));
  await seen(page.locator(".page-head").getByText("Revoked"));
});

flow("a key that is revoked because a used token came again gets a new token by rotation, and is not restored", async (visit) => {
  const ns = await ready("reuse", { rotation: { mode: "OneTimeUse", retryGrace: "0s" } });
  const token = await tokenOf(ns, "orders");
  assert.equal((await exchange(token)).status, 200);
  await until("the used token is refused", async () => (await exchange(token)).status === 400 || undefined);
  const before = await awaitKey(ns, "orders", (key) => readyOf(key)?.reason === "Revoked");
  assert.equal(before.status.revocationReason, "ReuseDetected");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  const reissue = page.getByRole("button", { name: "Issue a new token" });
  await seen(reissue);
  assert.equal(await page.getByRole("button", { name: "Restore" }).count(), 0, "Restore is offered");
  await reissue.click();
  const key = await awaitKey(ns, "orders");
  assert.ok(key.status.revision > before.status.revision, "no new token was issued");
  assert.ok(await tokenOf(ns, "orders"));
});

flow("a key that spec revokes is restored, and not rotated", async (visit) => {
  const ns = await ready("spec");
  await kube("PATCH", keyPath(ns, "orders"), { spec: { revoked: true } });
  await awaitKey(ns, "orders", (key) => readyOf(key)?.reason === "Revoked");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await seen(page.getByRole("button", { name: "Restore" }));
  const rotate = page.getByRole("button", { name: "Rotate", exact: true });
  assert.equal(await rotate.getAttribute("aria-disabled"), "true", "Rotate is offered");
  await page.goto(`${world.consoles.main}keys?ns=${ns}`);
  await rowOf(page, ns, "orders").getByRole("button", { name: "Actions for orders" }).click();
  await seen(page.getByRole("menuitem", { name: "Restore" }));
  assert.equal(await page.getByRole("menuitem", { name: /^Rotate/ }).getAttribute("aria-disabled"), "true", "Rotate is offered in the row");
});

flow("the snippet quotes the audience", async (visit) => {
  const ns = await namespace("quote");
  await createKey(ns, "orders", { audience: "https://x.example.com;id", secret: { accessToken: true } });
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("tab", { name: "Access token" }).click();
  assert.match(await page.getByRole("tabpanel").innerText(), /--url 'https:\/\/x\.example\.com;id'/);
});

flow("a mistyped namespace is refused on the page, and another one is shown", async (visit) => {
  const ns = await namespace("typed");
  await createKey(ns, "orders");
  const page = await visit.open("keys", { as: await person({ ns, role: "refreshkeys-viewer" }) });
  const type = async (text) => {
    await page.locator("form.inline input").fill(text);
    await page.getByRole("button", { name: "Show keys" }).click();
  };
  await seen(page.getByRole("heading", { name: "You may not list keys in all namespaces" }));
  await type("Shop_1");
  await seen(page.getByRole("heading", { name: "No namespace can be named Shop_1" }));
  assert.equal(await page.getByText("Connection lost").count(), 0, "the page says that the connection is lost");
  await type(ns);
  await seen(rowOf(page, ns, "orders"));
});

flow("Save is sent while a check is under way, and not held up by what was corrected", async (visit) => {
  const ns = await namespace("checking");
  const page = await visit.open(`keys/new?ns=${ns}&audience=https://orders.example.com&lifetime=10s`);
  const save = page.getByRole("button", { name: "Save" });
  const lifetime = page.getByLabel("Custom lifetime", { exact: true });
  await seen(page.locator(".field .error"));
  await page.route("**/preview", () => undefined);
  await lifetime.fill("48h");
  await save.click();
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  assert.equal((await kube("GET", keyPath(ns, "orders"))).spec.lifetime, "48h");
});

flow("what the page asks by itself says so, and what a person does is not marked", async (visit) => {
  const ns = await ready("automatic");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await seen(page.locator(".page-head .chip.good"));
  const marked = (request) => request.headers()["x-refreshkeys-automatic"] === "true";
  const of = (method) => (request) => request.method() === method && new URL(request.url()).pathname === `/api/keys/${ns}/orders`;
  const read = page.waitForRequest(of("GET"));
  await kube("PATCH", keyPath(ns, "orders"), { metadata: { labels: { team: "shop" } }, spec: { lifetime: "480h" } });
  assert.ok(marked(await read), "the detail is read again as if by the person");
  const changed = page.waitForRequest(of("PATCH"));
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  assert.ok(!marked(await changed), "the rotation of a person is marked as automatic");
});

flow("the browser's Back asks before it leaves an unsaved form", async (visit) => {
  const ns = await namespace("back");
  const page = await visit.open(`keys?ns=${ns}`);
  await page.getByRole("link", { name: "Create a refresh key" }).first().click();
  const audience = page.getByLabel("Audience", { exact: true });
  await audience.fill("https://orders.example.com");
  const answers = ["dismiss", "accept"];
  page.on("dialog", (asked) => void asked[answers.shift()]());
  await page.evaluate(() => history.back());
  await until("the question is asked", () => answers.length === 1 || undefined);
  assert.equal(await audience.inputValue(), "https://orders.example.com");
  assert.equal(new URL(page.url()).pathname, "/keys/new");
  await page.evaluate(() => history.back());
  await seen(page.getByRole("heading", { name: "JWT Refresh Keys", level: 1 }));
});
