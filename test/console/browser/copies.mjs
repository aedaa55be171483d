// What is copied and downloaded. One test reads the clipboard, which all pages share.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { flow, gone, rowOf, seen } from "./browser.mjs";
import { heading, ready } from "./detail.mjs";
import { getSecrets, person, secrets, tokenOf, until, world } from "./world.mjs";

flow("the token, names and manifests are copied; the token hides after 30 s and with the tab", async (visit) => {
  const ns = await ready("copies", { rotation: { mode: "OneTimeUse" } });
  const token = await tokenOf(ns, "orders");
  const context = await visit.context({ permissions: ["clipboard-write"] });
  await visit.signIn(context, await person({ rules: getSecrets }));
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(`${context.base}keys/${ns}/orders`);
  await heading(page, "orders");
  await seen(page.getByText("This token works once."));
  // The console may not read the clipboard: it is pasted into a page.
  const copied = async () => {
    const other = await context.newPage();
    await other.goto(`${context.base}verify`);
    const field = other.getByRole("textbox", { name: "Token" });
    await field.focus();
    await other.keyboard.press("Control+V");
    const text = await field.inputValue();
    await other.close();
    return text;
  };
  const shown = async (wanted, what) => until(what, async () => (await page.evaluate(() => document.documentElement.outerHTML)).includes(token) === wanted || undefined);
  const show = page.getByRole("button", { name: "Show for 30 s" });

  // A second click, before the first one is answered, reveals no second time.
  const held = [];
  await page.route("**/reveal", (route) => void held.push(route));
  await show.dblclick();
  await until("the token is asked for", () => held.length > 0 || undefined);
  await held[0].continue();
  await shown(true, "the token is shown");
  assert.equal(held.length, 1, "the token is revealed twice");
  await page.unroute("**/reveal");
  await seen(page.locator("[role=status]", { hasText: /^The token is shown$/ }));
  assert.equal(await page.locator("[aria-live] [data-secret], [role=status] [data-secret]").count(), 0, "the token is in a live region");
  await page.clock.fastForward(31_000);
  await shown(false, "the token hides after 30 s");
  await show.click();
  await shown(true, "the token is shown again");
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    Object.defineProperty(document, "hidden", { value: false, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await shown(false, "the token hides with the tab");

  await page.getByRole("button", { name: "Copy token", exact: true }).click();
  await seen(page.getByText("Token copied."));
  assert.equal(await copied(), token);
  await page.evaluate(() => navigator.clipboard.writeText(""));
  secrets.add(token);
  // A refusal while the copy waits for the token is what the page says.
  visit.expects(403, "/reveal");
  await page.route("**/reveal", (route) => route.fulfill({ status: 403, json: { code: 403, reason: "Forbidden", message: "no token today" } }));
  await page.getByRole("button", { name: "Copy token", exact: true }).click();
  await seen(page.getByText("no token today"));

  await page.goto(`${context.base}keys?ns=${ns}`);
  const item = async (name) => {
    await rowOf(page, ns, "orders").getByRole("button", { name: "Actions for orders" }).click();
    await page.getByRole("menuitem", { name }).click();
  };
  await item("Copy name");
  await seen(page.getByText("1 name copied."));
  assert.equal(await copied(), `${ns}/orders`);
  await item("Copy as YAML");
  await seen(page.getByText("1 manifest copied."));
  assert.match(await copied(), new RegExp(`kind: JWTRefreshKey\\n[^]*name: orders\\n[^]*namespace: ${ns}\\n[^]*mode: OneTimeUse`));
});

flow("the manifest of the form is downloaded", async (visit) => {
  const page = await visit.open("keys/new?ns=default&audience=https://orders.example.com&name=downloaded");
  await seen(page.getByText("The API server accepts this key."));
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  assert.equal(file.suggestedFilename(), "downloaded.yaml");
  assert.equal(await readFile(await file.path(), "utf8"), await page.locator("pre.yaml").textContent());
});
