// Many keys at a time.
import assert from "node:assert/strict";
import { flow, gone, rowOf, seen } from "./browser.mjs";
import { awaitKey, createKey, exchange, keyPath, kube, namespace, person, readyOf, tokenOf, until } from "./world.mjs";

const bar = (page) => page.getByRole("region", { name: "Actions for the selection" });
const dialog = (page) => page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });

flow("bulk revoke of 40 keys: three fail, are named, and can be tried again", async (visit) => {
  visit.expects(404);
  visit.expects(409);
  const ns = await namespace("bulk");
  const all = Array.from({ length: 40 }, (_, n) => `key-${String(n).padStart(2, "0")}`);
  await Promise.all(all.map((name) => createKey(ns, name)));
  await Promise.all(all.map((name) => awaitKey(ns, name)));
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(page.getByText("1–40 of 40"));
  await page.getByLabel("Select all on this page").check();
  await bar(page).getByRole("button", { name: "Revoke…" }).click();
  const box = dialog(page);
  await seen(box.getByRole("heading", { name: "Revoke 40 keys?" }));
  await seen(box.getByText(`40 keys in ${ns}`));
  const act = box.getByRole("button", { name: "Revoke", exact: true });
  assert.equal(await act.isDisabled(), true);
  // Three of the keys are replaced while the dialog is open: the request names the uid that the person saw.
  const lost = ["key-07", "key-19", "key-33"];
  for (const name of lost) {
    await kube("DELETE", keyPath(ns, name));
    await until(`${name} is gone`, () => createKey(ns, name));
  }
  await box.getByLabel("Type revoke 40 to confirm").fill("revoke 40");
  await act.click();
  await seen(box.getByText("37 keys revoked."), 60_000);
  await seen(box.getByText("3 keys failed"));
  for (const name of lost) await seen(box.getByText(`${ns}/${name}`));
  await box.getByRole("button", { name: "Retry the failed ones" }).click();
  await seen(box.getByText("3 keys failed"));
  await box.getByRole("button", { name: "Close" }).last().click();
  await gone(box);
  for (const name of all) {
    const { spec } = await kube("GET", keyPath(ns, name));
    assert.equal(spec.revoked === true, !lost.includes(name), name);
  }
});

flow("rotate of a selection", async (visit) => {
  const ns = await namespace("bulkrotate");
  const all = ["one", "two", "three"];
  await Promise.all(all.map((name) => createKey(ns, name)));
  await Promise.all(all.map((name) => awaitKey(ns, name)));
  const page = await visit.open(`keys?ns=${ns}`);
  for (const name of ["one", "two"]) await rowOf(page, ns, name).getByRole("checkbox").check();
  await seen(page.getByText("2 keys selected"));
  await bar(page).getByRole("button", { name: "Rotate" }).click();
  await dialog(page).getByRole("button", { name: "Rotate", exact: true }).click();
  await seen(dialog(page).getByText("2 keys rotated."));
  await dialog(page).getByRole("button", { name: "Close" }).last().click();
  await Promise.all(["one", "two"].map((name) => awaitKey(ns, name, (key) => key.status.revision === 2)));
  assert.equal((await kube("GET", keyPath(ns, "three"))).status.revision, 1);
});

flow("rotate of a selection leaves out keys that have ended, and says why", async (visit) => {
  const ns = await namespace("bulkended");
  await Promise.all([createKey(ns, "lives"), createKey(ns, "reused", { rotation: { mode: "OneTimeUse", retryGrace: "0s" } }), createKey(ns, "ended", { revoked: true })]);
  await Promise.all(["lives", "reused"].map((name) => awaitKey(ns, name)));
  const token = await tokenOf(ns, "reused");
  assert.equal((await exchange(token)).status, 200);
  await until("the used token is refused", async () => (await exchange(token)).status === 400 || undefined);
  const before = await awaitKey(ns, "reused", (key) => readyOf(key)?.reason === "Revoked");
  await awaitKey(ns, "ended", (key) => readyOf(key)?.reason === "Revoked");
  const page = await visit.open(`keys?ns=${ns}`);
  for (const name of ["reused", "ended"]) await seen(rowOf(page, ns, name).getByText("Revoked").first());
  await page.getByLabel("Select all on this page").check();
  await bar(page).getByRole("button", { name: "Rotate" }).click();
  await seen(dialog(page).getByRole("heading", { name: "Rotate 1 key?" }));
  await seen(dialog(page).getByText("Left out: 1 key that has ended: “Issue a new token” revives one at a time"));
  await seen(dialog(page).getByText("Left out: 1 key that is a session or that spec revokes"));
  await dialog(page).getByRole("button", { name: "Rotate", exact: true }).click();
  await seen(dialog(page).getByText("1 key rotated."));
  await awaitKey(ns, "lives", (key) => key.status.revision === 2);
  const { metadata, status } = await kube("GET", keyPath(ns, "reused"));
  assert.deepEqual([status.revision, status.revocationReason], [before.status.revision, "ReuseDetected"]);
  assert.equal(metadata.annotations?.["jwt.refreshkeys.dev/rotate"], undefined, "a rotation is asked for");
});

flow("Stop, also by Escape, keeps the keys that were not begun, and goes on with them", async (visit) => {
  const ns = await namespace("bulkstop");
  const all = Array.from({ length: 8 }, (_, n) => `key-${n}`);
  await Promise.all(all.map((name) => createKey(ns, name)));
  await Promise.all(all.map((name) => awaitKey(ns, name)));
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(page.getByText("1–8 of 8"));
  const held = [];
  await page.route("**/api/keys/*/*", (route) => (route.request().method() === "PATCH" ? held.push(route) : route.continue()));
  await page.getByLabel("Select all on this page").check();
  await bar(page).getByRole("button", { name: "Rotate" }).click();
  const box = dialog(page);
  await box.getByRole("button", { name: "Rotate", exact: true }).click();
  await until("five requests are under way", () => held.length === 5 || undefined);
  await page.keyboard.press("Escape");
  for (const route of held) await route.continue();
  await seen(box.getByText("5 keys rotated."));
  await seen(box.getByText("Stopped. The others are unchanged."));
  await seen(page.getByText("3 keys selected"));
  await box.getByRole("button", { name: "Go on with the others" }).click();
  await until("three requests are under way", () => held.length === 8 || undefined);
  await box.getByRole("button", { name: "Stop" }).click();
  for (const route of held.slice(5)) await route.continue();
  await seen(box.getByText("3 keys rotated."));
  await box.getByRole("button", { name: "Close" }).last().click();
  await gone(page.getByText("keys selected"));
  await Promise.all(all.map((name) => awaitKey(ns, name, (key) => key.status.revision === 2)));
});

flow("a right for one key by its name is offered, in the list and on its page", async (visit) => {
  const ns = await namespace("named");
  await Promise.all(["orders", "other"].map((name) => createKey(ns, name)));
  await Promise.all(["orders", "other"].map((name) => awaitKey(ns, name)));
  const rules = [{ apiGroups: ["jwt.refreshkeys.dev"], resources: ["jwtrefreshkeys"], resourceNames: ["orders"], verbs: ["patch", "delete"] }];
  const page = await visit.open(`keys?ns=${ns}`, { as: await person({ role: "refreshkeys-viewer", rules }) });
  const state = async (locator) => (await locator.getAttribute("aria-disabled")) === "true";
  // The answers come after the page: first those that refuse.
  await rowOf(page, ns, "other").getByRole("button", { name: "Actions for other" }).click();
  await until("Rotate of the other key is refused", async () => (await state(page.getByRole("menuitem", { name: /^Rotate/ }))) || undefined);
  await page.keyboard.press("Escape");
  await rowOf(page, ns, "orders").getByRole("button", { name: "Actions for orders" }).click();
  assert.equal(await state(page.getByRole("menuitem", { name: "Rotate" })), false, "Rotate of the key is refused in its row");
  await page.keyboard.press("Escape");
  await page.getByLabel("Select all on this page").check();
  await bar(page).getByRole("button", { name: "Rotate" }).click();
  await seen(dialog(page).getByRole("heading", { name: "Rotate 1 key?" }));
  await seen(dialog(page).getByText("Left out: 1 key that you may not change"));
  await page.keyboard.press("Escape");
  await rowOf(page, ns, "other").getByRole("link", { name: "other" }).click();
  await until("Revoke of the other key is refused", async () => (await state(page.getByRole("button", { name: "Revoke…" }))) || undefined);
  await page.goBack();
  await rowOf(page, ns, "orders").getByRole("link", { name: "orders" }).click();
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  await page.getByRole("button", { name: "More actions" }).click();
  assert.equal(await state(page.getByRole("menuitem", { name: "Delete…" })), false, "Delete is refused");
  await page.keyboard.press("Escape");
  const asked = page.waitForResponse((response) => response.request().method() === "PATCH");
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  assert.equal((await asked).status(), 200);
});
