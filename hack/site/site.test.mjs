// What the built files promise without a browser: links lead somewhere, the index of the search has every page, and nothing is loaded
// from another host.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { anchor } from "./markdown.mjs";
import { menuOf, pagesOf, resolve } from "./pages.mjs";

const { SITE_OUTPUT: site, SITE_REPOSITORY: repository, SITE_BASE: base } = process.env;
const files = readdirSync(site, { recursive: true }).filter((name) => name.endsWith(".html") && name !== "404.html");
const html = new Map(files.map((name) => [name, readFileSync(path.join(site, name), "utf8")]));

/** Returns the built file of an address, or undefined. */
function fileOf(address) {
  const below = address.startsWith(base) ? address.slice(base.length) : address.replace(/^\//, "");
  return [below, below + ".html", path.posix.join(below, "index.html")].find((name) => existsSync(path.join(site, name)) && statSync(path.join(site, name)).isFile());
}

test("each page of the repository is on the site", () => {
  for (const page of pagesOf(repository)) {
    const built = page.replace(/(^|\/)README\.md$/, "$1index.md").replace(/\.md$/, ".html");
    assert.ok(html.has(built), `${page} is not on the site as ${built}`);
  }
  assert.ok(html.has("docs/adr/index.html"), "the list of decisions is not on the site");
});

test("each link leads to a page and a heading of it", () => {
  const dead = [];
  let links = 0;
  for (const [name, text] of html) {
    const here = new URL(base + name, "http://site");
    for (const [, href] of text.matchAll(/<a[^>]*\shref="([^"]+)"/g)) {
      const to = new URL(href.replaceAll("&amp;", "&"), here);
      if (to.origin !== here.origin) continue;
      links++;
      const file = fileOf(decodeURIComponent(to.pathname));
      const section = decodeURIComponent(to.hash.slice(1));
      if (!file) dead.push(`${name}: ${href}`);
      else if (section && file.endsWith(".html") && !html.get(file)?.includes(`id="${section}"`)) dead.push(`${name}: ${href}: no such heading`);
    }
  }
  assert.deepEqual(dead, []);
  assert.ok(links > 1000, `only ${links} links were found`);
});

test("the menu has each row and each page of docs/README.md", () => {
  const text = readFileSync(path.join(repository, "docs/README.md"), "utf8");
  const entries = menuOf(text).flatMap((group) => group.items);
  assert.equal(entries.length, [...text.matchAll(/\]\(/g)].length);
  for (const { text: label, link } of entries) assert.ok(fileOf(base + link.slice(1)), `${label} leads to ${link}, which is no page`);
});

test("the index of the search has every page", () => {
  const chunks = path.join(site, "assets/chunks");
  const name = readdirSync(chunks).find((file) => file.includes("localSearchIndex"));
  assert.ok(name, "there is no index");
  const index = readFileSync(path.join(chunks, name), "utf8");
  for (const page of ["docs/start", "docs/api", "docs/adr/0001-secret-and-status-order", "docs/how-to/mount"]) {
    assert.ok(index.includes(page + "#") || index.includes(page + ".html#"), `the index has no entry of ${page}`);
  }
  assert.ok(index.length > 100_000, `the index has only ${index.length} characters`);
});

test("no page loads anything from another host", () => {
  for (const [name, text] of html) {
    const foreign = [...text.matchAll(/<(?:script|img|link|iframe|source)[^>]*\s(?:src|href)="((?:https?:)?\/\/[^"]+)"/g)].map(([, url]) => url);
    assert.deepEqual(foreign, [], name);
  }
});

test("comments for the tests of pages do not show", () => {
  const mark = /(?:<|&lt;)!-- ?(?:file|run by|not run|before)/;
  const shown = [...html].filter(([, text]) => mark.test(text.replace(/<code.*?<\/code>/gs, ""))).map(([name]) => name);
  assert.deepEqual(shown, []);
});

test("a link to a file that does not exist fails the build", () => {
  assert.throws(() => resolve(repository, "docs/start.md", "../no-such-file.yaml"), /does not exist/);
  assert.match(resolve(repository, "docs/start.md", "../Makefile"), /^https:\/\/.*\/blob\/main\/Makefile$/);
  assert.equal(resolve(repository, "docs/operations.md", "adr"), "adr/index.md");
  assert.equal(resolve(repository, "docs/how-to/mount.md", "../../README.md#install-it"), "../../index.md#install-it");
});

test("braces of templates stay as they are", () => {
  assert.match(html.get("docs/how-to/envoy.html"), /<code>Bearer \{\{ \.token \}\}<\/code>/);
});

test("anchors are those of GitHub", () => {
  for (const [heading, wanted] of [["1. Give each issuer a policy", "1-give-each-issuer-a-policy"], ["`--workers`: how many?", "--workers-how-many"], ["The API", "the-api"]]) {
    assert.equal(anchor(heading), wanted);
  }
});
