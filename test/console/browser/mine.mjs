// My sessions: those of the person who is signed in, without any rights in their namespace.
import assert from "node:assert/strict";
import { flow, gone, seen } from "./browser.mjs";
import { openAs, otherSession, sessionNamespace, trusted } from "./provider.mjs";
import { exchange, kubectl, until, world } from "./world.mjs";

const agent = (browser) => `Mozilla/5.0 (X11; Linux x86_64; rv:131.0) ${browser}`;
const dialog = (page) => page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });
const rows = (page) => page.locator("tbody tr");
const refreshed = async ({ refresh_token: token }) => (await exchange(token, 0, { path: `/${sessionNamespace}` })).error ?? "accepted";

async function confirm(page) {
  await dialog(page).locator("button[type=submit]").click();
  await gone(dialog(page));
}

flow("My sessions: one is ended, then all others, then this one too; the ended clients get invalid_grant", async (visit) => {
  visit.expects(401);
  const subject = "owner";
  const may = await kubectl("auth", "can-i", "list", "jwtrefreshkeys.jwt.refreshkeys.dev", `--namespace=${sessionNamespace}`, `--as=people:idp:id-${subject}`).catch(({ stdout }) => stdout);
  assert.equal(may.trim(), "no", "the person has no rights in the namespace of sessions");
  const other = await openAs(visit, subject, "me/sessions", { at: "exchange", userAgent: agent("Gecko/20100101 Firefox/140.0") });
  const lost = await otherSession(subject, agent("Gecko/20100101 Firefox/131.0"));
  const kept = await otherSession(subject, agent("Gecko/20100101 Firefox/132.0"));
  const page = await openAs(visit, subject, "me/sessions", { at: "exchange" });
  await seen(page.getByRole("heading", { name: "My sessions", level: 1 }));
  const left = (count) => until(`${count} sessions are left`, async () => (await page.getByRole("button", { name: /^End the session/ }).count()) === count || undefined);
  // Sign-ins that the API server did not accept yet have left sessions that have ended.
  await left(4);
  assert.equal(await page.getByText("This session", { exact: true }).count(), 1, "one of them is marked");
  await seen(rows(page).first().getByText("This session"));

  await page.getByRole("button", { name: /^End the session on Firefox 131/ }).click();
  await confirm(page);
  await left(3);
  assert.deepEqual([await refreshed(lost), await refreshed(kept)], ["invalid_grant", "accepted"]);
  await page.getByRole("button", { name: "End all others" }).click();
  await seen(dialog(page).getByText(/^kubectl refreshkey sessions end [0-9a-f-]{36} [0-9a-f-]{36}$/));
  await confirm(page);
  await left(1);
  assert.equal(await refreshed(kept), "invalid_grant");
  await other.reload();
  await seen(other.getByLabel("Bearer token"));
  await page.reload();
  await seen(rows(page).first().getByText("This session"));
  await rows(page).first().getByRole("button", { name: /^End the session/ }).click();
  await seen(dialog(page).getByText("You are signed out here as well."));
  await confirm(page);
  await seen(page.getByLabel("Bearer token"));
});

flow("without a session of the token service, My sessions is absent", async (visit) => {
  visit.expects(404, "/api/mine");
  await trusted(visit);
  const page = await openAs(visit, "visitor", "me/sessions", { at: "impersonate" });
  await seen(page.getByText("this sign-in is not a session of the token service"));
  assert.equal(await page.getByRole("link", { name: "My sessions" }).count(), 0);
  const answer = await page.context().request.get(`${world.consoles.impersonate}api/mine`);
  assert.equal(answer.status(), 404);
});
