// The local console: its URL has a code in the fragment that is exchanged for the cookie, once.
import { signal } from "@preact/signals";
import type * as wire from "./wire";
import { api, failureOf } from "./api";

/** Why the code was refused. */
export const codeFailure = signal<wire.Failure | undefined>(undefined);

/** Takes the code out of the URL first, so that it is in no history, and signs in with it. */
export async function takeCode(): Promise<void> {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    await api.post("api/login", { code } satisfies wire.Login);
  } catch (error) {
    codeFailure.value = failureOf(error);
  }
}
