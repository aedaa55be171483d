// The cluster of the suite: requests to its API server as the administrator, people with rights, keys, and the token service.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";
import { promisify } from "node:util";
import { createGzip } from "node:zlib";

export const world = JSON.parse(readFileSync(process.env.CONSOLE_WORLD, "utf8"));

const authority = readFileSync(world.authority);
// A handshake costs more than a request: connections are few, and stay.
const kept = { keepAlive: true, maxSockets: 16 };
const agent = new https.Agent({ ...kept, ca: authority, cert: readFileSync(world.certificate), key: readFileSync(world.key) });
const anonymous = new https.Agent({ ...kept, ca: authority });
const tokenService = new https.Agent({ ...kept, rejectUnauthorized: false });

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

/** The text that the API server answers the administrator with. */
export const kubeText = async (path) => (await request(world.apiServer + path, { method: "GET", agent })).text;

/** Reads a stream of a console until it has told all that exists: the bytes of its connection, and of the events if they were compressed. */
export function readStream(url, cookie) {
  return new Promise((resolve, reject) => {
    const zip = createGzip();
    let zipped = 0;
    zip.on("data", (part) => (zipped += part.length));
    const sent = https.get(url, { agent: false, rejectUnauthorized: false, headers: { Cookie: cookie, "Accept-Encoding": "gzip" } }, (answer) => {
      let tail = "";
      answer.setEncoding("utf8");
      answer.on("data", (part) => {
        zip.write(part);
        tail = tail.slice(-100) + part;
        if (!tail.includes("event: synced")) return;
        const wire = answer.socket.bytesRead;
        zip.end(() => resolve({ wire, zipped, encoding: answer.headers["content-encoding"], close: () => sent.destroy() }));
      });
      answer.on("error", () => undefined);
    });
    sent.on("error", reject);
  });
}

/** Returns what asks the API server with a credential; an answer that is not 2xx is an error with the code. */
const client = (credential, authorization = {}) => async (method, path, body, type = method === "PATCH" ? "application/merge-patch+json" : "application/json") => {
  const headers = { Accept: "application/json", ...authorization, ...(body === undefined ? {} : { "Content-Type": type }) };
  const { status, text } = await request(world.apiServer + path, { method, headers, agent: credential, body: typeof body === "object" ? JSON.stringify(body) : body });
  if (status >= 300) throw Object.assign(new Error(`${method} ${path}: ${status} ${text}`), { status });
  return text ? JSON.parse(text) : undefined;
};

/** Asks the API server as the administrator. */
export const kube = client(agent);

/** Asks the API server as a ServiceAccount. */
export async function kubeAs(ns, account) {
  const { status } = await kube("POST", `/api/v1/namespaces/${ns}/serviceaccounts/${account}/token`, { spec: { expirationSeconds: 3600 } });
  return client(anonymous, { Authorization: `Bearer ${status.token}` });
}

export async function kubectl(...args) {
  const { stdout } = await promisify(execFile)(world.kubectl, [`--kubeconfig=${world.kubeconfig}`, ...args]);
  return stdout;
}

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Repeats f, less often with time, until it answers with something, or returns without an error. */
export async function until(what, f, within = 20_000) {
  const end = performance.now() + within;
  let last;
  for (let wait = 30; ; wait = Math.min(400, wait * 1.3)) {
    try {
      const answer = await f();
      if (answer !== false && answer !== undefined) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`not within ${within / 1000} s: ${what}${last ? `: ${last.message}` : ""}`);
    await after(wait);
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
    const { status } = await request(`${world.apiServer}/api`, { method: "GET", agent: anonymous, headers: { Authorization: `Bearer ${token}` } });
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

const watchers = new Set();
let watching;

/** Tells the watchers the names of keys that change, from one watch of all keys, which is opened again when it ends. */
function watchKeys() {
  watching ??= new Promise((begun) => {
    const open = () => {
      const again = () => setTimeout(open, 200).unref();
      const sent = https.get(`${world.apiServer}${group}/jwtrefreshkeys?watch=1&resourceVersion=0`, { agent: new https.Agent({ ...agent.options, keepAlive: false }) }, (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (part) => {
          const lines = (text + part).split("\n");
          text = lines.pop();
          for (const line of lines) {
            // An API server that starts answers with a Status.
            const { object } = JSON.parse(line);
            for (const tell of watchers) tell(`${object?.metadata?.namespace}/${object?.metadata?.name}`);
          }
        });
        answer.on("error", () => undefined).on("close", again);
        // It keeps no process from its end.
        answer.socket.unref();
        begun();
      });
      sent.on("error", again);
    };
    open();
  });
  return watching;
}

/** Waits until the key is as wanted; by default, ready. */
export async function awaitKey(ns, name, wanted = (key) => readyOf(key)?.status === "True", within = 30_000) {
  await watchKeys();
  let changed = () => undefined;
  const tell = (of) => of === `${ns}/${name}` && changed();
  watchers.add(tell);
  try {
    return await until(`${ns}/${name} is as expected`, async () => {
      // Before the request: a change during it counts. A watch that is opened again can miss one.
      const next = Promise.race([new Promise((resolve) => (changed = resolve)), after(1000)]);
      const key = await kube("GET", keyPath(ns, name));
      if (wanted(key)) return key;
      await next;
      return undefined;
    }, within);
  } finally {
    watchers.delete(tell);
  }
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
    agent: tokenService,
    headers: { "Content-Type": "application/x-www-form-urlencoded", "User-Agent": userAgent },
    body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: token }).toString(),
  });
  const answer = JSON.parse(text);
  for (const name of ["access_token", "refresh_token"]) if (answer[name]) secrets.add(answer[name]);
  return { status, ...answer };
}

/** Exchanges a token that proves a subject for a session at an issuer, and returns the tokens of the session. */
export async function logIn(issuer, { token, type, audience, userAgent = "test" }) {
  const answer = await request(`${issuer}/token`, {
    method: "POST",
    agent: tokenService,
    headers: { "Content-Type": "application/x-www-form-urlencoded", "User-Agent": userAgent },
    body: new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", client_id: "till", subject_token: token, subject_token_type: `urn:ietf:params:oauth:token-type:${type}`, audience }).toString(),
  });
  assert.equal(answer.status, 200, answer.text);
  const tokens = JSON.parse(answer.text);
  secrets.add(tokens.access_token).add(tokens.refresh_token);
  return tokens;
}

/** A session of a ServiceAccount at the token service, and its tokens. */
export async function session(ns, account, { userAgent } = {}) {
  await kube("POST", `/api/v1/namespaces/${ns}/serviceaccounts`, { metadata: { name: account } }).catch((error) => assert.equal(error.status, 409, error.message));
  const [issuer] = world.tokenServers;
  const { status } = await kube("POST", `/api/v1/namespaces/${ns}/serviceaccounts/${account}/token`, { spec: { audiences: [issuer] } });
  return logIn(issuer, { token: status.token, type: "jwt", audience: "https://orders.example.com", userAgent });
}

/** Asks the program that runs the processes to stop, kill, start or open one. */
export async function control(process, what) {
  const answer = await fetch(`${world.control}/${process}/${what}`, { method: "POST" });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return text;
}
