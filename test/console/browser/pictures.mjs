// Makes the pictures of the documentation, with data such as a shop has. SHOTS=true make console writes them. ImageMagick, where it
// is installed, makes them a third as large.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { flow, register, rowOf, seen } from "./browser.mjs";
import { clientID, password, provider, sessionNamespace } from "./provider.mjs";
import { awaitKey, createIssuer, createKey, exchange, getSecrets, issuerPath, keyPath, kube, listNamespaces, person, readEvents, tokenOf, until, world } from "./world.mjs";

const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0";
const spaces = ["shop", "warehouse", "billing", "platform"];
const keys = [
  ["shop", "orders", { audience: "https://orders.shop.example.com", lifetime: "720h", deviceInfo: { name: "Order service", os: "Linux" } }],
  ["shop", "catalogue", { audience: "https://catalogue.shop.example.com", lifetime: "2160h" }],
  ["shop", "payments", { audience: "https://payments.example.com", lifetime: "168h" }],
  ["shop", "till-17", { audience: "https://till.shop.example.com", rotation: { mode: "OneTimeUse" }, deviceInfo: { name: "Till 17", browser: "Firefox", os: "Linux" } }],
  ["shop", "newsletter", { audience: "https://mail.example.com", lifetime: "720h", revoked: true }],
  ["warehouse", "stock", { audience: "https://stock.warehouse.example.com", lifetime: "720h" }],
  ["warehouse", "scanner", { audience: "https://scanner.warehouse.example.com", lifetime: "24h" }],
  ["warehouse", "labels", { audience: "https://labels.warehouse.example.com", lifetime: "720h", issuerRef: { name: "partners" } }],
  ["billing", "invoices", { audience: "https://invoices.example.com", lifetime: "2160h" }],
  ["billing", "export", { audience: "https://archive.example.com", lifetime: "48h", rotation: { mode: "Never" } }],
];

async function shoot(page, name, options = {}) {
  const path = join(process.env.CONSOLE_PICTURES, `${name}.png`);
  await page.screenshot({ path, ...options });
  try {
    execFileSync("convert", [path, "+dither", "-colors", "128", "-strip", `PNG8:${path}`]);
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
}

flow("pictures of the console", async (visit) => {
  for (const name of spaces) await kube("POST", "/api/v1/namespaces", { metadata: { name, labels: { team: name } } });
  await kube("POST", issuerPath(), {
    apiVersion: "jwt.refreshkeys.dev/v1alpha1",
    kind: "JWTIssuer",
    metadata: { name: "partners" },
    spec: {
      url: `${world.tokenServers[0]}/partners`,
      policy: { rules: [{ namespaces: { names: ["shop"] }, audiences: ["https://*.shop.example.com"], scopes: ["orders.read", "orders.write"], maxLifetime: "720h" }, { namespaces: { matchLabels: { team: "billing" } }, audiences: ["https://invoices.example.com"], maxLifetime: "2160h" }] },
    },
  });
  await Promise.all(keys.map(([ns, name, spec]) => createKey(ns, name, spec)));
  const issued = keys.filter(([, name]) => !["newsletter", "labels"].includes(name));
  await Promise.all(issued.map(([ns, name]) => awaitKey(ns, name)));
  for (const name of ["orders", "catalogue"]) await exchange(await tokenOf("shop", name), 0, { userAgent: agent });
  await awaitKey("shop", "orders", (key) => key.status.lastUsed, 90_000);
  await kube("PATCH", keyPath("shop", "catalogue"), { metadata: { annotations: { "jwt.refreshkeys.dev/rotate": "1" } } });
  const as = await person({ home: "platform", name: "on-call", role: "refreshkeys-admin", rules: [...listNamespaces, ...getSecrets, ...readEvents] });
  const viewport = { width: 1280, height: 800 };
  const page = await visit.open("keys", { as, viewport });
  await seen(rowOf(page, "shop", "orders").locator(".chip.good"));
  await page.mouse.move(640, 790);
  await shoot(page, "console-list");
  await page.goto(`${world.consoles.main}keys/new?ns=shop&audience=https://returns.shop.example.com`);
  await seen(page.getByText("The API server accepts this key."));
  await shoot(page, "console-create");
  await page.goto(`${world.consoles.main}keys/shop/orders`);
  await seen(page.getByText("Firefox"));
  await shoot(page, "console-detail");
  await page.getByRole("button", { name: "Revoke…" }).click();
  const field = page.getByLabel("Type orders to confirm");
  await field.fill("orders");
  await page.getByLabel("Reason").fill("the laptop with the token was lost");
  await shoot(page, "console-revoke");
  await page.goto(`${world.consoles.main}issuers/partners`);
  await seen(page.getByText("https://invoices.example.com"));
  await shoot(page, "console-issuer");
  const dark = await visit.open("keys", { as, viewport, colorScheme: "dark" });
  await seen(rowOf(dark, "shop", "orders").locator(".chip.good"));
  await dark.mouse.move(640, 790);
  await shoot(dark, "console-list-dark");
  const narrow = await visit.open("keys", { as, viewport: { width: 390, height: 800 } });
  await seen(rowOf(narrow, "shop", "orders").locator(".chip.good"));
  await shoot(narrow, "console-list-narrow");
}, { alone: true, long: true });

/** An issuer at which people sign in with a password or at a provider, and its URL. */
async function staff() {
  const audiences = ["https://orders.shop.example.com"];
  const name = await createIssuer("staff", {
    policy: { rules: [{ namespaces: { names: [sessionNamespace] }, audiences, scopes: ["orders.read", "orders.write"] }] },
    login: {
      sessionNamespace,
      passwords: { secretRef: { name: sessionNamespace } },
      oidc: [{ issuerURL: provider, caBundle: readFileSync(world.authority, "utf8"), audiences: [clientID], subjectPrefix: "idp:", displayName: "Staff account", client: { id: clientID } }],
      clients: [
        { id: "shop", name: "The shop", redirectURIs: ["https://shop.example.com/callback"], audiences, scopes: ["openid", "orders.read", "orders.write"] },
        { id: "tv", name: "The television", audiences, scopes: ["orders.read"], device: { codePrefix: "TV" } },
      ],
    },
  });
  return `${world.tokenServers[0]}/${name}`;
}

flow("pictures of the login page", async (visit) => {
  const issuer = await staff();
  visit.visits(issuer);
  const query = new URLSearchParams({
    client_id: "shop", redirect_uri: "https://shop.example.com/callback", response_type: "code", scope: "openid orders.read orders.write", state: "s1", code_challenge_method: "S256",
    code_challenge: createHash("sha256").update(randomBytes(32).toString("base64url")).digest("base64url"),
  });
  const open = async (options) => {
    const page = await (await visit.context(options)).newPage();
    await until("the token service knows the issuer", async () => (await page.goto(`${issuer}/authorize?${query}`)).ok() || undefined);
    await seen(page.getByRole("button", { name: "Staff account" }));
    return page;
  };
  const signIn = async (page) => {
    await page.getByLabel("User name").fill("jane");
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
  };
  const page = await open({ viewport: { width: 800, height: 640 } });
  await shoot(page, "login-page");
  await signIn(page);
  await seen(page.getByRole("button", { name: "Allow" }));
  await shoot(page, "login-consent", { fullPage: true });
  const begun = await page.request.post(`${issuer}/device_authorization`, { form: { client_id: "tv" } });
  await page.goto((await begun.json()).verification_uri_complete);
  await signIn(page);
  await page.getByRole("button", { name: "Continue" }).click();
  await seen(page.getByRole("button", { name: "Allow" }));
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await visit.accessible(page, `page about a device, ${colorScheme}`);
  }
  await shoot(page, "login-device", { fullPage: true });
  await shoot(await open({ viewport: { width: 390, height: 720 }, colorScheme: "dark" }), "login-narrow-dark");
}, { alone: true });

register();
