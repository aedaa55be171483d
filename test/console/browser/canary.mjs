// The last test: no token that the suite used is in a log or in the metrics.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { flow, jwt } from "./browser.mjs";
import { kube, secrets, world } from "./world.mjs";

flow("no token is in a log of any process, or in the console's metrics", async () => {
  const { items } = await kube("GET", "/api/v1/secrets");
  for (const { data } of items) {
    const token = Buffer.from(data?.token ?? "", "base64").toString();
    if (token) secrets.add(token);
  }
  assert.ok(secrets.size > 50, `only ${secrets.size} tokens are known`);
  const texts = [["metrics", await (await fetch(world.metrics)).text()]];
  for (const name of readdirSync(world.logs)) texts.push([name, readFileSync(join(world.logs, name), "utf8")]);
  assert.ok(texts.some(([name, text]) => name === "console-main.log" && text.includes("/api/keys/{ns}/{name}")), "the console logs its requests");
  for (const [name, text] of texts) {
    // The suite does not know the tokens that a console got from the provider.
    assert.ok(!jwt.test(text), `a token is in ${name}`);
    for (const secret of secrets) {
      // The signature alone would be a leak, too.
      for (const part of [secret, secret.split(".")[2]]) assert.ok(!part || !text.includes(part), `a token is in ${name}`);
    }
  }
}, { alone: true });
