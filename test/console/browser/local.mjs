// The console of the plugin, on a person's own machine.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { flow, openAdvanced, rowOf, seen } from "./browser.mjs";
import { hide } from "./live.mjs";
import { control, createKey, keyPath, kube, namespace, until, world } from "./world.mjs";

/** The requests of a page for the stream. */
const streamsOf = (page) => {
  const requests = [];
  page.on("request", (request) => request.url().includes("/api/stream") && requests.push(request));
  return requests;
};

/** Runs what the form says for the command line, and then saves the form: both keys have the same spec. */
async function saysWhatSaveDoes(page, base, ns) {
  const run = (command) => promisify(execFile)("sh", ["-c", command], { env: { ...process.env, KUBECONFIG: world.kubeconfig, PATH: `${resolve("bin")}:${dirname(world.kubectl)}:${process.env.PATH}` } });
  await page.goto(`${base}keys/new?ns=${ns}&audience=https://till.example.com&name=typed&lifetime=36h`);
  await openAdvanced(page);
  const fill = (label, value) => page.getByLabel(label, { exact: true }).fill(value);
  await fill("Subject", "till-17");
  await fill("Idle timeout", "30d");
  await fill("Scopes", "orders.read orders.write ");
  const claims = page.getByRole("group", { name: "Claims" });
  await claims.getByRole("button", { name: "Add" }).click();
  await claims.getByLabel("Claim", { exact: true }).fill("tier");
  await claims.getByLabel("Type").selectOption("list");
  await claims.getByLabel("Value").fill("it's, 3");
  await seen(page.getByText("The API server accepts this key."));
  await run((await page.getByLabel("With the plugin").locator("code").textContent()).replace(" --wait", ""));
  await fill("Name", "saved");
  await seen(page.getByText("The API server accepts this key."));
  await page.getByRole("button", { name: "Save" }).click();
  await seen(page.getByRole("heading", { name: "saved", level: 1 }));
  // The plugin writes a duration with its zeros.
  const spec = async (name) => JSON.parse(JSON.stringify((await kube("GET", keyPath(ns, name))).spec).replaceAll("h0m0s", "h"));
  assert.deepEqual(await spec("typed"), await spec("saved"));
  // So does the command of an edit.
  await page.goto(`${base}keys/${ns}/typed/edit`);
  await fill("Audience", "https://it's.example.com");
  const patch = await page.getByLabel("Changes").locator("code").textContent();
  await run(patch);
  assert.equal((await spec("typed")).audience, "https://it's.example.com");
  // The page asks before its form is left.
  page.once("dialog", (asked) => asked.accept());
}

flow("the local console: its code signs in once, its tabs share one stream, and the next tab takes it over", async (visit) => {
  const ns = await namespace("local");
  const url = await control("local", "open");
  const base = new URL(".", url).href;
  const context = await visit.context({ base });
  const first = await context.newPage();
  await first.goto(url);
  await seen(first.getByRole("heading", { name: "JWT Refresh Keys", level: 1 }));
  assert.equal(new URL(first.url()).hash, "", "the code is in no history");
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], [`rk-${new URL(url).port}`, true, "Strict"]);

  // While the first tab waits for the rows, the second one waits, too.
  const held = [];
  await first.route("**/api/stream*", (route) => void held.push(route));
  await first.goto(`${base}keys?ns=${ns}`);
  await until("the first tab asks for the stream", () => held.length === 1 || undefined);
  const second = await context.newPage();
  const streams = streamsOf(second);
  await context.addInitScript((name) => {
    window.heard = [];
    new BroadcastChannel(name).onmessage = ({ data }) => window.heard.push(data.name);
  }, `refreshkeys-stream-${base}-${ns}-keys,issuers`);
  await second.goto(`${base}keys?ns=${ns}`);
  await until("the second tab hears the first one", async () => (await second.evaluate(() => window.heard.includes("put"))) || undefined);
  await seen(second.locator(".skeleton"));
  assert.equal(await second.getByText("Live", { exact: true }).count(), 0, "the second tab says that it is live");
  await held[0].continue();
  for (const page of [first, second]) await seen(page.getByText("Live", { exact: true }));
  await createKey(ns, "orders");
  for (const page of [first, second]) await seen(rowOf(page, ns, "orders"));
  assert.equal(streams.length, 0, "the second tab hears the changes from the first");
  await first.close();
  await createKey(ns, "later");
  await seen(rowOf(second, ns, "later"));
  assert.equal(streams.length, 1, "the second tab has the stream");

  const third = await context.newPage();
  await third.goto(`${base}keys?ns=${ns}`);
  await seen(rowOf(third, ns, "later"));

  await saysWhatSaveDoes(second, base, ns);

  visit.expects(401, "api/login");
  const other = await (await visit.context({ base })).newPage();
  await other.goto(url);
  await seen(other.getByRole("heading", { name: "Local console" }));
  await seen(other.getByText("The code was used before"));

  visit.expects("net::ERR_");
  await second.goto(`${base}keys?ns=${ns}`);
  await seen(rowOf(second, ns, "later"));
  await control("console", "kill");
  for (const page of [second, third]) await seen(page.getByText("Connection lost, trying again."));
  assert.equal(await rowOf(third, ns, "later").count(), 1, "the rows stay");
  // A tab that comes back hears from the other one what it has, and that it is away.
  await hide(third, true);
  await third.evaluate(() => (window.heard = []));
  await hide(third, false);
  await until("the tab hears the rows", async () => (await third.evaluate(() => window.heard.includes("synced"))) || undefined);
  await seen(third.getByText("Connection lost, trying again."));
});
