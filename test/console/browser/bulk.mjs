// Many keys at a time.
import assert from "node:assert/strict";
import { flow, gone, rowOf, seen } from "./browser.mjs";
import { awaitKey, createKey, keyPath, kube, namespace, until } from "./world.mjs";

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
  await page.getByRole("region", { name: "Actions for the selection" }).getByRole("button", { name: "Revoke…" }).click();
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
  await page.getByRole("region", { name: "Actions for the selection" }).getByRole("button", { name: "Rotate" }).click();
  await dialog(page).getByRole("button", { name: "Rotate", exact: true }).click();
  await seen(dialog(page).getByText("2 keys rotated."));
  await dialog(page).getByRole("button", { name: "Close" }).last().click();
  await Promise.all(["one", "two"].map((name) => awaitKey(ns, name, (key) => key.status.revision === 2)));
  assert.equal((await kube("GET", keyPath(ns, "three"))).status.revision, 1);
});
