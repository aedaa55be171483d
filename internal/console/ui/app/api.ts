// The requests of the page. An answer that is not 2xx is thrown as a Refusal.
import { signal } from "@preact/signals";
import { AutomaticHeader } from "./wire";
import { base } from "./router";
import type * as wire from "./wire";
import { t } from "../text";

/** A request that the server, or the API server behind it, refused. */
export class Refusal extends Error {
  readonly failure: wire.Failure;
  constructor(failure: wire.Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** The Failure of anything that was thrown. */
export function failureOf(error: unknown): wire.Failure {
  if (error instanceof Refusal) return error.failure;
  return { code: 0, message: error instanceof Error ? error.message : String(error) };
}

/** Copies a text, or throws a Refusal. A text that comes later must be a promise: Safari copies only what a click began. */
export async function copyText(text: string | Promise<string>): Promise<void> {
  try {
    if (typeof text === "string" || !("ClipboardItem" in window)) await navigator.clipboard.writeText(await text);
    else await navigator.clipboard.write([new ClipboardItem({ "text/plain": text.then((found) => new Blob([found], { type: "text/plain" })) })]);
  } catch {
    // Why the text did not come says more.
    await text;
    throw new Refusal({ code: 0, message: t.failures.copy });
  }
}

/** When the server last had a request of the person: a session without one ends. */
export const lastRequest = signal(Date.now());

export interface How {
  stop?: AbortSignal;
  /** The page asks by itself: that keeps no session alive. */
  automatic?: boolean | undefined;
}

let ended: () => void = () => undefined;

/** Calls f when the server says that the session is over. */
export function onSessionEnd(f: () => void): void {
  ended = f;
}

async function request<T>(method: string, path: string, body?: unknown, { stop, automatic }: How = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(new URL(path, base), {
      method,
      redirect: "error",
      headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...(automatic ? { [AutomaticHeader]: "true" } : {}) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(stop ? { signal: stop } : {}),
    });
  } catch (error) {
    if (stop?.aborted) throw error;
    throw new Refusal({ code: 0, reason: "Unreachable", message: t.failures.unreachable });
  }
  if (!automatic) lastRequest.value = Date.now();
  const content: unknown = await answer.json().catch(() => undefined);
  if (answer.ok) return content as T;
  const had = content as Partial<wire.Failure> | undefined;
  const failure: wire.Failure = { code: answer.status, message: t.failures.status(answer.status), ...had };
  if (answer.status === 401 && path !== "api/login") ended();
  throw new Refusal(failure);
}

/** The path of a key's routes. */
export function keyPath(ns: string, name?: string): string {
  return `api/keys/${encodeURIComponent(ns)}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

export function issuerPath(name: string): string {
  return `api/issuers/${encodeURIComponent(name)}`;
}

export const api = {
  get: <T>(path: string, how?: How) => request<T>("GET", path, undefined, how),
  post: <T>(path: string, body: unknown, how?: How) => request<T>("POST", path, body, how),
  patch: <T>(path: string, body: unknown) => request<T>("PATCH", path, body),
  delete: <T>(path: string, body: unknown) => request<T>("DELETE", path, body),
};
