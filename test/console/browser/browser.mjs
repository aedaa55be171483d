// The browser of the suite, and what is asserted of every page: no CSP report, no error on the browser's console but those that the
// test names, no request to another origin, and no token on a page, in its storage or in a URL.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import test, { after, describe } from "node:test";
import { chromium } from "playwright-core";
import { flags } from "./flags.mjs";
import { editor, secrets, world } from "./world.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Matches a JWT. */
export const jwt = /eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}/;
// CI computes beside the suite: what usually takes a moment can take a while.
const patience = 40_000;

let started;
const browser = () => (started ??= chromium.launch({ executablePath: process.env.CONSOLE_CHROMIUM, args: flags }));
after(async () => (await started)?.close());

/** What a test sees of the browser. */
export class Visit {
  pages = [];
  contexts = [];
  faults = [];
  // Where a sign-in leads the browser to.
  elsewhere = new Set();
  // A person who may not list namespaces types them.
  expected = [{ status: 403, path: "/api/namespaces" }];

  /** A request that is refused is an error on the browser's console, which the test names by its status and path. */
  expects(status, path) {
    this.expected.push({ status, path });
  }

  /** The test leads the browser to another origin, as a navigation only. */
  visits(url) {
    this.elsewhere.add(new URL(url).origin);
  }

  /** A new browser without a session. */
  async context({ base = world.consoles.main, ...options } = {}) {
    const context = await (await browser()).newContext({
      ignoreHTTPSErrors: true,
      locale: "en-GB",
      timezoneId: "UTC",
      viewport: { width: 1280, height: 800 },
      reducedMotion: "reduce",
      baseURL: base,
      ...options,
    });
    context.setDefaultTimeout(patience);
    context.base = base;
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
    });
    context.on("page", (page) => this.watch(page, base));
    this.contexts.push(context);
    return context;
  }

  watch(page, base) {
    this.pages.push(page);
    const origin = new URL(base).origin;
    page.on("console", (message) => {
      if (message.type() !== "error" && !message.text().includes("Content Security Policy")) return;
      const { url } = message.location();
      if (this.allows(message.text(), url)) return;
      this.faults.push(`on the browser's console: ${message.text()} (${url})`);
    });
    page.on("pageerror", (error) => this.faults.push(`error of the page: ${error.stack}`));
    page.on("request", (request) => {
      const url = new URL(request.url());
      const expected = url.origin === origin || (this.elsewhere.has(url.origin) && request.isNavigationRequest());
      if (!/^(blob|data):$/.test(url.protocol) && !expected) this.faults.push(`request to another origin: ${url.href}`);
      if (url.origin === origin && jwt.test(url.href)) this.faults.push(`a token in the URL of ${url.pathname}`);
      for (const secret of secrets) {
        if (url.href.includes(secret)) this.faults.push(`a token in the URL of ${url.pathname}`);
      }
    });
  }

  allows(text, url) {
    // The page of another origin is none of the console's.
    if (url && this.elsewhere.has(new URL(url).origin)) return true;
    return this.expected.some(({ status, path }) => text.includes(typeof status === "number" ? `status of ${status} ` : status) && (!path || new URL(url).pathname.includes(path)));
  }

  /** Signs in as a person, without the page. */
  async signIn(context, { token }) {
    const origin = new URL(context.base).origin;
    const answer = await context.request.post(`${context.base}api/login`, { data: { token }, headers: { Origin: origin, "Sec-Fetch-Site": "same-origin" } });
    assert.equal(answer.status(), 200, await answer.text());
  }

  /** A page of a person who is signed in; by default, one who may do everything. */
  async open(path, { as, ...options } = {}) {
    const context = await this.context(options);
    await this.signIn(context, as ?? (await editor()));
    const page = await context.newPage();
    await page.goto(context.base + path);
    return page;
  }

  /** Checks a page with axe: all of WCAG 2.2 A and AA, and best practice; or only the rules that are named. */
  async accessible(page, what, rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]) {
    if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
    const found = await page.evaluate(async (runOnly) => {
      const { violations } = await window.axe.run(document, { runOnly });
      return violations.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.slice(0, 4).map(({ html, failureSummary }) => `    ${html.slice(0, 200)} ${failureSummary?.replaceAll("\n", " ").slice(0, 300)}`).join("\n")}`);
    }, rules);
    assert.deepEqual(found, [], `axe finds faults on ${what}:\n${found.join("\n")}`);
  }

  /** Checks that no token is on a page. */
  async keepsSecrets(page) {
    if (page.isClosed() || page.url() === "about:blank") return;
    const all = await page.evaluate(() => {
      const values = [...document.querySelectorAll("input:not([type=password]),textarea")].map(({ value }) => value);
      return JSON.stringify([document.documentElement.outerHTML, values, { ...localStorage }, { ...sessionStorage }, location.href, history.state]);
    });
    assert.ok(!jwt.test(all), `a token is on the page ${page.url()}: ${jwt.exec(all)?.[0].slice(0, 24)}…`);
    for (const secret of secrets) assert.ok(!all.includes(secret), `a token is on the page ${page.url()}`);
  }

  async end() {
    try {
      for (const page of this.pages) await this.keepsSecrets(page);
    } finally {
      await Promise.all(this.contexts.map((context) => context.close()));
    }
    assert.deepEqual(this.faults, []);
  }
}

const flows = [];

/** A test with a browser. alone: no other test runs meanwhile. waits: it mostly waits, for a time of the product. */
export function flow(name, f, options = {}) {
  flows.push({ name, f, ...options });
}

async function run({ name, f }, t) {
  const visit = new Visit();
  try {
    await f(visit, t);
  } catch (error) {
    const page = visit.pages.at(-1);
    if (page && !page.isClosed()) {
      t.diagnostic(`${page.url()}: ${(await page.locator("body").innerText()).slice(0, 1500)}`);
      if (process.env.CONSOLE_FAILED) await page.screenshot({ path: `${process.env.CONSOLE_FAILED}/${name.replaceAll(/\W+/g, "-").slice(0, 60)}.png` });
    }
    for (const fault of visit.faults) t.diagnostic(fault);
    await Promise.all(visit.contexts.map((context) => context.close()));
    throw error;
  }
  await visit.end();
}

/** Registers the flows of all files: those that wait beside some that work, and then those that run alone. */
export function register() {
  const group = (name, of, concurrency) =>
    describe(name, { concurrency }, () => {
      for (const one of of) test(one.name, { timeout: one.timeout ?? (one.long ? 400_000 : 120_000) }, (t) => run(one, t));
    });
  describe("side by side", { concurrency: 2 }, () => {
    group("waiting", flows.filter(({ alone, waits }) => waits && !alone), 8);
    group("working", flows.filter(({ alone, waits }) => !waits && !alone), 4);
  });
  group("alone", flows.filter(({ alone }) => alone), 1);
}

/** Waits until an element is there. */
export const seen = (locator, timeout = patience) => locator.first().waitFor({ state: "visible", timeout });
/** Waits until an element is gone. */
export const gone = (locator, timeout = patience) => locator.first().waitFor({ state: "hidden", timeout });

/** The row of a key in the list. */
export const rowOf = (page, ns, name) => page.locator(`tr[data-name="${ns}/${name}"]`);

export const names = (page) => page.locator("tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.name));

/** Opens all parts of the form below "Advanced". */
export async function openAdvanced(page) {
  const parts = page.locator(".advanced summary");
  await seen(parts);
  for (const part of await parts.all()) await part.click();
}
