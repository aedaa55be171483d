// The namespace that the page shows; empty for all.
import { effect, signal } from "@preact/signals";
import type * as wire from "./wire";
import { api } from "./api";
import { current, match, setQuery } from "./router";
import { me, signedIn } from "./me";

export const namespace = signal(new URLSearchParams(location.search).get("ns") ?? "");

/** The namespaces that the person may list; undefined if they may not. */
export const namespaces = signal<string[] | undefined>(undefined);

/** The pages whose rows the switch selects. */
const lists = ["keys", "sessions"];

export function isList(path: string): boolean {
  return lists.includes(path);
}

export function switchNamespace(to: string): void {
  namespace.value = to;
  if (isList(current.peek().path)) setQuery({ ns: to || undefined, page: undefined }, { replace: false });
}

export function startScope(): void {
  let asked = false;
  effect(() => {
    const { path, query } = current.value;
    const ns = query.get("ns");
    if (isList(path) && ns !== null) namespace.value = ns;
    const key = match("keys/:ns/:name", path);
    // The stream must cover the key that is shown.
    if (key?.["ns"] && namespace.peek() !== "" && namespace.peek() !== key["ns"]) namespace.value = key["ns"];
  });
  effect(() => {
    if (!signedIn.value) {
      asked = false;
      return;
    }
    if (asked) return;
    asked = true;
    const first = me.peek()?.namespace;
    if (first && namespace.peek() === "" && !current.peek().query.has("ns") && match("keys/:ns/:name", current.peek().path) === undefined) namespace.value = first;
    api
      .get<wire.Namespaces>("api/namespaces")
      .then((answer) => (namespaces.value = answer.names))
      .catch(() => (namespaces.value = undefined));
  });
}
