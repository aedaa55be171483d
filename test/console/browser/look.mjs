// Every page and dialog for every person: axe, narrow and zoomed windows, other colours and languages, the keyboard, a base path.
import assert from "node:assert/strict";
import { flow, gone, openAdvanced, rowOf, seen } from "./browser.mjs";
import { continueButton, openAs, otherSession } from "./provider.mjs";
import { awaitKey, createIssuer, createKey, keyPath, kube, namespace, person, session, until, world } from "./world.mjs";

const dialog = (page) => page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });

// The user of the provider, and the console where that person has sessions.
const looker = "looks";
const theirs = "exchange";

let made;
/** A namespace with keys in several states, a session and an issuer with a policy; one for all tests of this file. */
function scene() {
  made ??= (async () => {
    const ns = await namespace("look");
    await Promise.all([
      createKey(ns, "orders", { deviceInfo: { name: "Till 17", browser: "Firefox", os: "Linux" } }),
      createKey(ns, "a-key-with-a-rather-long-name-that-may-not-break-the-page", { audience: `https://${"a-long-label-".repeat(4)}x.example.com/with/a/long/path` }),
      createKey(ns, "ended", { revoked: true }),
      createKey(ns, "broken", { issuerRef: { name: "no-such-issuer" } }),
      createKey(ns, "once", { rotation: { mode: "OneTimeUse" } }),
    ]);
    const issuer = await createIssuer("look", { policy: { rules: [{ namespaces: { names: [ns] }, audiences: ["https://*.shop.example.com"], scopes: ["orders.read", "orders.write"], maxLifetime: "240h" }] } });
    await session(ns, "till", { userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0" });
    await session(ns, "till");
    await otherSession(looker, "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0");
    await awaitKey(ns, "orders");
    return { ns, issuer };
  })();
  return made;
}

const h1 = (page) => page.getByRole("heading", { level: 1 });

/** The pages and dialogs: a path, and what opens the dialog. */
const views = {
  list: { path: ({ ns }) => `keys?ns=${ns}`, at: (page, { ns }) => rowOf(page, ns, "orders").locator(".chip.good") },
  "list without keys": { path: () => "keys?ns=no-such-namespace", at: (page) => page.getByRole("heading", { name: /No refresh keys/ }) },
  "list with a selection": { path: ({ ns }) => `keys?ns=${ns}`, act: async (page, { ns }) => { await rowOf(page, ns, "orders").getByRole("checkbox").check(); await seen(page.getByText("1 key selected")); } },
  "row menu": { path: ({ ns }) => `keys?ns=${ns}`, act: async (page, { ns }) => { await rowOf(page, ns, "orders").getByRole("button", { name: "Actions for orders" }).click(); await seen(page.getByRole("menuitem", { name: "Rotate" })); } },
  "account panel": { path: ({ ns }) => `keys?ns=${ns}`, act: async (page) => { await page.getByRole("button", { name: /^Account/ }).click(); await seen(page.getByRole("button", { name: "Sign out" })); } },
  "bulk dialog": { path: ({ ns }) => `keys?ns=${ns}`, act: async (page, { ns }) => { await rowOf(page, ns, "orders").getByRole("checkbox").check(); await page.getByRole("region", { name: "Actions for the selection" }).getByRole("button", { name: "Revoke…" }).click(); await seen(dialog(page)); } },
  help: { narrow: false, path: ({ ns }) => `keys?ns=${ns}`, act: async (page) => { await page.getByRole("button", { name: "Shortcuts and help" }).click(); await seen(page.getByRole("heading", { name: "Keyboard shortcuts" })); } },
  create: { path: ({ ns }) => `keys/new?ns=${ns}&audience=https://orders.example.com`, act: async (page) => { await openAdvanced(page); await seen(page.getByText("The API server accepts this key.")); } },
  "create with errors": { path: ({ ns }) => `keys/new?ns=${ns}`, act: async (page) => { await page.getByRole("button", { name: "Save" }).click(); await seen(page.getByText("Enter the audience.")); } },
  detail: { path: ({ ns }) => `keys/${ns}/orders`, at: (page) => page.getByRole("heading", { name: "Timeline" }) },
  "detail of a broken key": { path: ({ ns }) => `keys/${ns}/broken`, at: (page) => page.getByRole("heading", { name: "Conditions" }) },
  "revoke dialog": { path: ({ ns }) => `keys/${ns}/orders`, act: async (page) => { await page.getByRole("button", { name: "Revoke…" }).click(); await seen(dialog(page)); } },
  "rotate now dialog": { path: ({ ns }) => `keys/${ns}/orders`, act: async (page) => { await page.getByRole("button", { name: "More ways to rotate" }).click(); await page.getByRole("menuitem", { name: "Rotate now…" }).click(); await seen(dialog(page)); } },
  "delete dialog": { path: ({ ns }) => `keys/${ns}/orders`, act: async (page) => { await page.getByRole("button", { name: "More actions" }).click(); await page.getByRole("menuitem", { name: "Delete…" }).click(); await seen(dialog(page)); } },
  "a revealed token": { secret: true, path: ({ ns }) => `keys/${ns}/orders`, act: async (page) => { await page.getByRole("button", { name: "Show for 30 s" }).click(); await seen(page.getByRole("button", { name: /^Hide/ })); } },
  "list without a match": { path: ({ ns }) => `keys?ns=${ns}&q=nothing-matches-this`, at: (page) => page.getByRole("heading", { name: "No key matches" }) },
  issuers: { path: () => "issuers", at: (page, { issuer }) => page.getByRole("link", { name: issuer }) },
  issuer: { path: ({ issuer }) => `issuers/${issuer}`, at: (page) => page.getByRole("heading", { name: "Signing keys" }) },
  "withdraw dialog": { path: ({ issuer }) => `issuers/${issuer}`, act: async (page) => { await page.getByRole("button", { name: /^Withdraw/ }).first().click(); await seen(dialog(page)); } },
  "rotate signing keys dialog": { path: ({ issuer }) => `issuers/${issuer}`, act: async (page) => { await page.getByRole("button", { name: "Rotate…" }).click(); await seen(dialog(page)); } },
  sessions: { path: ({ ns }) => `sessions?ns=${ns}`, at: (page, { ns }) => page.getByRole("region", { name: `system:serviceaccount:${ns}:till` }) },
  "end session dialog": { path: ({ ns }) => `sessions?ns=${ns}`, act: async (page) => { await page.getByRole("button", { name: /^End the session/ }).first().click(); await seen(dialog(page)); } },
  "my sessions": { console: theirs, path: () => "me/sessions", at: (page) => page.getByText("This session", { exact: true }) },
  "end all others dialog": { console: theirs, path: () => "me/sessions", act: async (page) => { await page.getByRole("button", { name: "End all others" }).click(); await seen(dialog(page)); } },
  "sign-in": { console: "out", path: () => "", at: (page) => page.getByLabel("Bearer token") },
  "sign-in at a provider": { console: "provider", path: () => "signin?failed=AccessDenied", at: continueButton },
  verify: { path: () => "verify", at: (page) => page.getByRole("heading", { name: "Checks" }) },
};

/** Opens the page of a view when it is first wanted: of a person at two consoles, and before the sign-in, with a token only and with a provider. */
function pagesOf(visit, options) {
  const outside = async (at) => (await visit.context({ base: world.consoles[at], ...options })).newPage();
  const open = { main: () => visit.open("keys", options), [theirs]: () => openAs(visit, looker, "me/sessions", { at: theirs, ...options }), out: () => outside("main"), provider: () => outside("forward") };
  const opened = {};
  return ({ console: at = "main" }) => (opened[at] ??= open[at]());
}

async function show(page, { path, at, act }, made) {
  await page.goto(page.context().base + path(made));
  await seen(h1(page));
  if (at) await seen(at(page, made));
  if (act) await act(page, made);
  await page.evaluate(() => document.fonts.ready);
}

const wide = () => {
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth <= clientWidth) return [];
  const over = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > clientWidth + 1 && getComputedStyle(one).position !== "fixed");
  return over.slice(0, 5).map((one) => `${one.tagName.toLowerCase()}.${one.className}: ${Math.round(one.getBoundingClientRect().right)} of ${clientWidth}`).concat(`${scrollWidth} of ${clientWidth}`);
};

// The other colours change what only these rules look at.
const ofColours = ["color-contrast", "link-in-text-block"];

async function checkBoth(visit, page, name, faults) {
  for (const [colorScheme, rules] of [["light"], ["dark", ofColours]]) {
    await page.emulateMedia({ colorScheme });
    await visit.accessible(page, `${name}, ${colorScheme}`, rules).catch((error) => faults.push(error.message));
  }
}

for (const [what, isOf] of [["page", ({ act }) => !act], ["dialog or state that is opened", ({ act }) => act]]) {
  flow(`axe finds nothing on any ${what}, light and dark`, async (visit) => {
    const made = await scene();
    const faults = [];
    const pageOf = pagesOf(visit, {});
    for (const [name, view] of Object.entries(views)) {
      if (!isOf(view)) continue;
      const page = await pageOf(view);
      await show(page, view, made);
      await checkBoth(visit, page, name, faults);
      if (!view.secret) await visit.keepsSecrets(page);
    }
    assert.deepEqual(faults, []);
  }, { long: true });
}

flow("axe finds nothing on the list without rights, light and dark", async (visit) => {
  const faults = [];
  const page = await visit.open("keys", { as: await person({ role: "" }) });
  await seen(page.getByRole("heading", { name: "You may not list keys in all namespaces" }));
  await checkBoth(visit, page, "list without rights", faults);
  assert.deepEqual(faults, []);
});

const phone = { width: 390, height: 844 };
// 1280 by 1024 at 400 % zoom.
const zoomed = { width: 320, height: 256 };

flow("no page scrolls sideways at 400 % zoom (320 px), nor 390 px wide", async (visit) => {
  const made = await scene();
  const pageOf = pagesOf(visit, { viewport: zoomed });
  const faults = [];
  for (const [name, view] of Object.entries(views)) {
    if (view.narrow === false) continue;
    const page = await pageOf(view);
    await page.setViewportSize(zoomed);
    await show(page, view, made);
    for (const viewport of [zoomed, phone]) {
      await page.setViewportSize(viewport);
      const over = await page.evaluate(wide);
      if (over.length > 0) faults.push(`${name}: ${over.join("; ")}`);
    }
  }
  assert.deepEqual(faults, []);
}, { long: true });

flow("no page scrolls sideways in the pseudo-locale, 390 px wide", async (visit) => {
  const made = await scene();
  const pageOf = pagesOf(visit, { viewport: phone });
  const faults = [];
  for (const [name, view] of Object.entries(views)) {
    if (view.narrow === false || view.act) continue;
    const page = await pageOf(view);
    const path = view.path(made);
    await page.goto(`${page.context().base}${path}${path.includes("?") ? "&" : "?"}locale=pseudo`);
    await seen(page.locator("h1", { hasText: name.startsWith("detail") ? "" : "⟦" }).or(page.locator("h1")));
    await until("the stream is there", async () => (await page.locator(".skeleton, .starting").count()) === 0 || undefined);
    const over = await page.evaluate(wide);
    if (over.length > 0) faults.push(`${name}: ${over.join("; ")}`);
  }
  assert.deepEqual(faults, []);
}, { long: true });

flow("the pseudo-locale reaches every text of the frame and the list", async (visit) => {
  const { ns } = await scene();
  const page = await visit.open(`keys?ns=${ns}&locale=pseudo`);
  await seen(page.locator("h1", { hasText: "⟦" }));
  const plain = await page.evaluate(() => {
    const found = [];
    for (const one of document.querySelectorAll("nav a, nav h2, button, th, label, h1")) {
      const text = one.textContent.trim();
      // What is not of the catalogue: the names of keys, namespaces, users, numbers and the product's mark.
      if (text && /[a-z]{3}/.test(text) && !text.includes("⟦") && !one.closest("tbody, .switch, .account, .mark")) found.push(text);
    }
    return found;
  });
  assert.deepEqual(plain, []);
});

flow("forced colours: what is selected, pressed and invalid is still seen", async (visit) => {
  const { ns } = await scene();
  const page = await visit.open(`keys?ns=${ns}`, { forcedColors: "active" });
  await seen(rowOf(page, ns, "orders"));
  // Each button has a border or a text of its own: nothing is drawn by background alone.
  const bare = await page.evaluate(() => [...document.querySelectorAll("button.button, a.round, input")].filter((one) => one.checkVisibility() && parseFloat(getComputedStyle(one).borderTopWidth) === 0 && getComputedStyle(one).outlineStyle === "none" && one.type !== "checkbox" && !one.textContent.trim() && !one.querySelector("svg") && !one.closest(".search")).map((one) => one.outerHTML.slice(0, 120)));
  assert.deepEqual(bare, []);
  await visit.accessible(page, "list in forced colours");
});

flow("reduced motion: nothing moves", async (visit) => {
  const { ns } = await scene();
  const page = await visit.open(`keys?ns=${ns}`, { reducedMotion: "reduce" });
  await seen(rowOf(page, ns, "orders"));
  await kube("PATCH", keyPath(ns, "orders"), { spec: { audience: "https://moved.example.com" } });
  await seen(rowOf(page, ns, "orders").getByText("https://moved.example.com"));
  assert.match(await rowOf(page, ns, "orders").getAttribute("class"), /flash-/, "the row did not change");
  const long = () => document.getAnimations().filter((one) => Number(one.effect?.getComputedTiming().duration) > 10).length;
  assert.equal(await page.evaluate(long), 0);
  const page2 = await visit.open(`keys/${ns}/orders`, { reducedMotion: "reduce" });
  await page2.getByRole("button", { name: "Revoke…" }).click();
  assert.equal(await page2.evaluate(long), 0);
});

flow("the theme is kept, and is all that the browser keeps", async (visit) => {
  const page = await visit.open("keys", { colorScheme: "light" });
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await seen(h1(page));
  const light = await back();
  await page.getByRole("button", { name: "Theme" }).click();
  await page.getByRole("menuitemradio", { name: "Dark" }).click();
  assert.notEqual(await back(), light);
  await page.reload();
  await seen(h1(page));
  assert.notEqual(await back(), light);
  assert.deepEqual(await page.evaluate(() => [Object.keys(localStorage), Object.keys(sessionStorage)]), [["refreshkeys"], []]);
});

flow("below a base path every page, link and request stays below it", async (visit) => {
  const { ns } = await scene();
  const page = await visit.open(`keys?ns=${ns}`, { base: world.consoles.basePath });
  const outside = [];
  page.on("request", (request) => new URL(request.url()).pathname.startsWith("/refresh/") || outside.push(request.url()));
  await rowOf(page, ns, "orders").getByRole("link", { name: "orders" }).click();
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  await page.getByRole("link", { name: "Issuers" }).first().click();
  await seen(page.getByRole("heading", { name: "Issuers", level: 1 }));
  await page.reload();
  await seen(page.getByRole("heading", { name: "Issuers", level: 1 }));
  await page.goBack();
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  assert.equal(new URL(page.url()).pathname, `/refresh/keys/${ns}/orders`);
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.path, "/refresh/");
  assert.match(cookie.name, /^__Secure-/);
  assert.deepEqual(outside, []);
});

flow("create and revoke with the keyboard only", async (visit) => {
  const ns = await namespace("keyboard");
  const page = await visit.open(`keys?ns=${ns}`);
  await seen(h1(page));
  await page.keyboard.press("c");
  await seen(page.getByRole("heading", { name: "Create a refresh key", level: 1 }));
  const focused = () => page.evaluate(() => document.activeElement?.labels?.[0]?.textContent ?? document.activeElement?.textContent ?? "");
  const tabTo = async (text) => {
    for (let n = 0; n < 60; n++) {
      if ((await focused()).trim() === text) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`the Tab key does not reach ${text}`);
  };
  await tabTo("Audience");
  await page.keyboard.type("https://orders.example.com");
  await tabTo("Save");
  await page.keyboard.press("Enter");
  await seen(page.getByRole("heading", { name: "orders", level: 1 }));
  await awaitKey(ns, "orders");
  await seen(page.locator(".page-head .chip.good"));
  await tabTo("Revoke…");
  await page.keyboard.press("Enter");
  await seen(dialog(page));
  await page.keyboard.type("orders");
  await page.keyboard.press("Enter");
  await gone(dialog(page));
  await awaitKey(ns, "orders", (key) => key.status.revokedAt);
  await page.keyboard.press("g");
  await page.keyboard.press("k");
  await seen(rowOf(page, ns, "orders").getByText("Revoked"));
});

flow("a dialog gives the focus back, and Escape closes it", async (visit) => {
  const { ns } = await scene();
  const page = await visit.open(`keys/${ns}/orders`);
  const button = page.getByRole("button", { name: "Revoke…" });
  await button.click();
  await seen(dialog(page));
  assert.equal(await dialog(page).getByLabel("Type orders to confirm").evaluate((one) => one === document.activeElement), true);
  await page.keyboard.press("Escape");
  await gone(dialog(page));
  assert.equal(await button.evaluate((one) => one === document.activeElement), true);
});
