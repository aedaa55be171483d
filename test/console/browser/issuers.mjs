// Issuers: their signing keys and policy.
import assert from "node:assert/strict";
import { flow, gone, seen } from "./browser.mjs";
import { createIssuer, createKey, awaitKey, issuerPath, kube, namespace, until } from "./world.mjs";

const dialog = (page) => page.getByRole("dialog").filter({ has: page.locator("form[method=dialog]") });
const keysOf = async (issuer, use) => (await kube("GET", issuerPath(issuer))).status.keys.filter((key) => key.use === use);

flow("rotate the signing keys of an issuer", async (visit) => {
  const issuer = await createIssuer("rotating");
  const page = await visit.open("issuers");
  await page.getByRole("link", { name: issuer }).click();
  await seen(page.getByRole("heading", { name: issuer, level: 1 }));
  await page.getByRole("button", { name: "Rotate…" }).click();
  await dialog(page).getByRole("button", { name: "Rotate", exact: true }).click();
  await gone(dialog(page));
  await seen(page.locator(".toast.good"));
  const { metadata } = await kube("GET", issuerPath(issuer));
  assert.ok(Date.parse(metadata.annotations["jwt.refreshkeys.dev/rotate-keys"]) > Date.now() - 60_000);
});

flow("withdraw a signing key: what it signed is said, and its first characters are typed", async (visit) => {
  const issuer = await createIssuer("withdrawn");
  const ns = await namespace("withdraw");
  await createKey(ns, "orders", { issuerRef: { name: issuer } });
  await awaitKey(ns, "orders");
  const [signing] = await until("a refresh key signs", async () => {
    const found = (await kube("GET", issuerPath(issuer))).status.keys.filter(({ state, use }) => state === "Active" && /refresh/i.test(use));
    return found.length > 0 ? found : undefined;
  });
  const page = await visit.open(`issuers/${issuer}`);
  const start = signing.kid.slice(0, 8);
  await page.getByRole("button", { name: `Withdraw ${start}` }).click();
  await seen(dialog(page).getByText("It signed the current tokens of 1 key"));
  const act = dialog(page).getByRole("button", { name: "Withdraw", exact: true });
  assert.equal(await act.isDisabled(), true);
  await dialog(page).getByLabel(`Type ${start} to confirm`).fill(start);
  await act.click();
  await gone(dialog(page));
  await until("the key is withdrawn", async () => !(await keysOf(issuer, signing.use)).some(({ kid }) => kid === signing.kid) || undefined);
  await awaitKey(ns, "orders", (key) => key.status.revision === 2);
  // The page tells it by itself.
  await gone(page.getByRole("button", { name: `Withdraw ${start}` }));
});

flow("an issuer at which people sign in has a seal ring, whose keys are withdrawn too", async (visit) => {
  const ns = await namespace("sealing");
  const clients = [{ id: "shop", redirectURIs: ["https://shop.example.com/callback"], audiences: ["https://orders.shop.example.com"] }];
  const issuer = await createIssuer("sealing", { login: { sessionNamespace: ns, oidc: [{ issuerURL: "https://idp.example.com", audiences: ["login"], client: { id: "login" } }], clients } });
  const [sealing] = await until("a seal key is in use", async () => {
    const found = (await keysOf(issuer, "seal")).filter(({ state }) => state === "Active");
    return found.length > 0 ? found : undefined;
  });
  const page = await visit.open(`issuers/${issuer}`);
  await seen(page.getByRole("heading", { name: "Seal ring" }));
  const start = sealing.kid.slice(0, 8);
  await page.getByRole("button", { name: `Withdraw ${start}` }).click();
  await seen(dialog(page).getByText("Sessions stay."));
  assert.equal(await dialog(page).locator(".points").getByRole("listitem").count(), 0, "the dialog counts tokens");
  await dialog(page).getByLabel(`Type ${start} to confirm`).fill(start);
  await dialog(page).getByRole("button", { name: "Withdraw", exact: true }).click();
  await gone(dialog(page));
  await gone(page.getByRole("button", { name: `Withdraw ${start}` }));
});

flow("the policy as a table, and whether it would grant a request", async (visit) => {
  const ns = await namespace("trial");
  const issuer = await createIssuer("trial", { policy: { rules: [{ namespaces: { names: [ns] }, audiences: ["https://*.shop.example.com"], scopes: ["orders.read"], maxLifetime: "240h" }] } });
  const page = await visit.open(`issuers/${issuer}`);
  await seen(page.getByText("https://*.shop.example.com"));
  const form = page.locator("form", { has: page.getByRole("button", { name: "Ask the policy" }) });
  await form.getByLabel("Namespace").fill(ns);
  await form.getByLabel("Audience").fill("https://orders.shop.example.com");
  await form.getByLabel("Lifetime").fill("7d");
  await page.getByRole("button", { name: "Ask the policy" }).click();
  await seen(form.locator(".answer .banner.good"));
  await form.getByLabel("Audience").fill("https://bank.example.com");
  await page.getByRole("button", { name: "Ask the policy" }).click();
  await seen(form.locator(".answer .banner.bad"));
});
