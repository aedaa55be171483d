// The router: the URL below the base path is the state of what is shown.
import { computed, signal } from "@preact/signals";

export interface Location {
  /** The path below the base, such as keys/shop/orders. */
  path: string;
  query: URLSearchParams;
}

/** The URL below which the console is served: that of its script. */
export const base = new URL(".", import.meta.url);

function here(): Location {
  const path = location.pathname.startsWith(base.pathname) ? location.pathname.slice(base.pathname.length) : location.pathname.slice(1);
  return { path: path.replace(/\/+$/, ""), query: new URLSearchParams(location.search) };
}

export const current = signal<Location>(here());
export const path = computed(() => current.value.path);

/** A number that grows with each navigation to another page: the heading takes the focus then. */
export const visits = signal(0);

/** A question that is asked before an unsaved form is left: undefined lets the person go. */
let leaving: (() => string | undefined) | undefined;

export function askBeforeLeaving(question: (() => string | undefined) | undefined): void {
  leaving = question;
}

function mayLeave(): boolean {
  const question = leaving?.();
  return question === undefined || confirm(question);
}

/** Shows a page: to is relative to the base, such as keys?ns=shop. */
export function go(to: string, how: { replace?: boolean } = {}): void {
  const url = new URL(to, base);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return;
  const before = current.peek().path;
  const other = url.pathname !== location.pathname;
  if (other && !mayLeave()) return;
  if (how.replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  current.value = here();
  if (other && before !== current.peek().path) {
    leaving = undefined;
    scrollTo(0, 0);
    visits.value++;
  }
}

/** Changes parameters of the URL; an empty value removes one. */
export function setQuery(changes: Record<string, string | undefined>, how: { replace?: boolean } = { replace: true }): void {
  const query = new URLSearchParams(current.peek().query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  go(addressOf(current.peek().path, query), how);
}

function addressOf(path: string, query: URLSearchParams): string {
  const text = query.toString();
  return path + (text ? `?${text}` : "");
}

/** A link to a page, with parameters. */
export function link(to: string, query: Record<string, string | undefined> = {}): string {
  const text = new URLSearchParams(Object.entries(query).filter((pair): pair is [string, string] => !!pair[1])).toString();
  return base.pathname + to.split("/").map(encodeURIComponent).join("/") + (text ? `?${text}` : "");
}

/** The path to return to after a sign-in: /keys?ns=shop. The page of the sign-in has it in its query after a failure. */
export function returnPath(): string {
  const { path: at, query } = current.peek();
  return at === "signin" ? (query.get("return") ?? "/keys") : `/${addressOf(at, query)}`;
}

/** Matches a path with a pattern such as keys/:ns/:name. */
export function match(pattern: string, at: string): Record<string, string> | undefined {
  const want = pattern.split("/");
  const have = at.split("/");
  if (want.length !== have.length) return undefined;
  const found: Record<string, string> = {};
  for (const [i, part] of want.entries()) {
    const text = have[i] ?? "";
    if (part.startsWith(":")) {
      try {
        found[part.slice(1)] = decodeURIComponent(text);
      } catch {
        return undefined;
      }
    } else if (part !== text) return undefined;
  }
  return found;
}

/** Follows the links of the page, and the browser's back and forward. */
export function startRouter(): void {
  addEventListener("popstate", () => {
    const { path, query } = current.peek();
    const to = here();
    if (path !== to.path && !mayLeave()) {
      // The browser has moved already: the page that stays is put back after the one it moved to.
      history.pushState(null, "", new URL(addressOf(path, query), base));
      return;
    }
    current.value = to;
    if (path !== to.path) visits.value++;
  });
  addEventListener("beforeunload", (event) => {
    if (leaving?.() !== undefined) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const a = (event.target as Element).closest?.("a[href]");
    if (!(a instanceof HTMLAnchorElement) || a.target || a.download || a.dataset["outside"] !== undefined) return;
    const url = new URL(a.href);
    if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return;
    event.preventDefault();
    if (a.getAttribute("href")?.startsWith("#")) {
      document.getElementById(url.hash.slice(1))?.scrollIntoView();
      return;
    }
    go(url.href);
  });
}
