// Creating keys, and what the form says before and after Save.
import assert from "node:assert/strict";
import { flow, rowOf, seen } from "./browser.mjs";
import { awaitKey, createIssuer, createKey, keyPath, kube, namespace, person, readyOf, until } from "./world.mjs";

const save = (page) => page.getByRole("button", { name: "Save" });
const accepted = (page) => seen(page.getByText("The API server accepts this key."));
const field = (page, label) => page.getByLabel(label, { exact: true });

/** The text of the error that belongs to a control. */
const errorAt = async (control) => {
  const ids = ((await control.getAttribute("aria-describedby")) ?? "").split(" ");
  return control.page().locator(ids.filter((id) => id.endsWith("-error")).map((id) => `[id="${id}"]`).join(",") || "#none").innerText();
};

flow("create with two fields: the token is issued, and the page says after how long", async (visit) => {
  const ns = await namespace("create");
  const page = await visit.open(`keys?ns=${ns}`);
  await page.getByRole("link", { name: "Create a refresh key" }).first().click();
  await field(page, "Audience").pressSequentially("https://orders.example.com");
  assert.equal(await field(page, "Name").inputValue(), "orders", "the name is proposed from the audience");
  await page.getByRole("radio", { name: "7 days" }).check();
  await save(page).click();
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  assert.equal(new URL(page.url()).pathname, `/keys/${ns}/orders`);
  await seen(page.getByText(/ready in [\d.]+ s/i));
  const { spec } = await awaitKey(ns, "orders");
  assert.equal(spec.audience, "https://orders.example.com");
  assert.equal(spec.lifetime, "168h");
});

flow("the manifest beside the form is what is stored", async (visit) => {
  const ns = await namespace("manifest");
  const page = await visit.open(`keys/new?ns=${ns}&audience=https://till.example.com&lifetime=90d`);
  for (const section of ["Rotation", "Secret", "Holder"]) await page.locator("summary", { hasText: section }).click();
  await page.locator("label", { hasText: "OneTimeUse" }).click();
  await field(page, "Retry grace").fill("45s");
  await field(page, "Idle timeout").fill("30d");
  await field(page, "Secret name").fill("till-token");
  await field(page, "Device name").fill("Till 17");
  await field(page, "Operating system").fill("Linux");
  await accepted(page);
  const text = await page.locator("pre.yaml").innerText();
  await save(page).click();
  await seen(page.getByRole("heading", { name: "till", level: 1 }));
  const { spec } = await awaitKey(ns, "till");
  assert.deepEqual(spec.rotation, { mode: "OneTimeUse", retryGrace: "45s" });
  assert.deepEqual(spec.deviceInfo, { name: "Till 17", os: "Linux" });
  assert.equal(spec.secret.name, "till-token");
  assert.equal(spec.idleTimeout, "720h");
  // The manifest, applied with the name of another key, is the same object.
  await kube("PATCH", `${keyPath(ns, "again")}?fieldManager=test`, text.replace("name: till\n", "name: again\n").replace("till-token", "again-token"), "application/apply-patch+yaml");
  const again = await kube("GET", keyPath(ns, "again"));
  assert.deepEqual({ ...again.spec, secret: undefined }, { ...spec, secret: undefined });
});

const invalid = [
  ["Audience", "Audience", "has a space", /audience/i],
  ["Custom lifetime", "Custom lifetime", "10s", /at least|1h|must/i],
  ["Name", "Name", "Not_A_Name", /lowercase|RFC 1123/i],
  ["Access token lifetime", "Access token lifetime", "48h", /24h|at most/i],
  ["Renew before", "Renew before", "900d", /lifetime|less/i],
  ["Subject", "Subject", "system:masters", /subject/i],
  ["Bound to DPoP key", "Bound to DPoP key", "short", /thumbprint|43|match/i],
  ["Idle timeout", "Idle timeout", "5m", /1h|least/i],
];

for (const [what, label, value, message] of invalid) {
  flow(`an invalid ${what} shows what is wrong at its field, and Save puts the focus there`, async (visit) => {
    const page = await visit.open("keys/new?ns=default&audience=https://orders.example.com&name=invalid-one");
    await accepted(page);
    if (what === "Custom lifetime") await page.getByRole("radio", { name: "Custom" }).check();
    for (const summary of await page.locator(".advanced summary").all()) await summary.click();
    const control = field(page, label);
    await control.fill(value);
    await until(`${label} is marked`, async () => (await control.getAttribute("aria-invalid")) === "true" || undefined);
    assert.match(await errorAt(control), message);
    await save(page).click();
    await until(`${label} has the focus`, async () => (await control.evaluate((one) => one === document.activeElement)) || undefined);
    await assert.rejects(kube("GET", keyPath("default", "invalid-one")), { status: 404 });
  });
}

flow("an empty form names what is missing", async (visit) => {
  const ns = await namespace("empty");
  const page = await visit.open(`keys/new?ns=${ns}`);
  await save(page).click();
  await seen(page.getByText("Enter the audience."));
  assert.equal(await field(page, "Audience").evaluate((one) => one === document.activeElement), true);
});

flow("a name that is taken is an error of the name, before Save", async (visit) => {
  const ns = await namespace("taken");
  await createKey(ns, "orders");
  const page = await visit.open(`keys/new?ns=${ns}&audience=https://orders.example.com&name=orders`);
  const name = field(page, "Name");
  await until("the name is marked", async () => (await name.getAttribute("aria-invalid")) === "true" || undefined);
  assert.match(await errorAt(name), /has a key of this name|already exists/);
  await name.fill("orders-2");
  await accepted(page);
});

flow("the policy denies before Save, and disables lifetimes that it does not grant", async (visit) => {
  const ns = await namespace("policy", { team: "shop" });
  const issuer = await createIssuer("guarded", {
    policy: { rules: [{ namespaces: { names: [ns] }, audiences: ["https://*.shop.example.com"], scopes: ["orders.read"], maxLifetime: "240h" }] },
  });
  const page = await visit.open(`keys/new?ns=${ns}&issuer=${issuer}`);
  await field(page, "Audience").fill("https://bank.example.com");
  await seen(page.getByText(new RegExp(`Issuer ${issuer} does not grant it`)));
  await field(page, "Audience").fill("https://orders.shop.example.com");
  await seen(page.getByText(`Granted by rule 1 of issuer ${issuer}.`));
  const month = page.getByRole("radio", { name: "90 days" });
  assert.equal(await month.isDisabled(), true, "90 days are more than the policy grants");
  assert.equal(await page.getByRole("radio", { name: "7 days" }).isChecked(), true, "the lifetime follows the policy down");
  await save(page).click();
  await seen(page.getByText(/ready in [\d.]+ s/i));
});

flow("a namespace without the right to create is refused with the right to ask for", async (visit) => {
  visit.expects(403, "/preview");
  const [own, other] = await Promise.all([namespace("own"), namespace("other")]);
  const who = await person({ ns: own });
  const page = await visit.open(`keys/new?ns=${other}&audience=https://orders.example.com`, { as: who });
  await seen(page.getByText(`cannot create resource "jwtrefreshkeys"`));
  await seen(page.getByText(new RegExp(`kubectl auth can-i create jwtrefreshkeys.jwt.refreshkeys.dev --namespace ${other}`)));
});

flow("a change that goes through Git hides Save", async (visit) => {
  const page = await visit.open("keys/new?ns=default&audience=https://orders.example.com");
  await page.getByText("This change goes through Git").click();
  assert.equal(await save(page).count(), 0);
  await page.getByText("This change goes through Git").click();
  await seen(save(page));
});

flow("a form that is left asks first", async (visit) => {
  const page = await visit.open("keys/new?ns=default");
  await field(page, "Audience").fill("https://orders.example.com");
  const asked = [];
  page.on("dialog", (dialog) => {
    asked.push(dialog.message());
    void (asked.length === 1 ? dialog.dismiss() : dialog.accept());
  });
  await page.getByRole("link", { name: "Issuers" }).click();
  assert.equal(new URL(page.url()).pathname, "/keys/new");
  await page.getByRole("link", { name: "Issuers" }).click();
  await seen(page.getByRole("heading", { name: "Issuers", level: 1 }));
  assert.equal(asked.length, 2);
});

flow("create another like this one takes over its settings", async (visit) => {
  const ns = await namespace("like");
  await createKey(ns, "orders", { lifetime: "48h", scopes: undefined, deviceInfo: { name: "Till 3" } });
  const page = await visit.open(`keys?ns=${ns}`);
  await rowOf(page, ns, "orders").getByRole("button", { name: "Actions for orders" }).click();
  await page.getByRole("menuitem", { name: "Create another like this" }).click();
  await seen(page.getByText(`Filled in from ${ns}/orders.`));
  await until("the name is new", async () => (await field(page, "Name").inputValue()) === "orders-2" || undefined);
  assert.match(await page.locator("pre.yaml").innerText(), /lifetime: 48h[\s\S]*Till 3|Till 3[\s\S]*lifetime: 48h/);
});

flow("edit changes only what was changed", async (visit) => {
  const ns = await namespace("edit");
  await createKey(ns, "orders", { lifetime: "48h" });
  await awaitKey(ns, "orders");
  const page = await visit.open(`keys/${ns}/orders`);
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Edit" }).click();
  await seen(page.getByRole("heading", { name: "Edit orders", level: 1 }));
  await field(page, "Audience").fill("https://edited.example.com");
  await save(page).click();
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  const { spec } = await awaitKey(ns, "orders", (key) => readyOf(key)?.status === "True" && key.spec.audience === "https://edited.example.com");
  assert.equal(spec.lifetime, "48h");
});
