// Sessions, and the page that verifies a token.
import assert from "node:assert/strict";
import { flow, gone, seen } from "./browser.mjs";
import { awaitKey, createKey, exchange, keyPath, kube, namespace, session, tokenOf, until } from "./world.mjs";

const dialog = (page) => page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });

flow("sessions are listed by subject; one is ended, then all of the subject", async (visit) => {
  const ns = await namespace("sessions");
  const held = [];
  for (const browser of ["Firefox/131.0", "Chrome/131.0.0.0 Safari/537.36", "Chrome/130.0.0.0 Safari/537.36"]) held.push(await session(ns, "till", { userAgent: `Mozilla/5.0 (X11; Linux x86_64) ${browser}` }));
  const page = await visit.open(`sessions?ns=${ns}`);
  const subject = page.getByRole("region", { name: `system:serviceaccount:${ns}:till` });
  await seen(subject);
  await until("three sessions are listed", async () => (await subject.locator("tbody tr").count()) === 3 || undefined);
  const answers = async () => Promise.all(held.map(async ({ refresh_token: token }) => (await exchange(token)).error ?? "accepted"));
  await subject.getByRole("button", { name: /^End the session/ }).first().click();
  await dialog(page).getByRole("button", { name: "End", exact: true }).click();
  await gone(dialog(page));
  await until("one client gets invalid_grant", async () => (await subject.getByRole("button", { name: /^End the session/ }).count()) === 2 || undefined);
  await subject.getByRole("button", { name: /^End all/ }).click();
  await dialog(page).getByRole("textbox").fill("end 2");
  await dialog(page).locator("button[type=submit]").click();
  await gone(dialog(page));
  await until("all clients get invalid_grant", async () => {
    assert.deepEqual(await answers(), ["invalid_grant", "invalid_grant", "invalid_grant"]);
    return true;
  });
});

flow("a session whose used token came again is on top, with what it means, and ended ones show on request", async (visit) => {
  const ns = await namespace("reused");
  const stolen = await session(ns, "till");
  const kiosks = [await session(ns, "kiosk"), await session(ns, "kiosk")];
  const { items } = await kube("GET", keyPath(ns));
  await Promise.all(items.map(({ metadata }) => kube("PATCH", keyPath(ns, metadata.name), { spec: { rotation: { retryGrace: "0s" } } })));
  const next = await exchange(stolen.refresh_token);
  assert.equal((await exchange(next.refresh_token)).status, 200);
  await until("the used token ends the session", async () => (await exchange(stolen.refresh_token)).error === "invalid_grant" || undefined);
  const page = await visit.open(`sessions?ns=${ns}`);
  const subject = (name) => page.getByRole("region", { name: `system:serviceaccount:${ns}:${name}` });
  await seen(subject("till").getByText("A used token was presented again"));
  assert.match(await page.getByRole("region", { name: "system:serviceaccount" }).first().getAttribute("aria-label"), /till$/);
  await seen(subject("till").locator("tbody tr").first().getByText("ReuseDetected"));
  await until("two sessions are listed", async () => (await subject("kiosk").locator("tbody tr").count()) === 2 || undefined);
  await subject("kiosk").getByRole("button", { name: /^End the session/ }).last().click();
  await dialog(page).getByRole("button", { name: "End", exact: true }).click();
  await until("the ended session is hidden", async () => (await subject("kiosk").locator("tbody tr").count()) === 1 || undefined);
  await page.getByRole("checkbox", { name: "Show ended" }).check();
  await until("the ended session is listed", async () => (await subject("kiosk").locator("tbody tr").count()) === 2 || undefined);
  const outcomes = await Promise.all(kiosks.map(async ({ refresh_token: token }) => (await exchange(token)).error ?? "accepted"));
  // Of two that began in one second, either is the last one.
  assert.deepEqual(outcomes.sort(), ["accepted", "invalid_grant"]);
});

flow("verify: every check of a token, and no request has the token", async (visit) => {
  const ns = await namespace("verify");
  await createKey(ns, "orders");
  await awaitKey(ns, "orders");
  const token = await tokenOf(ns, "orders");
  const { access_token: access } = await exchange(token);
  const page = await visit.open("verify");
  const sent = [];
  page.on("request", (request) => sent.push(`${request.url()} ${request.postData() ?? ""} ${JSON.stringify(request.headers())}`));
  const field = page.getByRole("textbox", { name: "Token" });
  const outcome = (text) => seen(page.locator(".outcome").getByText(text, { exact: true }));
  await field.fill(token);
  await outcome("Accepted");
  await seen(page.getByRole("link", { name: `Open ${ns}/orders` }));
  await field.fill(access);
  await outcome("Accepted");
  const [head, body, signature] = access.split(".");
  await field.fill([head, body, signature.startsWith("A") ? `B${signature.slice(1)}` : `A${signature.slice(1)}`].join("."));
  await outcome("Not accepted");
  await field.fill("nothing");
  await outcome("Not accepted");
  for (const text of sent) for (const part of [token, access, signature]) assert.ok(!text.includes(part), "a request has the token");
  await page.getByRole("button", { name: "Clear" }).click();
  assert.equal(await field.inputValue(), "");
});
