// What a reader's browser does with the site: it asks no other host, finds pages by the search, and draws the drawings.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";

const { SITE_OUTPUT: folder, SITE_CHROMIUM: executablePath, SITE_BASE: base } = process.env;
const options = { skip: executablePath ? false : "there is no Chromium", timeout: 1_800_000 };
const patience = 600_000; // a busy machine is slow
let site, browser;

before(async () => {
  if (options.skip) return;
  site = await serve(folder, base);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"], timeout: patience });
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

/** Opens a page, and returns it with what it asked of other hosts and what failed. */
async function open(address, settings = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...settings });
  const faults = [];
  await context.route("**", (route) => {
    const url = route.request().url();
    if (url.startsWith(site.origin) || url.startsWith("data:")) return route.continue();
    faults.push("asked " + url);
    return route.abort();
  });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("response", (response) => response.status() >= 400 && faults.push(`${response.status()} ${response.url()}`));
  await page.goto(site.origin + base + address, { waitUntil: "networkidle" });
  return { page, faults, close: () => context.close() };
}

for (const width of [1280, 390]) {
  test(`pages fit a window of ${width} pixels, and ask no other host`, options, async () => {
    for (const address of ["", "docs/api"]) {
      const { page, faults, close } = await open(address, { viewport: { width, height: 900 } });
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(beyond, 0, `/${address} is ${beyond} pixels wider than the window`);
      assert.deepEqual(faults, [], "/" + address);
      await close();
    }
  });
}

test("the search finds a page", options, async () => {
  const { page, faults, close } = await open("docs/start");
  await page.locator("#local-search button").first().click();
  await page.locator("#localsearch-input").fill("retryGrace");
  await page.locator(".results .result").first().waitFor();
  assert.ok(await page.locator(".results .result").count() > 2);
  assert.deepEqual(faults, []);
  await close();
});

test("drawings are drawn in the colours of the page", options, async () => {
  const { page, faults, close } = await open("docs/architecture", { colorScheme: "dark" });
  await page.locator(".drawing svg").nth(2).waitFor();
  assert.equal(await page.locator(".drawing-source").count(), 0, "a drawing stayed a source");
  assert.ok(await page.evaluate(() => document.documentElement.classList.contains("dark")));
  const cut = await page.evaluate(() => [...document.querySelectorAll(".drawing foreignObject")]
    .filter((label) => label.firstElementChild && label.firstElementChild.scrollHeight > label.height.baseVal.value + 2).length);
  assert.equal(cut, 0, "labels of drawings are cut off");
  assert.deepEqual(faults, []);
  await close();
});
