// The page of a key: its token, what is done with it, and the reveal.
import assert from "node:assert/strict";
import { flow, gone, seen } from "./browser.mjs";
import { awaitKey, createKey, exchange, getSecrets, keyPath, kube, namespace, person, secrets, tokenOf, until, world } from "./world.mjs";

export const heading = (page, name) => seen(page.getByRole("heading", { name, level: 1 }));
export const dialog = (page) => page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });

/** Both replicas answer with this status. */
const bothAnswer = async (token, wanted) => {
  for (const replica of world.tokenServers.keys()) {
    await until(`replica ${replica + 1} answers ${wanted}`, async () => (await exchange(token, replica)).status === wanted || undefined);
  }
};

export const ready = async (stem, spec) => {
  const ns = await namespace(stem);
  await createKey(ns, "orders", spec);
  await awaitKey(ns, "orders");
  return ns;
};

flow("the page of a key shows the token's fields by their names", async (visit) => {
  const ns = await ready("detail", { deviceInfo: { name: "Till 17", browser: "Firefox", os: "Linux" } });
  const { status } = await kube("GET", keyPath(ns, "orders"));
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  const terms = await page.locator("dt").allInnerTexts();
  for (const term of ["Audience", "Expires At", "Created At", "Revoked At", "Last Used", "Content", "Token Hash", "JTI", "Device Info"]) {
    assert.ok(terms.some((text) => text.trim() === term), `${term} is not on the page: ${terms}`);
  }
  const text = await page.locator("main").innerText();
  for (const wanted of [status.jti, status.tokenHash, "https://orders.example.com", "Till 17"]) assert.ok(text.includes(wanted), `${wanted} is not on the page`);
  for (const title of ["Timeline", "Conditions", "Events", "Object"]) await seen(page.getByRole("heading", { name: title }));
});

flow("the use of a token, and the device that used it, appear by themselves", async (visit) => {
  const ns = await ready("used", { deviceInfo: { browser: "Firefox", os: "Linux" } });
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  const answer = await exchange(await tokenOf(ns, "orders"), 0, { userAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36" });
  assert.equal(answer.status, 200);
  await seen(page.locator("main").getByText("Chrome"), 90_000);
  await seen(page.getByText("differs from what is meant"));
}, { waits: true });

flow("a user agent full of markup is text", async (visit) => {
  const ns = await ready("agent");
  const evil = `<img src=x onerror=alert(1)>"><script>alert(2)</script>`;
  assert.equal((await exchange(await tokenOf(ns, "orders"), 0, { userAgent: evil })).status, 200);
  await awaitKey(ns, "orders", (key) => key.status.lastUsed, 90_000);
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  assert.equal(await page.locator("main img, main script").count(), 0);
}, { waits: true });

flow("revoke: the name is typed, every replica refuses the token, and restore brings a new one", async (visit) => {
  const ns = await ready("revoke");
  const token = await tokenOf(ns, "orders");
  await bothAnswer(token, 200);
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("button", { name: "Revoke…" }).click();
  const box = dialog(page);
  const act = box.getByRole("button", { name: "Revoke", exact: true });
  assert.equal(await act.isDisabled(), true);
  await box.getByLabel("Type orders to confirm").fill("order");
  assert.equal(await act.isDisabled(), true);
  await box.getByLabel("Type orders to confirm").fill("orders");
  await box.getByLabel("Reason").fill("the laptop was lost");
  await act.click();
  await gone(box);
  await seen(page.locator(".page-head").getByText("Revoked"));
  await bothAnswer(token, 400);
  const stored = await kube("GET", keyPath(ns, "orders"));
  assert.equal(stored.spec.revoked, true);
  assert.equal(stored.metadata.annotations["jwt.refreshkeys.dev/revocation-note"], "the laptop was lost");
  await page.getByRole("button", { name: "Restore" }).click();
  const key = await awaitKey(ns, "orders");
  assert.ok(key.status.revision > stored.status.revision || key.status.jti !== stored.status.jti);
  await seen(page.locator(".page-head .chip.good"));
  await bothAnswer(await tokenOf(ns, "orders"), 200);
  await bothAnswer(token, 400);
});

flow("rotate: the next token comes, and the earlier one stays in overlap", async (visit) => {
  const ns = await ready("rotate");
  const first = await tokenOf(ns, "orders");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await awaitKey(ns, "orders", (key) => key.status.revision === 2);
  await seen(page.getByText("superseded, still accepted"));
  await seen(page.getByText("Revision 2"));
  await bothAnswer(first, 200);
});

flow("an earlier token retires at overlap.max, when the client has taken the next one", async (visit) => {
  const ns = await ready("retire", { rotation: { overlap: { max: "10s" } } });
  const first = await tokenOf(ns, "orders");
  await bothAnswer(first, 200);
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await seen(page.getByText("superseded, still accepted"));
  await awaitKey(ns, "orders", (key) => key.status.revision === 2);
  const second = await tokenOf(ns, "orders");
  await bothAnswer(second, 200);
  await gone(page.getByText("superseded, still accepted"), 60_000);
  await bothAnswer(first, 400);
  await bothAnswer(second, 200);
}, { waits: true });

flow("rotate now: every earlier token is refused", async (visit) => {
  const ns = await ready("now");
  const first = await tokenOf(ns, "orders");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("button", { name: "More ways to rotate" }).click();
  await page.getByRole("menuitem", { name: "Rotate now…" }).click();
  await dialog(page).getByRole("button", { name: "Rotate now" }).click();
  await awaitKey(ns, "orders", (key) => key.status.revision === 2);
  await bothAnswer(first, 400);
  await bothAnswer(await tokenOf(ns, "orders"), 200);
});

flow("delete: the name is typed, and the page keeps the last state", async (visit) => {
  visit.expects(404);
  const ns = await ready("delete");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  await dialog(page).getByLabel("Type orders to confirm").fill("orders");
  await dialog(page).getByRole("button", { name: "Delete" }).click();
  await seen(page.getByText("This key was deleted"));
  await until("the key is gone", () => kube("GET", keyPath(ns, "orders")).then(() => undefined, ({ status }) => status === 404));
});

flow("a key that is deleted under an open dialog: the dialog says so, and nothing is an error page", async (visit) => {
  visit.expects(404);
  visit.expects(409);
  const ns = await ready("under");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("button", { name: "Revoke…" }).click();
  const box = dialog(page);
  await box.getByLabel("Type orders to confirm").fill("orders");
  await kube("DELETE", keyPath(ns, "orders"));
  await seen(page.getByText("This key was deleted"));
  if (await box.isVisible()) {
    await box.getByRole("button", { name: "Revoke", exact: true }).click();
    await seen(box.getByText(/not found/));
    await page.keyboard.press("Escape");
  }
  await gone(box);
  await seen(page.getByRole("link", { name: `Show the keys of ${ns}` }));
});

flow("reveal: hidden at first, shown on request, and gone when the tab loses the focus", async (visit) => {
  const ns = await ready("reveal");
  const token = await tokenOf(ns, "orders");
  const who = await person({ rules: getSecrets });
  const page = await visit.open(`keys/${ns}/orders`, { as: who });
  await heading(page, "orders");
  const text = () => page.evaluate(() => document.documentElement.outerHTML);
  assert.ok(!(await text()).includes(token), "the token is on the page before it is revealed");
  await page.getByRole("button", { name: "Show for 30 s" }).click();
  await until("the token is shown", async () => (await text()).includes(token) || undefined);
  await page.evaluate(() => dispatchEvent(new Event("blur")));
  await until("the token is gone", async () => !(await text()).includes(token) || undefined);
  await page.getByRole("button", { name: "Show for 30 s" }).click();
  await until("the token is shown again", async () => (await text()).includes(token) || undefined);
  await page.getByRole("button", { name: /^Hide/ }).click();
  assert.ok(!(await text()).includes(token));
  await page.getByRole("button", { name: "Show for 30 s" }).click();
  await until("the token is shown once more", async () => (await text()).includes(token) || undefined);
  await page.getByRole("link", { name: "Issuers" }).click();
  await seen(page.getByRole("heading", { name: "Issuers", level: 1 }));
  await page.goBack();
  await heading(page, "orders");
  assert.ok(!(await text()).includes(token), "the token is gone after the page was left");
  secrets.add(token);
});

flow("reveal without the right says what to ask for", async (visit) => {
  const ns = await ready("noreveal");
  const page = await visit.open(`keys/${ns}/orders`, { as: await person() });
  await heading(page, "orders");
  await seen(page.getByText(new RegExp(`kubectl auth can-i get secrets/orders (-n|--namespace) ${ns}`)));
  assert.equal(await page.getByRole("button", { name: "Show for 30 s" }).count(), 0);
});

flow("what the person may not do is shown, with the reason", async (visit) => {
  const ns = await ready("viewer");
  const page = await visit.open(`keys/${ns}/orders`, { as: await person({ role: "refreshkeys-viewer" }) });
  await heading(page, "orders");
  const revoke = page.getByRole("button", { name: "Revoke…" });
  await until("revoke is disabled", async () => (await revoke.getAttribute("aria-disabled")) === "true" || undefined);
  await revoke.focus();
  await revoke.click({ force: true });
  assert.equal(await dialog(page).count(), 0);
});

flow("a key that GitOps applies warns before it is revoked", async (visit) => {
  const ns = await namespace("gitops");
  await createKey(ns, "orders", {}, { labels: { "kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" } });
  await awaitKey(ns, "orders");
  const page = await visit.open(`keys/${ns}/orders`);
  await page.getByRole("button", { name: "Revoke…" }).click();
  await seen(dialog(page).getByText(/Flux applies this key/));
});

flow("a key that does not exist", async (visit) => {
  visit.expects(404);
  const page = await visit.open("keys/default/no-such-key");
  await seen(page.getByRole("heading", { name: "No such refresh key" }));
});

flow("a dialog whose request is under way stays, and shows what it was refused with", async (visit) => {
  visit.expects(403);
  const ns = await ready("busy");
  const page = await visit.open(`keys/${ns}/orders`);
  await heading(page, "orders");
  await page.getByRole("button", { name: "Revoke…" }).click();
  const box = dialog(page);
  await box.getByLabel("Type orders to confirm").fill("orders");
  await box.getByLabel("Reason").fill("the till's lost");
  assert.equal(
    await box.getByLabel("Command").locator("code").innerText(),
    `kubectl annotate jrk orders -n ${ns} --overwrite jwt.refreshkeys.dev/revocation-note='the till'\\''s lost'\nkubectl refreshkey revoke orders -n ${ns} --wait`,
  );
  const { x, y } = await box.boundingBox();
  await page.mouse.move(x + 40, y + 90);
  await page.mouse.down();
  await page.mouse.move(5, 5);
  await page.mouse.up();
  await seen(box);
  let held;
  await page.route(`**/api/keys/${ns}/orders`, (route) => (route.request().method() === "PATCH" ? void (held = route) : route.continue()));
  await box.getByRole("button", { name: "Revoke", exact: true }).click();
  await until("the request is under way", () => held !== undefined || undefined);
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await box.getByRole("button", { name: "Cancel" }).click({ force: true });
  await page.mouse.click(5, 5);
  await held.fulfill({ status: 403, json: { code: 403, reason: "Forbidden", message: "not at night" } });
  await seen(box.getByText("not at night"));
  // The button that revokes is red under the pointer, too.
  const act = box.getByRole("button", { name: "Revoke", exact: true });
  await act.hover();
  await until("the button is red", async () => {
    const [red, , blue] = (await act.evaluate((one) => getComputedStyle(one).backgroundColor)).match(/[\d.]+/g).map(Number);
    return red > blue || undefined;
  });
  await page.mouse.click(5, 5);
  await gone(box);
});

flow("rights that cannot be asked about keep the actions", async (visit) => {
  visit.expects(500, "/api/can");
  const ns = await ready("unasked");
  const page = await visit.open("verify");
  let asked = 0;
  await page.route("**/api/can", (route) => {
    asked++;
    return route.fulfill({ status: 500, json: { code: 500, message: "no answer" } });
  });
  await page.goto(`${world.consoles.main}keys/${ns}/orders`);
  await heading(page, "orders");
  await until("the rights are asked about", () => asked > 0 || undefined);
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await awaitKey(ns, "orders", (key) => key.status.revision === 2);
  assert.notEqual(await page.getByRole("button", { name: "Revoke…" }).getAttribute("aria-disabled"), "true");
});
