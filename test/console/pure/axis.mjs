import assert from "node:assert/strict";
import test from "node:test";
import { axisOf, barsOf, place, ticks } from "../../../internal/console/ui/pages/issuers/axis";

const day = 86_400_000;
const at = (n) => new Date(n * day).toISOString();
const old = { kid: "old", ring: "refresh", state: "Retiring", createdAt: at(0), activeAt: at(1), retireAt: at(20) };
const active = { kid: "active", ring: "refresh", state: "Active", createdAt: at(9), activeAt: at(10) };
const pending = { kid: "pending", ring: "refresh", state: "Pending", createdAt: at(12) };
const other = { ...active, kid: "other", ring: "access" };

test("the bars of a ring: the youngest first, and each ends where the next one signs", () => {
  const bars = barsOf([active, old, other], "refresh", 90 * day);
  assert.deepEqual(bars.map(({ key, signs, ends, planned, gone }) => [key.kid, signs / day, ends / day, planned, gone && gone / day]), [["active", 10, 100, true, undefined], ["old", 1, 10, false, 20]]);
});

test("a key that does not sign yet ends nothing", () => {
  const [next, signs] = barsOf([active, pending], "refresh", 90 * day);
  assert.deepEqual([next.signs, next.ends, next.planned], [undefined, undefined, false]);
  assert.deepEqual([signs.ends / day, signs.planned], [100, true]);
});

test("the axis spans all bars and the present, and places are on it", () => {
  const axis = axisOf(barsOf([old, active], "refresh", 90 * day), 15 * day);
  assert.ok(axis.from < 0 && axis.to > 100 * day);
  assert.deepEqual([place(axis, axis.from - day), place(axis, (axis.from + axis.to) / 2), place(axis, axis.to + day)], [0, 50, 100]);
  assert.ok(axisOf([], 5).to > 5, "an axis without bars has a length");
});

test("ticks are round times, at most five", () => {
  for (const length of [day / 8, day, 5 * day, 33 * day, 400 * day, 4000 * day]) {
    const found = ticks({ from: 12_345_678, to: 12_345_678 + length });
    assert.ok(found.length > 0 && found.length <= 5, `${length / day} days: ${found.length}`);
    assert.ok(found.every((tick) => tick % (day / 24) === 0), "a tick is no full hour");
  }
});
