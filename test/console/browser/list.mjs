// The list of keys: search, filters, order, and changes that show by themselves.
import assert from "node:assert/strict";
import { flow, gone, names, rowOf, seen } from "./browser.mjs";
import { awaitKey, createIssuer, createKey, keyPath, kube, kubectl, namespace, readyOf, unique, until, world } from "./world.mjs";

/** Waits until the list shows these keys in this order. */
const shows = (page, ns, wanted) =>
  until(`the list shows ${wanted}`, async () => {
    const found = (await names(page)).map((name) => name.slice(ns.length + 1));
    assert.deepEqual(found, wanted);
    return true;
  });

flow("the list shows, searches, filters and sorts keys, and the URL keeps it", async (visit) => {
  const ns = await namespace("list");
  const spec = { alpha: { lifetime: "24h" }, beta: { lifetime: "720h" }, gamma: { lifetime: "2160h" } };
  await Promise.all(Object.entries(spec).map(([name, own]) => createKey(ns, name, own)));
  const [alpha] = await Promise.all(Object.keys(spec).map((name) => awaitKey(ns, name)));
  await kube("PATCH", keyPath(ns, "gamma"), { spec: { revoked: true } });
  await awaitKey(ns, "gamma", (key) => key.status.revokedAt);
  const page = await visit.open(`keys?ns=${ns}`);
  await shows(page, ns, ["alpha", "beta", "gamma"]);
  assert.equal(await page.title(), "JWT Refresh Keys · Refresh Keys");
  assert.match(await page.getByRole("navigation", { name: "Breadcrumb" }).innerText(), /Setup\s*Integrations\s*JWT Refresh Keys/);

  const search = page.getByLabel("Search keys");
  await page.keyboard.press("/");
  await search.pressSequentially("bet", { delay: 125 });
  await shows(page, ns, ["beta"]);
  assert.match(page.url(), /q=bet/);
  await search.fill(alpha.status.jti);
  await shows(page, ns, ["alpha"]);
  await search.fill(alpha.status.tokenHash);
  await shows(page, ns, ["alpha"]);
  await search.fill("https://gamma.example.com");
  await shows(page, ns, ["gamma"]);
  await search.fill("nothing-matches-this");
  await seen(page.getByRole("heading", { name: "No key matches" }));
  await page.getByRole("button", { name: "Clear filters" }).click();
  await shows(page, ns, ["alpha", "beta", "gamma"]);

  await page.locator(".toolbar").getByRole("button", { name: "Status" }).click();
  await page.getByRole("checkbox", { name: /Revoked/ }).check();
  await page.keyboard.press("Escape");
  await shows(page, ns, ["gamma"]);
  assert.match(page.url(), /status=Revoked/);
  await page.reload();
  await shows(page, ns, ["gamma"]);

  await page.goto(page.url().replace(/&?status=Revoked/, ""));
  await page.getByRole("button", { name: "Expires At" }).click();
  await shows(page, ns, ["alpha", "beta", "gamma"]);
  await page.getByRole("button", { name: "Expires At" }).click();
  await shows(page, ns, ["gamma", "beta", "alpha"]);
  assert.equal(await page.locator("th.expiresAt").getAttribute("aria-sort"), "descending");
});

flow("the saved views count and select", async (visit) => {
  const ns = await namespace("views");
  await Promise.all([createKey(ns, "short", { lifetime: "24h" }), createKey(ns, "long", { lifetime: "2160h" }), createKey(ns, "ended", { lifetime: "2160h", revoked: true }), createKey(ns, "broken", { issuerRef: { name: "no-such-issuer" } })]);
  await Promise.all([awaitKey(ns, "short"), awaitKey(ns, "long"), awaitKey(ns, "ended", (key) => key.status?.revokedAt), awaitKey(ns, "broken", (key) => key.status?.conditions)]);
  const page = await visit.open(`keys?ns=${ns}`);
  const view = (name) => page.getByRole("list", { name: "Saved views" }).getByRole("button", { name });
  const wanted = { All: ["broken", "ended", "long", "short"], "Needs attention": ["broken"], "Expiring in 7 days": ["short"], "Never used": ["broken", "ended", "long", "short"], Revoked: ["ended"] };
  for (const [name, keys] of Object.entries(wanted)) {
    await view(name).click();
    await shows(page, ns, keys);
    assert.equal(await view(name).locator(".count").innerText(), String(keys.length), name);
  }
  await page.goBack();
  await shows(page, ns, wanted["Never used"]);
});

flow("a change by kubectl is on the page within a second", async (visit) => {
  const ns = await namespace("live");
  await createKey(ns, "orders");
  await awaitKey(ns, "orders");
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(rowOf(page, ns, "orders").getByText("Issued").or(rowOf(page, ns, "orders").locator(".chip.good")));
  // Other work on the machine can only add to the time: the fastest of a few changes counts.
  const took = [];
  for (let n = 0; n < 4 && !(Math.min(...took) < 1000); n++) {
    const audience = `https://elsewhere-${n}.example.com`;
    await kubectl("patch", "jrk", "orders", "-n", ns, "--type=merge", "-p", JSON.stringify({ spec: { audience } }));
    const began = performance.now();
    await seen(rowOf(page, ns, "orders").getByText(audience));
    took.push(performance.now() - began);
  }
  assert.ok(Math.min(...took) < 1000, `the changes were seen after ${took} ms`);
});

flow("keys that are made and deleted come and go by themselves", async (visit) => {
  const ns = await namespace("come");
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(page.getByRole("heading", { name: `No refresh keys in ${ns}` }));
  await createKey(ns, "orders");
  await seen(rowOf(page, ns, "orders").locator(".chip.good"));
  await kube("DELETE", keyPath(ns, "orders"));
  await seen(page.getByRole("heading", { name: `No refresh keys in ${ns}` }));
});

flow("the order does not change under the pointer, and says what changed", async (visit) => {
  const ns = await namespace("still");
  await Promise.all(["b-one", "c-two"].map((name) => createKey(ns, name)));
  await Promise.all(["b-one", "c-two"].map((name) => awaitKey(ns, name)));
  const page = await visit.open(`keys?ns=${ns}`);
  await shows(page, ns, ["b-one", "c-two"]);
  await rowOf(page, ns, "c-two").hover();
  await createKey(ns, "a-new");
  const changes = page.getByRole("button", { name: "1 change: show" });
  await seen(changes);
  const held = async () => assert.deepEqual((await names(page)).map((name) => name.split("/")[1]), ["b-one", "c-two"]);
  await held();
  const place = (name) => rowOf(page, ns, name).evaluate((row) => row.getBoundingClientRect().top);
  const before = await place("b-one");
  await page.getByLabel("Search keys").hover();
  await held();
  assert.equal(await place("b-one"), before, "the button moves no row");
  await changes.click();
  await shows(page, ns, ["a-new", "b-one", "c-two"]);
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "a-new", "the focus is in the first row");
  await page.mouse.move(640, 20);
  await createKey(ns, "a-newer");
  await shows(page, ns, ["a-new", "a-newer", "b-one", "c-two"]);
});

flow("the order does not change for the keyboard, and the focus returns to its row", async (visit) => {
  const ns = await namespace("keys");
  await Promise.all(["b-one", "c-two"].map((name) => createKey(ns, name)));
  const page = await visit.open(`keys?ns=${ns}`);
  await shows(page, ns, ["b-one", "c-two"]);
  await page.getByLabel("Search keys").focus();
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  for (let n = 0; n < 30 && (await focused()) !== "c-two"; n++) await page.keyboard.press("Tab");
  await createKey(ns, "a-new");
  const changes = page.getByRole("button", { name: "1 change: show" });
  await seen(changes);
  for (let n = 0; n < 30 && !(await changes.evaluate((one) => one === document.activeElement)); n++) await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await shows(page, ns, ["a-new", "b-one", "c-two"]);
  await gone(changes);
  assert.equal(await page.evaluate(() => document.activeElement?.closest("tr")?.dataset.name?.split("/")[1]), "b-one");
});

flow("the list of one issuer, from the page of the issuer", async (visit) => {
  const ns = await namespace("of");
  const issuer = await createIssuer("of");
  await Promise.all([createKey(ns, "one", { issuerRef: { name: issuer } }), createKey(ns, "other")]);
  await awaitKey(ns, "one");
  const page = await visit.open(`issuers/${issuer}`);
  await page.getByRole("region", { name: "Use" }).getByRole("link", { name: "1" }).click();
  await seen(rowOf(page, ns, "one"));
  assert.deepEqual(await names(page), [`${ns}/one`]);
  await page.getByRole("button", { name: `Only keys of issuer ${issuer}` }).click();
  assert.ok(!new URL(page.url()).searchParams.has("issuer"), page.url());
});

flow("300 keys: search, each filter, each view, each order, and pages", async (visit) => {
  const ns = await namespace("many");
  const name = (n) => `key-${String(n).padStart(3, "0")}`;
  const all = Array.from({ length: 300 }, (_, n) => name(n));
  // Each of these kinds of keys is a view or a status; 270 are plain.
  const special = {
    short: { of: all.slice(0, 10), spec: { lifetime: "24h" } },
    ended: { of: all.slice(100, 110), spec: { revoked: true } },
    broken: { of: all.slice(200, 210), spec: { issuerRef: { name: "no-such-issuer" } } },
  };
  const kindOf = (one) => Object.values(special).find(({ of }) => of.includes(one));
  await Promise.all(all.map((one) => createKey(ns, one, kindOf(one)?.spec)));
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(page.getByText("1–50 of 300"));
  const view = (title) => page.getByRole("list", { name: "Saved views" }).getByRole("button", { name: title });
  const counted = { "Needs attention": special.broken.of, "Expiring in 7 days": special.short.of, Revoked: special.ended.of, "Unused for 30 days": [], "Never used": all, All: all };
  for (const [title, keys] of Object.entries(counted)) {
    await until(`the view ${title} has ${keys.length} keys`, async () => (await view(title).locator(".count").innerText()) === String(keys.length) || undefined, 60_000);
  }
  await page.mouse.move(0, 0);

  const search = page.getByLabel("Search keys");
  const found = async (q, wanted) => {
    await search.fill(q);
    await shows(page, ns, wanted);
  };
  const issued = await awaitKey(ns, name(42));
  await found("key-04", all.slice(40, 50));
  await found(issued.status.jti, [name(42)]);
  await found(issued.status.tokenHash, [name(42)]);
  await found("https://key-299.example.com", [name(299)]);
  await found("", all.slice(0, 50));

  for (const [title, keys] of Object.entries(counted)) {
    await view(title).click();
    // Some views have an order of their own.
    if (keys.length > 0) await until(`the view ${title} shows its keys`, async () => assert.deepEqual((await names(page)).map((one) => one.slice(ns.length + 1)).sort(), keys.slice(0, 50)) ?? true);
    else await seen(page.getByRole("heading", { name: "No key matches" }));
  }

  const { items } = await kube("GET", keyPath(ns));
  const words = [...new Set(items.map((key) => readyOf(key).reason))];
  assert.equal(words.length, 3, `${words}`);
  for (const word of words) {
    const keys = items.filter((key) => readyOf(key).reason === word);
    await page.locator(".toolbar").getByRole("button", { name: "Status" }).click();
    const box = page.locator("label.check", { hasText: word });
    assert.equal(await box.locator(".count").innerText(), String(keys.length), word);
    await box.getByRole("checkbox").check();
    await shows(page, ns, keys.map((key) => key.metadata.name).toSorted().slice(0, 50));
    await page.getByRole("button", { name: "Any status" }).click();
    await page.keyboard.press("Escape");
  }

  await page.locator("th.name").getByRole("button").click();
  await shows(page, ns, all.toReversed().slice(0, 50));
  const inOrder = async (column, value) => {
    await page.locator(`th.${column}`).getByRole("button").click();
    await until(`${column} is in order`, async () => {
      const shown = await names(page);
      const of = new Map(items.map((key) => [`${ns}/${key.metadata.name}`, value(key) ?? "~"]));
      assert.deepEqual(shown.map((one) => of.get(one)), [...of.values()].sort().slice(0, 50));
      return true;
    });
  };
  for (const [column, value] of Object.entries({
    audience: ({ spec }) => spec.audience,
    status: (key) => readyOf(key).reason,
    expiresAt: ({ status }) => status.expiresAt,
    createdAt: ({ status }) => status.createdAt,
  })) await inOrder(column, value);

  await page.goto(`${world.consoles.main}keys?ns=${ns}`);
  await seen(page.getByText("1–50 of 300"));
  await page.getByRole("button", { name: "Next page" }).click();
  await page.getByRole("button", { name: "Next page" }).click();
  await shows(page, ns, all.slice(100, 150));
  assert.match(page.url(), /page=3/);
  await page.getByLabel("Rows per page").selectOption("200");
  await shows(page, ns, all.slice(200));
  assert.equal(await page.getByRole("button", { name: "Next page" }).isDisabled(), true);
});

flow("the namespace switch changes what is listed", async (visit) => {
  const [one, two] = await Promise.all([namespace("switch"), namespace("switch")]);
  await Promise.all([createKey(one, "first"), createKey(two, "second")]);
  const page = await visit.open(`keys?ns=${one}`);
  await seen(rowOf(page, one, "first"));
  await page.getByRole("button", { name: /^Namespace/ }).click();
  await page.getByLabel("Find a namespace").fill(two);
  await page.keyboard.press("Enter");
  await seen(rowOf(page, two, "second"));
  await gone(rowOf(page, one, "first"));
  await page.goBack();
  await seen(rowOf(page, one, "first"));
});

flow("markup in names, audiences, claims and user agents is text", async (visit) => {
  const ns = await namespace("markup");
  const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
  await createKey(ns, "evil", { audience: `urn:${unique("x")}:<b>bold</b>`, deviceInfo: { name: evil.slice(0, 60), browser: "<i>b</i>" } }, { annotations: { note: evil } });
  await awaitKey(ns, "evil", (key) => key.status?.conditions);
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(rowOf(page, ns, "evil").getByText("<b>bold</b>"));
  await rowOf(page, ns, "evil").getByRole("link", { name: "evil" }).click();
  await seen(page.getByRole("heading", { name: "evil", level: 1 }));
  await seen(page.getByText("<i>b</i>"));
  assert.equal(await page.locator("main img, main script, main b").count(), 0);
  assert.equal(await page.title(), "evil · Refresh Keys");
});
