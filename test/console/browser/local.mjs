// The console of the plugin, on a person's own machine.
import assert from "node:assert/strict";
import { flow, rowOf, seen } from "./browser.mjs";
import { control, createKey, namespace } from "./world.mjs";

/** The requests of a page for the stream. */
const streamsOf = (page) => {
  const requests = [];
  page.on("request", (request) => request.url().includes("/api/stream") && requests.push(request));
  return requests;
};

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

  await first.goto(`${base}keys?ns=${ns}`);
  await seen(first.getByText("Live", { exact: true }));
  const second = await context.newPage();
  const streams = streamsOf(second);
  await second.goto(`${base}keys?ns=${ns}`);
  await createKey(ns, "orders");
  for (const page of [first, second]) await seen(rowOf(page, ns, "orders"));
  assert.equal(streams.length, 0, "the second tab hears the changes from the first");
  await first.close();
  await createKey(ns, "later");
  await seen(rowOf(second, ns, "later"));
  assert.equal(streams.length, 1, "the second tab has the stream");

  visit.expects(401, "api/login");
  const other = await (await visit.context({ base })).newPage();
  await other.goto(url);
  await seen(other.getByRole("heading", { name: "Local console" }));
  await seen(other.getByText("The code was used before"));
});
