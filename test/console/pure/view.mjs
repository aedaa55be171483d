import assert from "node:assert/strict";
import test from "node:test";
import { counts, differences, inView, lastUse, select } from "../../../internal/console/ui/pages/keys/view";

const now = Date.parse("2026-02-01T00:00:00Z");
const ago = (minutes) => new Date(now - minutes * 60_000).toISOString().replace(".000", "");
const day = 24 * 60;
const row = (name, more = {}) => ({ uid: name, ns: "shop", name, audience: `https://${name}.example.com`, issuer: "default", status: "Issued", tone: "good", mode: "Scheduled", madeAt: ago(60 * day), ...more });
const days = { expiring: 7, unused: 30 };
const plain = { q: "", status: [], view: "all", sort: "name", down: false };
const found = (rows, query) => select(rows, { ...plain, ...query }, now, days).map(({ name }) => name).join();

test("which rows are in a view", () => {
  for (const [what, view, more, wanted] of [
    ["a key that a person must act on", "attention", { tone: "bad" }, true],
    ["a key that expired", "attention", { tone: "off", status: "Expired" }, true],
    ["an overlap that waits for long", "attention", { waitsFor: "OverlapPending", waitsSince: ago(16) }, true],
    ["an overlap that waits for a moment", "attention", { waitsFor: "OverlapPending", waitsSince: ago(14) }, false],
    ["a superseded token that is still used", "attention", { overlap: 1, createdAt: ago(60), supersededLastUsed: ago(44) }, true],
    ["a superseded token that was used at first", "attention", { overlap: 1, createdAt: ago(60), supersededLastUsed: ago(46) }, false],
    ["a key that ends in a week", "expiring", { expiresAt: ago(-7 * day) }, true],
    ["a key that ends later", "expiring", { expiresAt: ago(-7 * day - 1) }, false],
    ["a key that has ended", "expiring", { expiresAt: ago(1) }, false],
    ["a revoked key that would end", "expiring", { expiresAt: ago(-day), revokedAt: ago(1) }, false],
    ["a key without a use for a month", "unused", { lastUsed: ago(30 * day) }, true],
    ["a key whose superseded token is used", "unused", { lastUsed: ago(40 * day), supersededLastUsed: ago(1) }, false],
    ["a young key without a use", "unused", { madeAt: ago(day) }, false],
    ["a key without a use", "never", {}, true],
    ["a revoked key", "revoked", { revokedAt: ago(1) }, true],
  ]) assert.equal(inView(view, row("a", more), now, days), wanted, what);
  assert.deepEqual(counts([row("a"), row("b", { tone: "bad", lastUsed: ago(1) })], now, days), { all: 2, attention: 1, expiring: 0, unused: 1, never: 1, revoked: 0 });
});

test("the last use is that of any token", () => {
  assert.equal(lastUse(row("a", { lastUsed: ago(5), supersededLastUsed: ago(3) })), ago(3));
  assert.equal(lastUse(row("a", { supersededLastUsed: ago(3) })), ago(3));
  assert.equal(lastUse(row("a")), undefined);
});

test("the search looks at names, audiences, and from a few letters at JTI and hash", () => {
  const rows = [row("orders", { jti: "0192-abcd", tokenHash: "sha256:12345678ff" }), row("till")];
  for (const [q, wanted] of [["ORD", "orders"], ["shop/till", "till"], ["TILL.example", "till"], ["192", ""], ["0192", "orders"], ["1234567", ""], ["12345678", "orders"], ["sha256:1", "orders"], ["sha256:2", ""], [" ", "orders,till"]]) assert.equal(found(rows, { q }), wanted, q);
});

test("names sort by their numbers, and rows without a value are last in either order", () => {
  const rows = [row("k-10", { revision: 2 }), row("k-2", { revision: 10 }), row("K-3")];
  for (const [sort, down, wanted] of [["name", false, "k-2,K-3,k-10"], ["name", true, "k-10,K-3,k-2"], ["revision", false, "k-10,k-2,K-3"], ["revision", true, "k-2,k-10,K-3"]]) assert.equal(found(rows, { sort, down }), wanted, `${sort} ${down}`);
});

test("how many rows came, went or moved", () => {
  for (const [before, after, wanted] of [["abc", "abc", 0], ["abc", "abcd", 1], ["abc", "bc", 1], ["abcd", "dabc", 1], ["abcd", "dcba", 3], ["ab", "cd", 4], ["", "", 0]]) assert.equal(differences([...before], [...after]), wanted, `${before} to ${after}`);
});
