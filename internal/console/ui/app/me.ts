// Who is signed in, and until when.
import { computed, signal } from "@preact/signals";
import type * as wire from "./wire";
import { api, lastRequest, onSessionEnd, failureOf } from "./api";
import { now } from "./clock";
import { base, current, go, returnPath, setQuery } from "./router";

/** The answer of api/me; undefined until it came. */
export const me = signal<wire.Me | undefined>(undefined);

/** Why api/me could not be asked. */
export const meFailure = signal<wire.Failure | undefined>(undefined);

/** The session ended while the page was open: the page waits behind the sign-in. out: the person signed out in another tab. */
export const interrupted = signal<"ended" | "out" | undefined>(undefined);

export const signedIn = computed(() => me.value?.signedIn === true);

/** The person whose data this page has had. */
let owner: string | undefined;

export async function loadMe(automatic?: boolean): Promise<void> {
  try {
    const who = await api.get<wire.Me>("api/me", { automatic });
    const before = me.peek();
    meFailure.value = undefined;
    if (who.signedIn) {
      owner ??= who.user;
      if (who.user !== owner) {
        // Another person begins with a new page: nothing of the first is in its memory.
        if (before) me.value = { signedIn: false, ways: before.ways };
        interrupted.value = "out";
        location.replace(base);
        return;
      }
      interrupted.value = undefined;
      if (!before?.signedIn) announce?.postMessage("in");
    } else if (before?.signedIn) interrupted.value ??= "ended";
    me.value = who;
  } catch (error) {
    meFailure.value = failureOf(error);
  }
}

export async function signIn(login: wire.Login): Promise<void> {
  await api.post("api/login", login);
  await loadMe();
  if (current.peek().path === "signin") go(returnPath().slice(1), { replace: true });
}

export async function signOut(): Promise<void> {
  const answer = await api.post<wire.LoggedOut>("api/logout", {});
  const before = me.peek();
  if (before) me.value = { signedIn: false, ways: before.ways };
  forgetForm();
  announce?.postMessage("out");
  if (answer.location) location.assign(answer.location);
}

/** A form that is not saved is for no other person. */
export function forgetForm(): void {
  if (current.peek().query.has("form")) setQuery({ form: undefined });
}

/** Returns a number that stands for the name of the person. It marks the form in the URL: the next person must not see the name. */
export function mark(): string {
  let sum = 0;
  for (const c of me.peek()?.user ?? owner ?? "") sum = (sum * 31 + (c.codePointAt(0) ?? 0)) | 0;
  return sum.toString(36);
}

/** The session is over: what is open stays, behind the sign-in. */
export function endSession(why: "ended" | "out" = "ended"): void {
  const before = me.peek();
  if (!before?.signedIn) return;
  interrupted.value = why;
  if (why === "out") forgetForm();
  me.value = { signedIn: false, ways: before.ways };
  void loadMe(true);
}

onSessionEnd(() => endSession());

// The session is that of all tabs: a sign-out ends it for each, and after a sign-in each asks who it is.
const announce = "BroadcastChannel" in window ? new BroadcastChannel("refreshkeys-session") : undefined;
if (announce) announce.onmessage = ({ data }) => (data === "out" ? endSession("out") : void loadMe(true));

/** When the session ends if the person does nothing, and whether a request puts that off. */
export const ends = computed<{ at: number; idle: boolean } | undefined>(() => {
  const who = me.value;
  if (!who?.signedIn) return undefined;
  const until = who.until ? Date.parse(who.until) : Infinity;
  const idle = who.idleSeconds ? lastRequest.value + who.idleSeconds * 1000 : Infinity;
  const at = Math.min(until, idle);
  return Number.isFinite(at) ? { at, idle: idle < until } : undefined;
});

/** The end of the session is less than five minutes away. */
export const endsSoon = computed(() => {
  const end = ends.value;
  return end !== undefined && end.at - now.value < 5 * 60_000 ? end : undefined;
});
