// The story that make up prints, with a browser alone: UP=true make console.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { chromium } from "playwright-core";
import { flags } from "./flags.mjs";

const said = readFileSync(process.env.CONSOLE_UP, "utf8");
const [, at, user, password] = /^ {2}(https:\/\/\S+)\n {2}user name (\S+), password (\S+)$/m.exec(said) ?? assert.fail(`make up names no console, user and password:\n${said}`);

const browser = await chromium.launch({ executablePath: process.env.CONSOLE_CHROMIUM, args: flags });
after(() => browser.close());

test("the user of make up signs in, creates a key, sees its token, revokes it and signs out", async () => {
  // The certificates are those of the local cluster, which the page of make up asks to accept.
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.setDefaultTimeout(40_000);
  const seen = (locator) => locator.waitFor().catch(async (error) => assert.fail(`${error.message}\n${page.url()}\n${await page.innerText("body")}`));
  const press = (name) => page.getByRole("button", { name }).click();
  // The API server reads the keys of the issuer some seconds after it serves. Meanwhile it refuses the person.
  const list = page.getByRole("heading", { name: "JWT Refresh Keys", level: 1 });
  for (let tries = 0; tries < 6; tries++) {
    if (tries > 0) await page.waitForTimeout(4000);
    await page.goto(at);
    await page.getByRole("link", { name: /^Continue with/ }).click();
    await page.getByLabel("User name").fill(user);
    await page.getByLabel("Password").fill(password);
    await press("Sign in");
    await seen(list.or(page.getByText("The API server refuses")));
    if (await list.isVisible()) break;
  }
  await seen(list);
  await page.goto(`${at}keys/new?ns=default`);
  await page.getByLabel("Audience", { exact: true }).fill("https://story.example.com");
  await page.getByRole("radio", { name: "7 days" }).check();
  await press("Save");
  await seen(page.getByText(/ready in [\d.]+ s/i));
  await press(/^Show for/);
  await seen(page.getByRole("button", { name: /^Hide/ }));
  await press("Revoke…");
  const dialog = page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });
  await dialog.getByLabel("Type story to confirm").fill("story");
  await dialog.locator("button[type=submit]").click();
  await seen(page.getByText("Revoked").first());
  await page.getByRole("button", { name: /^Account/ }).click();
  await press("Sign out");
  await seen(page.getByLabel("Bearer token"));
});
