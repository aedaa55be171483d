// Creating keys, and what the form says before and after Save.
import assert from "node:assert/strict";
import { flow, openAdvanced, rowOf, seen } from "./browser.mjs";
import { enter } from "./signin.mjs";
import { awaitKey, createIssuer, createKey, keyPath, kube, namespace, person, readyOf, until, world } from "./world.mjs";

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

/** Adds a row to a list of the form; values are those of its controls by their labels. */
const addRow = async (page, list, values) => {
  const box = page.getByRole("group", { name: list, exact: true });
  await box.getByRole("button", { name: "Add" }).click();
  const row = box.locator(".row").last();
  for (const [label, value] of Object.entries(values)) {
    const control = row.getByLabel(label, { exact: true });
    if (await control.evaluate((one) => one instanceof HTMLSelectElement)) await control.selectOption(value);
    else await control.fill(value);
  }
};

const everything = [
  {
    what: "a key that renews by time",
    texts: { "Custom lifetime": "45d", Issuer: "default", "Access token lifetime": "20m", Subject: "till-17", "Renew before": "10d", "Overlap: quiet": "30m", "Overlap: max": "7d", "Secret name": "till-token", "Device name": "Till 17", "Device ID": "till-17", "Operating system": "Linux", Browser: "Firefox" },
    act: async (page) => {
      for (const scope of ["orders.read", "orders.write"]) {
        await field(page, "Scopes").fill(scope);
        await page.keyboard.press("Enter");
      }
      await addRow(page, "Claims", { Claim: "tier", Type: "number", Value: "3" });
      await addRow(page, "Claims", { Claim: "groups", Type: "list", Value: "tills, shop" });
      await page.getByText("Also keep a valid access token in the Secret").click();
      await page.getByText("Keep the Secret when the key is deleted").click();
      await addRow(page, "Labels of the Secret", { Label: "team", Value: "shop" });
      await addRow(page, "Workloads to restart after a rotation", { Kind: "StatefulSet", Name: "till" });
    },
    spec: {
      lifetime: "1080h",
      issuerRef: { name: "default" },
      subject: "till-17",
      scopes: ["orders.read", "orders.write"],
      claims: { tier: 3, groups: ["tills", "shop"] },
      rotation: { renewBefore: "240h", overlap: { quiet: "30m", max: "168h" } },
      accessToken: { lifetime: "20m" },
      secret: { name: "till-token", labels: { team: "shop" }, accessToken: true, deletionPolicy: "Retain" },
      deviceInfo: { id: "till-17", name: "Till 17", os: "Linux", browser: "Firefox" },
      rolloutRestart: [{ kind: "StatefulSet", name: "till" }],
    },
  },
  {
    what: "a key of one holder that ends at a date",
    life: "Until a date",
    texts: { "Ends at (UTC)": "2099-06-30T12:00", "Lifetime of each token": "7d", "Idle timeout": "30d", "Bound to ServiceAccount": "till", "Bound to DPoP key": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
    act: async (page) => {
      await page.locator("label", { hasText: "OneTimeUse" }).click();
      await field(page, "Retry grace").fill("45s");
      await page.getByText("Write no Secret").click();
    },
    spec: {
      lifetime: "168h",
      expiresAt: "2099-06-30T12:00:00Z",
      rotation: { mode: "OneTimeUse", retryGrace: "45s" },
      idleTimeout: "720h",
      secret: { mode: "None" },
      binding: { serviceAccountName: "till", jwkThumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
    },
  },
];

for (const { what, life = "Custom", texts, act, spec } of everything) {
  flow(`every field of ${what} is stored`, async (visit) => {
    const ns = await namespace("every");
    const page = await visit.open(`keys/new?ns=${ns}&audience=https://till.example.com`);
    await openAdvanced(page);
    await page.getByRole("radio", { name: life }).check();
    for (const [label, value] of Object.entries(texts)) await field(page, label).fill(value);
    await act(page);
    await accepted(page);
    const text = await page.locator("pre.yaml").innerText();
    await save(page).click();
    await seen(page.getByRole("heading", { name: "till", level: 1 }));
    const wanted = { audience: "https://till.example.com", ...spec };
    assert.deepEqual((await kube("GET", keyPath(ns, "till"))).spec, wanted);
    // The manifest beside the form, applied with the name of another key, is the same object.
    await kube("PATCH", `${keyPath(ns, "again")}?fieldManager=test`, text.replace("name: till\n", "name: again\n"), "application/apply-patch+yaml");
    assert.deepEqual((await kube("GET", keyPath(ns, "again"))).spec, wanted);
    // So is the object that the page of the key shows; it has a resourceVersion, which the operator's next write changes.
    const shown = page.getByRole("region", { name: "Object" }).getByLabel("Object", { exact: true });
    const applied = await until("the object on the page is the latest", async () => kube("PATCH", `${keyPath(ns, "till")}?fieldManager=test&force=true&dryRun=All`, await shown.textContent(), "application/apply-patch+yaml"));
    assert.deepEqual(applied.spec, wanted);
  });
}

const invalid = [
  ["Audience", "has a space", /audience/i],
  ["Custom lifetime", "10s", /at least|1h|must/i],
  ["Name", "Not_A_Name", /lowercase|RFC 1123/i],
  ["Access token lifetime", "48h", /24h|at most/i],
  ["Renew before", "900d", /lifetime|less/i],
  ["Subject", "system:masters", /subject/i],
  ["Bound to DPoP key", "short", /thumbprint|43|match/i],
  ["Idle timeout", "5m", /1h|least/i],
];

flow("an invalid value shows what is wrong at its field, and Save puts the focus there", async (visit) => {
  const page = await visit.open("keys/new?ns=default&audience=https://orders.example.com&name=invalid-one");
  await accepted(page);
  await page.getByRole("radio", { name: "Custom" }).check();
  await openAdvanced(page);
  for (const [label, value, message] of invalid) {
    const control = field(page, label);
    const marked = async () => (await control.getAttribute("aria-invalid")) === "true";
    const before = await control.inputValue();
    await control.fill(value);
    await until(`${label} is marked`, async () => (await marked()) || undefined);
    assert.match(await errorAt(control), message, `the error of ${label}`);
    await save(page).click();
    await until(`${label} has the focus`, async () => (await control.evaluate((one) => one === document.activeElement)) || undefined);
    await assert.rejects(kube("GET", keyPath("default", "invalid-one")), { status: 404 });
    await control.fill(before);
    await until(`${label} is not marked any more`, async () => !(await marked()) || undefined);
  }
});

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
  const reason = "The policy grants at most 10 days.";
  assert.equal(await page.locator("label", { has: month }).getAttribute("data-tip"), reason);
  assert.ok((await page.getByRole("group", { name: "Lifetime" }).textContent()).includes(`90 days: ${reason}`), "a screen reader does not hear the reason");
  await openAdvanced(page);
  await page.getByRole("button", { name: "orders.read", exact: true }).click();
  await seen(page.getByRole("button", { name: "Remove orders.read" }));
  assert.equal(await page.getByRole("radio", { name: "7 days" }).isChecked(), true, "the lifetime follows the policy down");
  await save(page).click();
  await seen(page.getByText(/ready in [\d.]+ s/i));
  assert.deepEqual((await kube("GET", keyPath(ns, "orders"))).spec.scopes, ["orders.read"]);
  // A key that the policy denies is stalled: no token is on its way.
  await page.goto(`${world.consoles.main}keys/new?ns=${ns}&issuer=${issuer}&audience=https://bank.example.com`);
  await seen(page.getByText(new RegExp(`Issuer ${issuer} does not grant it`)));
  await save(page).click();
  await seen(page.locator(".standing .banner.bad"));
  assert.equal(await page.getByText("The operator issues the first token").count(), 0, "a token is announced");
  assert.match(await page.locator(".advice").innerText(), /\.$/);
});

flow("an error in a list of rows belongs to its list", async (visit) => {
  const page = await visit.open("keys/new?ns=default&audience=https://orders.example.com&name=rows");
  await accepted(page);
  await openAdvanced(page);
  await addRow(page, "Labels of the Secret", { Label: "not a label", Value: "x" });
  const list = page.getByRole("group", { name: "Labels of the Secret" });
  await seen(list.locator(".error"));
  assert.equal(await errorAt(list), await list.locator(".error").innerText());
});

flow("a form that one person left is not the next one's", async (visit) => {
  visit.expects(401);
  const ns = await namespace("left");
  const first = await person();
  const page = await visit.open(`keys/new?ns=${ns}`, { as: first });
  const inURL = () => new URL(page.url()).searchParams.has("form");
  const audience = field(page, "Audience");
  await audience.fill("https://orders.example.com");
  const end = async () => {
    await page.context().clearCookies();
    await audience.press("End");
    await audience.pressSequentially("x");
    await until("the form is in the URL", () => inURL() || undefined);
    await page.reload();
  };
  await end();
  await enter(page, first.token);
  await until("the form is back", async () => (await audience.inputValue()).startsWith("https://orders.example.com") || undefined);
  await end();
  await enter(page, (await person()).token);
  await seen(page.getByText("Checked as you type."));
  assert.deepEqual([await audience.inputValue(), inURL()], ["", false]);
  await audience.fill("https://other.example.com");
  await end();
  // A person who signs out takes it back.
  await enter(page, first.token);
  await seen(audience);
  assert.equal(inURL(), false);
});

flow("a namespace without the right to create is refused with the right to ask for", async (visit) => {
  visit.expects(403, "/preview");
  const [own, other] = await Promise.all([namespace("own"), namespace("other")]);
  const who = await person({ ns: own });
  const page = await visit.open(`keys/new?ns=${other}&audience=https://orders.example.com`, { as: who });
  await seen(page.getByText(`cannot create resource "jwtrefreshkeys"`));
  await seen(page.getByText(new RegExp(`kubectl auth can-i create jwtrefreshkeys.jwt.refreshkeys.dev --namespace ${other}`)));
});

flow("a quota of the namespace is named in the form, before Save and at it", async (visit) => {
  const ns = await namespace("quota");
  const counted = { "count/jwtrefreshkeys.jwt.refreshkeys.dev": "1" };
  await kube("POST", `/api/v1/namespaces/${ns}/resourcequotas`, { metadata: { name: "keys" }, spec: { hard: counted } });
  // No controller of this cluster counts.
  await kube("PATCH", `/api/v1/namespaces/${ns}/resourcequotas/keys/status`, { status: { hard: counted, used: { "count/jwtrefreshkeys.jwt.refreshkeys.dev": "0" } } });
  const page = await visit.open(`keys/new?ns=${ns}&audience=https://orders.example.com`);
  await accepted(page);
  await save(page).click();
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  visit.expects(403, `/api/keys/${ns}`);
  await page.goto(`${world.consoles.main}keys/new?ns=${ns}&audience=https://till.example.com`);
  const message = page.getByText(/exceeded quota: keys, requested: count\/jwtrefreshkeys.jwt.refreshkeys.dev=1, used: count\/jwtrefreshkeys.jwt.refreshkeys.dev=1, limited: count\/jwtrefreshkeys.jwt.refreshkeys.dev=1/);
  await seen(message);
  await save(page).click();
  await seen(message);
  assert.equal(new URL(page.url()).pathname, "/keys/new", "the form stays");
  await assert.rejects(kube("GET", keyPath(ns, "till")), { status: 404 });
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
