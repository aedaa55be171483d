// The namespace that the page shows; empty for all.
import { effect, signal } from "@preact/signals";
import type * as wire from "./wire";
import { api } from "./api";
import { current, link, match, setQuery } from "./router";
import { me, signedIn } from "./me";

export const namespace = signal(new URLSearchParams(location.search).get("ns") ?? "");

/** The namespaces that the person may list; undefined if they may not. */
export const namespaces = signal<string[] | undefined>(undefined);

/** The pages whose rows the switch selects. */
const lists = ["", "keys", "sessions"];

export function isList(path: string): boolean {
  return lists.includes(path);
}

/** The link to a list, in the namespace that is shown. */
export function listLink(to: string): string {
  return link(to, { ns: namespace.value });
}

export function switchNamespace(to: string): void {
  namespace.value = to;
  if (isList(current.peek().path)) setQuery({ ns: to || undefined, page: undefined }, { replace: false });
}

export function startScope(): void {
  let asked = false;
  effect(() => {
    const { path, query } = current.value;
    if (isList(path)) namespace.value = query.get("ns") ?? "";
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
    const { path, query } = current.peek();
    if (first && !query.has("ns")) {
      if (isList(path)) setQuery({ ns: first });
      else if (match("keys/:ns/:name", path) === undefined) namespace.value = first;
    }
    api
      .get<wire.Namespaces>("api/namespaces")
      .then((answer) => (namespaces.value = answer.names))
      .catch(() => (namespaces.value = undefined));
  });
}
