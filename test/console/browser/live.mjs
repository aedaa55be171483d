// What happens when parts go away while a page is open.
import assert from "node:assert/strict";
import { flow, gone, rowOf, seen } from "./browser.mjs";
import { awaitKey, control, createKey, kube, keyPath, namespace, until, world } from "./world.mjs";

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
});

flow("the API server restarts while a page is open: away, then live, and nothing is lost", async (visit) => {
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
}, { alone: true });

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
