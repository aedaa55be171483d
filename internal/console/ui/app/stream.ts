// The stream of changes: one connection, closed while the tab is hidden and resumed from where it was.
import { effect, signal, untracked } from "@preact/signals";
import type * as wire from "./wire";
import { forgetAnswers } from "./can";
import { issuers, keys } from "./store";
import { endSession, loadMe, me, signedIn } from "./me";
import { base } from "./router";
import { namespace } from "./scope";
import { share, type Shared } from "./share";
import { t } from "../text";

export type State = "off" | "connecting" | "live" | "away";

/** The state of the stream, and since when. */
export const stream = signal<{ state: State; since: number }>({ state: "off", since: Date.now() });

/** So many rows are too many to hold: the page asks for a namespace. */
const most = 20_000;
/** The names that a namespace can have. */
const label = /^[a-z\d]([-a-z\d]{0,61}[a-z\d])?$/;

const names = ["put", "del", "synced", "reset", "bye"] as const;
/** away comes from another tab only. */
type Name = (typeof names)[number] | "away";

let source: EventSource | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;
let failures = 0;
let lastID = "";
let kinds = new Set(["keys", "issuers"]);
let shared: Shared | undefined;

function become(state: State, since = Date.now()): void {
  if (stream.peek().state === state) return;
  stream.value = { state, since };
  if (state === "away") shared?.send(state, `${since}`);
}

/** Takes one event of the stream, also from the tab that has the connection. */
function take(name: Name, data: string): void {
  const content: unknown = JSON.parse(data || "{}");
  switch (name) {
    case "reset":
      keys.reset();
      issuers.reset();
      return;
    case "put": {
      const put = content as wire.Put;
      if (put.keys) keys.put(put.keys);
      if (put.issuers) issuers.put(put.issuers);
      if (keys.byUID.size >= most && namespace.peek() === "") {
        close();
        giveUpKeys("TooMany", t.keys.tooMany.text);
        begin();
      }
      return;
    }
    case "del": {
      const del = content as wire.Del;
      if (del.keys) keys.del(del.keys);
      if (del.issuers) issuers.del(del.issuers);
      return;
    }
    case "synced":
      failures = 0;
      if (kinds.has("keys")) keys.synced();
      if (kinds.has("issuers")) issuers.synced();
      become("live");
      return;
    case "away":
      become("away", content as number);
      return;
    case "bye":
      bye(content as wire.Bye);
  }
}

function bye({ reason, kind, failure }: wire.Bye): void {
  close();
  switch (reason) {
    case "expired":
      endSession();
      return;
    case "renewed":
      begin();
      return;
    case "forbidden":
    case "missing":
      // An API server that has just started refuses for a moment what it granted before.
      if (failures < 4 && (kind === "issuers" ? issuers : keys).complete.peek()) {
        later();
        return;
      }
      for (const [name, rows] of [["keys", keys], ["issuers", issuers]] as const) {
        if (kind && kind !== name) continue;
        rows.refuse({ ...failure, reason: reason === "missing" ? "Missing" : (failure.reason ?? "Forbidden") });
        kinds.delete(name);
      }
      begin();
      return;
    default:
      later();
  }
}

/** Shows a reason in place of the keys; the stream goes on with the issuers. */
function giveUpKeys(reason: string, message: string): void {
  keys.refuse({ code: 0, reason, message });
  kinds.delete("keys");
  lastID = "";
}

function later(): void {
  become("away");
  clearTimeout(retry);
  // The wait grows to half a minute, and differs from tab to tab.
  const wait = Math.min(30_000, 1000 * 2 ** failures++) * (0.75 + Math.random() / 2);
  retry = setTimeout(() => {
    // A session that ended answers 401 here, which no EventSource tells.
    void loadMe(true).then(begin);
  }, wait);
}

function address(): URL {
  const url = new URL("api/stream", base);
  if (kinds.has("keys") && namespace.peek()) url.searchParams.set("ns", namespace.peek());
  url.searchParams.set("kind", [...kinds].join(","));
  if (lastID) url.searchParams.set("after", lastID);
  return url;
}

function open(): void {
  closeSource();
  const to = new EventSource(address());
  source = to;
  to.onopen = () => {
    keys.resumed();
    issuers.resumed();
    if (lastID && keys.complete.peek()) become("live");
  };
  for (const name of names) {
    to.addEventListener(name, (event: MessageEvent<string>) => {
      if (source !== to) return;
      // What a reset begins cannot be resumed until it is complete.
      if (event.lastEventId || name === "reset") lastID = event.lastEventId;
      take(name, event.data);
      shared?.send(name, event.data);
    });
  }
  to.onerror = () => {
    if (source !== to) return;
    if (to.readyState === EventSource.CLOSED) {
      closeSource();
      later();
    } else become("away");
  };
}

function closeSource(): void {
  source?.close();
  source = undefined;
}

function close(): void {
  clearTimeout(retry);
  closeSource();
  shared?.release();
}

/** What another tab must hear to show what this one shows. */
function told(): [Name, string][] {
  const { state, since } = stream.peek();
  const complete = (kinds.has("keys") ? keys : issuers).complete.peek();
  return [
    ["reset", "{}"],
    ["put", JSON.stringify({ keys: keys.told(), issuers: issuers.told() } satisfies wire.Put)],
    ...(complete ? [["synced", "{}"] satisfies [Name, string]] : []),
    ...(state === "away" ? [["away", `${since}`] satisfies [Name, string]] : []),
  ];
}

/** Opens the stream here, or follows another tab that has it. */
function begin(): void {
  if (document.hidden || !signedIn.peek()) return;
  if (kinds.size === 0) {
    become("off");
    return;
  }
  if (stream.peek().state !== "away") become("connecting");
  if (!me.peek()?.sharedStream) {
    open();
    return;
  }
  shared ??= share((name, data) => take(name as Name, data));
  shared.join(`${namespace.peek()}-${[...kinds].join()}`, open, told);
}

/** Asks again for what was refused. */
export function retryStream(): void {
  close();
  failures = 0;
  lastID = "";
  kinds = new Set(["keys", "issuers"]);
  const ns = namespace.peek();
  if (ns && !label.test(ns)) giveUpKeys("NoName", t.keys.noName(ns));
  begin();
}

export function startStream(): void {
  effect(() => {
    const inside = signedIn.value;
    // Another namespace is another stream.
    void namespace.value;
    untracked(() => {
      keys.clear();
      retryStream();
      if (inside) return;
      issuers.clear();
      forgetAnswers();
      become("off");
    });
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else begin();
  });
}
