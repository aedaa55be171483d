import assert from "node:assert/strict";
import test from "node:test";
import { groupsOf } from "../../../internal/console/ui/pages/sessions/groups";

const session = (subject, used, more = {}) => ({ uid: `${subject}-${used}`, ns: "people", name: `s-${used}`, audience: "https://orders.example.com", issuer: "default", status: "Issued", madeAt: "2026-01-01T00:00:00Z", lastUsed: `2026-01-${used}T00:00:00Z`, session: { subject, method: "OIDC", startedAt: "2026-01-01T00:00:00Z" }, ...more });
const ended = { revokedAt: "2026-01-30T00:00:00Z", revocationReason: "Logout", status: "Revoked" };
const reused = { ...ended, revocationReason: "ReuseDetected" };
const all = { q: "", method: "all", ended: false };
const shown = (rows, wanted = {}) => groupsOf(rows, { ...all, ...wanted }).map(({ subject, live, over }) => [subject, live.map(({ name }) => name).join(), over.map(({ name }) => name).join()]);

test("the latest use is first, of groups and in each", () => {
  assert.deepEqual(shown([session("ann", "02"), session("bob", "05"), session("ann", "04")]), [["bob", "s-05", ""], ["ann", "s-04,s-02", ""]]);
});

test("ended sessions show on request, and those that were used again always, on top", () => {
  const rows = [session("ann", "09"), session("ann", "08", ended), session("bob", "02", reused), session("cid", "01", ended)];
  assert.deepEqual(shown(rows), [["bob", "", "s-02"], ["ann", "s-09", ""]]);
  assert.deepEqual(shown(rows, { ended: true }), [["bob", "", "s-02"], ["ann", "s-09", "s-08"], ["cid", "", "s-01"]]);
});

test("the search and the method select", () => {
  const rows = [session("ann", "01", { device: { name: "Till 17", address: "192.0.2.7" } }), session("bob", "02", { session: { subject: "bob", method: "ServiceAccount", client: "shop" } }), { ...session("cid", "03"), session: undefined }];
  for (const [wanted, subjects] of [[{}, "bob,ann"], [{ q: "till" }, "ann"], [{ q: "192.0.2" }, "ann"], [{ q: " BOB " }, "bob"], [{ q: "shop" }, "bob"], [{ method: "ServiceAccount" }, "bob"], [{ q: "ann", method: "ServiceAccount" }, ""]])
    assert.equal(shown(rows, wanted).map(([subject]) => subject).join(), subjects, JSON.stringify(wanted));
});

test("each issuer counts its own subjects", () => {
  assert.equal(shown([session("ann", "01"), session("ann", "02", { issuer: "partners" })]).length, 2);
});
