// The cluster of the suite: requests to its API server as the administrator, people with rights, keys, and the token service.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";
import { promisify } from "node:util";

export const world = JSON.parse(readFileSync(process.env.CONSOLE_WORLD, "utf8"));

const agent = new https.Agent({
  keepAlive: true,
  ca: readFileSync(world.authority),
  cert: readFileSync(world.certificate),
  key: readFileSync(world.key),
});

/** The people's tokens, which must be on no page. */
export const secrets = new Set();

function request(url, { method, headers, body, ...options }) {
  return new Promise((resolve, reject) => {
    const sent = https.request(url, { method, headers, ...options }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part) => (text += part));
      answer.on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Asks the API server as the administrator; an answer that is not 2xx is an error with the code. */
export async function kube(method, path, body, type = method === "PATCH" ? "application/merge-patch+json" : "application/json") {
  const headers = { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": type }) };
  const { status, text } = await request(world.apiServer + path, { method, headers, agent, body: typeof body === "object" ? JSON.stringify(body) : body });
  if (status >= 300) throw Object.assign(new Error(`${method} ${path}: ${status} ${text}`), { status });
  return text ? JSON.parse(text) : undefined;
}

export async function kubectl(...args) {
  const { stdout } = await promisify(execFile)(world.kubectl, [`--kubeconfig=${world.kubeconfig}`, ...args]);
  return stdout;
}

/** Repeats f until it answers with something, or returns without an error. */
export async function until(what, f, within = 20_000) {
  const end = performance.now() + within;
  let last;
  for (;;) {
    try {
      const answer = await f();
      if (answer !== false && answer !== undefined) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`not within ${within / 1000} s: ${what}${last ? `: ${last.message}` : ""}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const unique = (stem) => `${stem}-${randomBytes(3).toString("hex")}`;

export async function namespace(stem, labels = {}) {
  const name = unique(stem);
  await kube("POST", "/api/v1/namespaces", { metadata: { name, labels } });
  return name;
}

const rbac = "/apis/rbac.authorization.k8s.io/v1";
let people;

/** A ServiceAccount with rights, which stands for a person, and its token. role is a ClusterRole; with ns it is bound there only. */
export async function person({ role = "refreshkeys-editor", ns = "", rules = [], home, name = unique("person") } = {}) {
  people ??= namespace("people");
  home ??= await people;
  await kube("POST", `/api/v1/namespaces/${home}/serviceaccounts`, { metadata: { name } });
  const subjects = [{ kind: "ServiceAccount", namespace: home, name }];
  const bind = (to, where) => {
    const [kind, path] = where ? ["RoleBinding", `${rbac}/namespaces/${where}/rolebindings`] : ["ClusterRoleBinding", `${rbac}/clusterrolebindings`];
    return kube("POST", path, { kind, apiVersion: "rbac.authorization.k8s.io/v1", metadata: { name: unique(name) }, subjects, roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: to } });
  };
  if (role) await bind(role, ns);
  if (rules.length > 0) {
    await kube("POST", `${rbac}/clusterroles`, { metadata: { name }, rules });
    await bind(name, "");
  }
  const { status } = await kube("POST", `/api/v1/namespaces/${home}/serviceaccounts/${name}/token`, { spec: { expirationSeconds: 3600 } });
  secrets.add(status.token);
  return { name, home, token: status.token, user: `system:serviceaccount:${home}:${name}` };
}

/** Ends a person's token, and waits until the API server, which remembers tokens for ten seconds, refuses it. */
export async function endCredential({ home, name, token }) {
  await kube("DELETE", `/api/v1/namespaces/${home}/serviceaccounts/${name}`);
  await until(`the token of ${name} is refused`, async () => {
    const { status } = await request(`${world.apiServer}/api`, { method: "GET", ca: readFileSync(world.authority), headers: { Authorization: `Bearer ${token}` } });
    return status === 401 || undefined;
  });
}

// The labels of a namespace are what a policy selects by.
export const listNamespaces = [{ apiGroups: [""], resources: ["namespaces"], verbs: ["get", "list"] }];
export const getSecrets = [{ apiGroups: [""], resources: ["secrets"], verbs: ["get"] }];
export const readEvents = [{ apiGroups: ["", "events.k8s.io"], resources: ["events"], verbs: ["list"] }];

let shared;

/** A person who may do all that the console offers; one for all tests that do not end the session. */
export function editor() {
  shared ??= person({ role: "refreshkeys-admin", rules: [...listNamespaces, ...getSecrets, ...readEvents] });
  return shared;
}

const group = "/apis/jwt.refreshkeys.dev/v1alpha1";
export const keyPath = (ns, name = "") => `${group}/namespaces/${ns}/jwtrefreshkeys${name && `/${name}`}`;
export const issuerPath = (name = "") => `${group}/jwtissuers${name && `/${name}`}`;

export function createKey(ns, name, spec = {}, metadata = {}) {
  return kube("POST", keyPath(ns), { apiVersion: "jwt.refreshkeys.dev/v1alpha1", kind: "JWTRefreshKey", metadata: { name, ...metadata }, spec: { audience: `https://${name}.example.com`, ...spec } });
}

export const readyOf = (object) => object.status?.conditions?.find(({ type }) => type === "Ready");

/** Waits until the key is as test wants it; by default, ready. */
export function awaitKey(ns, name, wanted = (key) => readyOf(key)?.status === "True", within = 30_000) {
  return until(`${ns}/${name} is as expected`, async () => {
    const key = await kube("GET", keyPath(ns, name));
    return wanted(key) ? key : undefined;
  }, within);
}

export async function createIssuer(stem, spec = {}) {
  const name = unique(stem);
  await kube("POST", issuerPath(), { apiVersion: "jwt.refreshkeys.dev/v1alpha1", kind: "JWTIssuer", metadata: { name }, spec: { url: `${world.tokenServers[0]}/${name}`, ...spec } });
  await until(`issuer ${name} is ready`, async () => readyOf(await kube("GET", issuerPath(name)))?.status === "True" || undefined, 60_000);
  return name;
}

/** The token in the Secret of a key. */
export async function tokenOf(ns, name) {
  const { data } = await kube("GET", `/api/v1/namespaces/${ns}/secrets/${name}`);
  const token = Buffer.from(data.token ?? "", "base64").toString();
  if (token) secrets.add(token);
  return token;
}

/** Exchanges a refresh token at a replica, from 0. */
export async function exchange(token, replica = 0, { userAgent = "test", path = "" } = {}) {
  const { status, text } = await request(`${world.tokenServers[replica]}${path}/token`, {
    method: "POST",
    rejectUnauthorized: false,
    headers: { "Content-Type": "application/x-www-form-urlencoded", "User-Agent": userAgent },
    body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: token }).toString(),
  });
  const answer = JSON.parse(text);
  for (const name of ["access_token", "refresh_token"]) if (answer[name]) secrets.add(answer[name]);
  return { status, ...answer };
}

/** A session of a ServiceAccount at the token service, and its tokens. */
export async function session(ns, account, { userAgent = "test" } = {}) {
  await kube("POST", `/api/v1/namespaces/${ns}/serviceaccounts`, { metadata: { name: account } }).catch((error) => assert.equal(error.status, 409, error.message));
  const [issuer] = world.tokenServers;
  const { status } = await kube("POST", `/api/v1/namespaces/${ns}/serviceaccounts/${account}/token`, { spec: { audiences: [issuer] } });
  const answer = await request(`${issuer}/token`, {
    method: "POST",
    rejectUnauthorized: false,
    headers: { "Content-Type": "application/x-www-form-urlencoded", "User-Agent": userAgent },
    body: new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", client_id: "till", subject_token: status.token, subject_token_type: "urn:ietf:params:oauth:token-type:jwt", audience: "https://orders.example.com" }).toString(),
  });
  assert.equal(answer.status, 200, answer.text);
  const tokens = JSON.parse(answer.text);
  secrets.add(tokens.access_token).add(tokens.refresh_token);
  return tokens;
}

export async function control(process, what) {
  const answer = await fetch(`${world.control}/${process}/${what}`, { method: "POST" });
  assert.equal(answer.status, 200, await answer.text());
}
