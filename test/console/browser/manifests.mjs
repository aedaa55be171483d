// Each manifest of test/cel that the API server must refuse, in the form: what is said against it shows at its field.
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { flow, seen } from "./browser.mjs";
import { world } from "./world.mjs";

/** The controls of the form, by the fields of spec that they stand for. */
const controls = {
  audience: ["Audience"],
  lifetime: ["Lifetime", "Custom lifetime", "Lifetime of each token"],
  expiresAt: ["Ends at (UTC)"],
  issuerRef: ["Issuer"],
  subject: ["Subject"],
  scopes: ["Scopes"],
  claims: ["Claims"],
  "accessToken.lifetime": ["Access token lifetime"],
  "rotation.mode": ["When does the next token come?"],
  "rotation.renewBefore": ["Renew before"],
  "rotation.overlap.quiet": ["Overlap: quiet"],
  "rotation.overlap.max": ["Overlap: max"],
  "rotation.retryGrace": ["Retry grace"],
  idleTimeout: ["Idle timeout"],
  "secret.name": ["Secret name"],
  "secret.labels": ["Labels of the Secret"],
  "secret.accessToken": ["Also keep a valid access token in the Secret"],
  "deviceInfo.id": ["Device ID"],
  "binding.serviceAccountName": ["Bound to ServiceAccount"],
  "binding.jwkThumbprint": ["Bound to DPoP key"],
  rolloutRestart: ["Workloads to restart after a rotation"],
};
const spans = ["accessToken.lifetime", "idleTimeout", "lifetime", "rotation.renewBefore", "rotation.overlap.quiet", "rotation.overlap.max", "rotation.retryGrace"];

/**
 * In the page: opens the form, as "Create another like this" does, and returns what is wrong in it once it is checked: the label of
 * each control with its message, and what is said of other fields. Nothing is returned of a form that could not be filled in.
 */
const check = async (base) => {
  const turn = (path) => {
    history.pushState(null, "", base + path);
    dispatchEvent(new PopStateEvent("popstate"));
  };
  const until = async (test) => {
    while (!test()) await new Promise(requestAnimationFrame);
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (one) => one?.textContent.trim() ?? "";
  turn("verify");
  await until(() => !document.querySelector("form.editor"));
  turn("keys/new?like=default/orders&ns=default&name=orders");
  await until(() => document.querySelector("form.editor"));
  // A date that is none leaves the form blank, and without an audience it asks nothing.
  if (!all(".banner").some((one) => text(one) === "Filled in from default/orders.") || !document.querySelector("form.editor input").value) return undefined;
  await until(() => document.querySelector(".verdict > .bad, .verdict > .good"));
  const others = all(".verdict > li.bad").filter((one) => one.querySelector("code"));
  return {
    at: all(".editor .error").map((error) => ({ label: text(error.closest(".field, fieldset")?.querySelector("label, legend")), message: text(error) })),
    others: others.map((one) => ({ field: text(one.querySelector("code")), message: text(one).slice(text(one.querySelector("code")).length).trim() })),
  };
};

/** Fills the form in from a manifest, and returns whether it holds all of it, and what it does not say. */
async function fill(page, { name, object, causes }, asked) {
  const found = await page.evaluate(check, world.consoles.main);
  // The form writes the default lifetime, and leaves out what it cannot hold: annotations, and what is of another type.
  if (!found || object.metadata.annotations || !isDeepStrictEqual(asked(), { lifetime: "720h", ...object.spec })) return { held: false, wrong: [] };
  const wrong = causes.filter(({ field, message }) => {
    const at = Object.keys(controls).find((path) => field === `spec.${path}` || field.startsWith(`spec.${path}.`) || field.startsWith(`spec.${path}[`));
    const [before, after = ""] = message.split("<now>");
    const says = (text) => (text.startsWith(before) && text.endsWith(after)) || (spans.includes(at) && text === "Write a duration such as 90d or 12h30m.");
    return !(at ? found.at.some((one) => controls[at].includes(one.label) && says(one.message)) : found.others.some((one) => one.field === field && says(one.message)));
  });
  return { held: true, wrong: wrong.map(({ field, message }) => `${name}: ${field}: ${message}\n  is not in ${JSON.stringify(found)}`) };
}

flow("each invalid manifest that the form can hold shows its message at its field", async (visit, t) => {
  const left = [...world.invalid];
  const held = [];
  const wrong = [];
  // Each check waits for the form and the API server, so that several pages take them by turns.
  await Promise.all(Array.from({ length: 4 }, async () => {
    const page = await visit.open("verify");
    await seen(page.getByRole("heading", { name: "Checks" }));
    let manifest;
    let asked;
    // The API server has no invalid key to fill the form in from, so the test answers for it.
    await page.route("**/api/keys/default/orders", (route) => route.fulfill({ json: { object: manifest } }));
    page.on("request", (request) => request.url().endsWith("/preview") && (asked = request.postDataJSON().manifest.spec));
    for (let next = left.pop(); next; next = left.pop()) {
      manifest = next.object;
      const outcome = await fill(page, next, () => asked);
      if (outcome.held) held.push(next.name);
      wrong.push(...outcome.wrong);
    }
  }));
  t.diagnostic(`the form holds ${held.length} of ${world.invalid.length} manifests`);
  assert.deepEqual(wrong, []);
  assert.ok(held.length > 80, `the form holds ${held.length} manifests only: ${held}`);
}, { long: true });
