// What the list shows of a stream that the test answers: in place of rows, and of rows that no cluster of the suite has.
import assert from "node:assert/strict";
import { cannedStream, events, once, row } from "./canned.mjs";
import { flow, gone, names, rowOf, seen } from "./browser.mjs";
import { until, world } from "./world.mjs";

const spaces = (n) => Array.from({ length: n }, (_, i) => `space-${i}`);

/** A page whose stream and namespaces the test answers; stream is called for each request that asks for keys. */
async function opened(visit, count, stream) {
  const page = await visit.open("verify");
  await page.route("**/api/namespaces", (route) => route.fulfill({ json: { names: spaces(count) } }));
  await cannedStream(page, (query) => once + (query.get("kind").includes("keys") ? stream(query) : events(["reset"], ["synced"])));
  return page;
}

/** Asks for a namespace by its name. */
async function ask(page, name) {
  await page.locator("form.inline input").fill(name);
  await page.getByRole("button", { name: "Show keys" }).click();
  await until("the namespace is in the URL", () => new URL(page.url()).searchParams.get("ns") === name || undefined);
}

flow("more keys than the page holds: it asks for a namespace, also for one that is not offered", async (visit) => {
  const many = Array.from({ length: 20_000 }, (_, n) => row(`key-${n}`));
  const page = await opened(visit, 250, (query) => (query.has("ns") ? events(["reset"], ["put", { keys: [row("orders", { ns: query.get("ns") })] }], ["synced"]) : events(["reset"], ["put", { keys: many }])));
  await page.goto(`${world.consoles.main}keys`);
  await seen(page.getByRole("heading", { name: "Choose a namespace first" }));
  await seen(page.locator(".choices").getByRole("button", { name: "space-199" }));
  assert.equal(await page.locator(".choices button").count(), 200);
  await ask(page, "space-249");
  await seen(rowOf(page, "space-249", "orders"));
});

flow("without the right to list, and with more namespaces than are asked about: the page takes a name", async (visit) => {
  const page = await opened(visit, 501, (query) => (query.has("ns") ? events(["reset"], ["synced"]) : events(["bye", { reason: "forbidden", kind: "keys", failure: { code: 403, reason: "Forbidden", message: "not you" } }])));
  await page.route("**/api/can", (route) => route.fulfill({ json: { answers: route.request().postDataJSON().checks.map(({ ns }) => ({ allowed: ns === "space-7" })) } }));
  await page.goto(`${world.consoles.main}keys`);
  await seen(page.getByRole("heading", { name: "You may not list keys in all namespaces" }));
  await seen(page.locator(".choices").getByRole("button", { name: "space-7", exact: true }));
  await ask(page, "space-500");
  await seen(page.getByRole("heading", { name: "No refresh keys in space-500" }));
});

flow("without the CRDs the page says that Refresh Keys is not installed, and asks again", async (visit) => {
  let installed = false;
  const page = await opened(visit, 1, () => (installed ? events(["reset"], ["put", { keys: [row("orders")] }], ["synced"]) : events(["bye", { reason: "missing", failure: { code: 404, reason: "NotFound", message: "the CRDs are not installed" } }])));
  await page.goto(`${world.consoles.main}keys`);
  await seen(page.getByRole("heading", { name: "Refresh Keys is not installed in this cluster" }));
  installed = true;
  await page.getByRole("button", { name: "Try again" }).click();
  await seen(rowOf(page, "canned", "orders"));
});

flow("optional columns, the order by last use and by revision, and the flash of a row that changed", async (visit) => {
  const keys = [row("a", { revision: 3, lastUsed: "2026-02-01T00:00:00Z" }), row("b", { revision: 10, lastUsed: "2026-01-01T00:00:00Z", supersededLastUsed: "2026-03-01T00:00:00Z" }), row("c", { revision: 1 })];
  const changed = { ...keys[0], version: "2", audience: "https://changed.example.com" };
  const page = await opened(visit, 1, () => events(["reset"], ["put", { keys }], ["synced"], ["put", { keys: [changed] }]));
  await page.goto(`${world.consoles.main}keys`);
  await seen(rowOf(page, "canned", "a").getByText("https://changed.example.com"));
  assert.match(await rowOf(page, "canned", "a").getAttribute("class"), /flash-/);
  assert.doesNotMatch((await rowOf(page, "canned", "b").getAttribute("class")) ?? "", /flash-/);
  const ordered = async (column, wanted) => {
    await page.locator(`th.${column}`).getByRole("button").click();
    await until(`the order by ${column} is ${wanted}`, async () => assert.deepEqual((await names(page)).map((name) => name.slice(-1)).join(""), wanted) ?? true);
  };
  // Rows without a value are last in either order.
  await ordered("lastUsed", "abc");
  await ordered("lastUsed", "bac");
  await ordered("revision", "cab");
  await ordered("revision", "bac");
  const column = async (name, on) => {
    await page.getByRole("button", { name: "Columns" }).click();
    await page.getByRole("checkbox", { name, exact: true }).setChecked(on);
    await page.keyboard.press("Escape");
  };
  await column("Issuer", true);
  await column("Audience", false);
  await seen(page.locator("td.issuer").first());
  assert.equal(await page.locator("th.audience").count(), 0);
  await page.reload();
  await seen(page.locator("th.issuer"));
  assert.equal(await page.locator("th.audience").count(), 0, "the columns are kept");
  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("button", { name: "Show the usual columns" }).click();
  await gone(page.locator("th.issuer"));
  await seen(page.locator("th.audience"));
});

flow("a list that was cut off begins again: the version before it is not asked for, and no row goes that was not told again", async (visit) => {
  visit.expects(503, "/api/stream");
  const soon = "retry: 50\n\n";
  const [a, b] = [row("a"), row("b")];
  // The second answer is cut off after its first row.
  const answers = [soon + events(["reset", {}, ""], ["put", { keys: [a, b] }], ["synced", {}, "issuers=5&keys=5"]), soon + events(["reset", {}, ""], ["put", { keys: [a] }]), 503, soon + events(["synced", {}, "issuers=6&keys=6"])];
  const asked = [];
  const page = await visit.open("verify");
  await cannedStream(page, (query) => {
    asked.push(query.get("after"));
    return answers.shift();
  });
  await page.goto(`${world.consoles.main}keys`);
  await until("the stream is asked for five times", () => asked.length === 5 || undefined);
  assert.equal(asked[3], null, "the page asks for the version that was gone");
  await until("both rows are there", async () => (await names(page)).length === 2 || undefined);
  assert.deepEqual(await names(page), ["canned/a", "canned/b"]);
});
