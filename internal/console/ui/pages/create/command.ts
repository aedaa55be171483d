// The commands that do what Save does.
import { quote } from "../../app/commands";
import { specOf, type Draft } from "./draft";

type Tree = { [name: string]: unknown };

const flags: Record<string, string> = {
  audience: "audience",
  lifetime: "lifetime",
  expiresAt: "expires-at",
  "issuerRef.name": "issuer",
  subject: "subject",
  "rotation.mode": "mode",
  "accessToken.lifetime": "access-token-lifetime",
  idleTimeout: "idle-timeout",
  "secret.name": "secret",
  "binding.serviceAccountName": "binding-service-account",
  "binding.jwkThumbprint": "binding-jwk-thumbprint",
};

/** kubectl refreshkey create …; undefined if the manifest has a field without a flag. */
export function createCommand(draft: Draft): string | undefined {
  const found: string[] = [`kubectl refreshkey create ${quote(draft.name || "NAME")}`];
  if (draft.ns) found.push(`-n ${quote(draft.ns)}`);
  const walk = (tree: Tree, path: string): boolean =>
    Object.entries(tree).every(([name, value]) => {
      const here = path + name;
      if (here === "scopes") return found.push(`--scope ${quote((value as string[]).join(","))}`);
      if (here === "claims") {
        for (const [claim, text] of Object.entries(value as Tree)) found.push(`--claim ${quote(typeof text === "string" ? `${claim}=${text}` : `${claim}:=${JSON.stringify(text)}`)}`);
        return true;
      }
      if (here === "secret.mode") return found.push("--secret -");
      const flag = flags[here];
      if (flag) return found.push(`--${flag} ${quote(String(value) || "URL")}`);
      return value !== null && typeof value === "object" && !Array.isArray(value) && walk(value as Tree, `${here}.`);
    });
  return walk(specOf(draft), "") ? found.join(" \\\n  ") : undefined;
}
