import assert from "node:assert/strict";
import test from "node:test";
import { hours, seconds, written } from "../../../internal/console/ui/pages/create/spans";

test("durations as people write them", () => {
  for (const [text, wanted] of [["90d", 7_776_000], ["12h30m", 45_000], ["2 weeks", 1_209_600], ["1 day, 6 hours", 108_000], ["1y", 31_536_000], ["0s", 0], ["", undefined], ["10", undefined], ["d", undefined], ["1.5h", undefined], ["-1h", undefined], ["10 parsecs", undefined]])
    assert.equal(seconds(text), wanted, text);
});

test("durations as the API takes them", () => {
  for (const [total, wanted] of [[0, "0s"], [45, "45s"], [2700, "45m"], [45_000, "12h30m"], [7_776_000, "2160h"], [3661, "1h1m1s"]]) assert.equal(hours(total), wanted);
});

test("a text that is no duration stays as it is", () => {
  for (const [text, wanted] of [[" 90d ", "2160h"], ["tomorrow", "tomorrow"], [" ", undefined]]) assert.equal(written(text), wanted);
});
