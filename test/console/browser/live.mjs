// What happens when parts go away while a page is open.
import assert from "node:assert/strict";
import { flow, gone, rowOf, seen } from "./browser.mjs";
import { awaitKey, control, createKey, kube, keyPath, namespace, person, until, world } from "./world.mjs";

flow("behind a proxy that buffers and cuts, changes still show", async (visit) => {
  visit.expects("net::ERR_", "/api/stream");
  const ns = await namespace("proxied");
  await createKey(ns, "orders");
  const page = await visit.open(`keys?ns=${ns}`, { base: world.consoles.proxied });
  await seen(rowOf(page, ns, "orders"));
  // Longer than the proxy lets an answer take: the stream was cut and resumed.
  const requests = [];
  page.on("request", (request) => request.url().includes("/api/stream") && requests.push(request));
  await until("the stream is opened again, twice", () => requests.length >= 2 || undefined, 30_000);
  await createKey(ns, "later");
  await seen(rowOf(page, ns, "later"));
}, { waits: true });

/** Hides the tab of a page, or shows it, as far as the page can know. */
export const hide = (page, hidden) =>
  page.evaluate((on) => {
    Object.defineProperty(document, "hidden", { value: on, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

flow("the API server restarts: an open page is away, then live; a hidden one begins again, since its version is compacted (410)", async (visit) => {
  visit.expects(502);
  visit.expects(503);
  visit.expects(500);
  visit.expects("net::ERR_");
  const ns = await namespace("restart");
  await Promise.all(["stays", "goes"].map((name) => createKey(ns, name)));
  await Promise.all(["stays", "goes"].map((name) => awaitKey(ns, name)));
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(rowOf(page, ns, "goes"));
  await seen(page.getByText("Live", { exact: true }));
  const asleep = await page.context().newPage();
  await asleep.addInitScript(() => {
    window.told = [];
    const listen = EventSource.prototype.addEventListener;
    EventSource.prototype.addEventListener = function (name, ...more) {
      listen.call(this, name, () => window.told.push(name));
      return listen.call(this, name, ...more);
    };
  });
  await asleep.goto(page.url());
  await seen(rowOf(asleep, ns, "goes"));
  const { metadata } = await kube("GET", keyPath(ns));
  await hide(asleep, true);
  await asleep.evaluate(() => (window.told = []));

  await control("kube-apiserver", "kill");
  await seen(page.getByText("Connection lost, trying again."), 30_000);
  assert.equal(await rowOf(page, ns, "goes").count(), 1, "the rows stay while the API server is away");
  await control("kube-apiserver", "start");
  await until("the API server answers", () => kube("DELETE", keyPath(ns, "goes")), 60_000);
  await until("the API server answers", () => createKey(ns, "comes"), 60_000);
  await seen(rowOf(page, ns, "comes"), 60_000);
  await gone(rowOf(page, ns, "goes"), 30_000);
  await gone(page.getByText("Connection lost, trying again."), 60_000);
  await seen(rowOf(page, ns, "stays"));
  await seen(page.getByText("Live", { exact: true }));

  await kube("PATCH", keyPath(ns, "stays"), { spec: { audience: "https://changed.example.com" } });
  await until("etcd has forgotten the version of the hidden page", () =>
    kube("GET", `${keyPath(ns)}?resourceVersion=${metadata.resourceVersion}&resourceVersionMatch=Exact&limit=1`).then(() => undefined, ({ status }) => status === 410 || undefined), 60_000);
  const requests = [];
  asleep.on("request", (request) => request.url().includes("/api/stream") && requests.push(new URL(request.url()).searchParams.get("after")));
  await hide(asleep, false);
  await seen(rowOf(asleep, ns, "comes"));
  await gone(rowOf(asleep, ns, "goes"));
  await seen(rowOf(asleep, ns, "stays").getByText("https://changed.example.com"));
  await seen(asleep.getByText("Live", { exact: true }));
  assert.match(requests[0] ?? "", /keys=\d+/, "the page asks to resume where it was");
  assert.ok((await asleep.evaluate(() => window.told)).includes("reset"), "the stream begins again");
}, { alone: true });

flow("two replicas behind a proxy with affinity: each client stays at its replica, and sees changes", async (visit) => {
  const ns = await namespace("affine");
  await createKey(ns, "orders");
  const pages = await Promise.all([0, 1].map(() => visit.open(`keys?ns=${ns}`, { base: world.consoles.affine })));
  for (const page of pages) await seen(rowOf(page, ns, "orders"));
  const replicas = await Promise.all(pages.map(async (page) => (await page.context().cookies()).find(({ name }) => name === "replica").value));
  assert.deepEqual(replicas.toSorted(), ["0", "1"], "each of the two clients has a replica of its own");
  await createKey(ns, "later");
  for (const page of pages) {
    await seen(rowOf(page, ns, "later"));
    await page.reload();
    await seen(rowOf(page, ns, "later"));
  }
});

flow("two replicas without affinity: the page asks to sign in, and does not ask the console again and again", async (visit) => {
  visit.expects(401);
  const page = await (await visit.context({ base: world.consoles.scattered })).newPage();
  const requests = [];
  page.on("request", (request) => requests.push(new URL(request.url()).pathname));
  await page.goto(world.consoles.scattered);
  const { token } = await person();
  for (let n = 0; n < 3; n++) {
    await page.getByLabel("Bearer token").fill(token);
    const asked = page.waitForResponse((response) => response.url().endsWith("/api/me"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await asked;
    await seen(page.getByLabel("Bearer token"));
  }
  await page.waitForLoadState("networkidle");
  assert.ok(requests.length < 40, `${requests.length} requests: ${requests}`);
  await seen(page.getByLabel("Bearer token"));
});

flow("the console restarts while a page is open: the session is gone, and the page asks to sign in", async (visit) => {
  visit.expects(401);
  visit.expects(502);
  visit.expects("net::ERR_");
  const page = await visit.open("keys", { base: world.consoles.brief });
  await seen(page.getByRole("heading", { name: "JWT Refresh Keys", level: 1 }));
  await control("console-brief", "kill");
  await control("console-brief", "start");
  await seen(page.getByLabel("Bearer token"), 60_000);
}, { alone: true });
