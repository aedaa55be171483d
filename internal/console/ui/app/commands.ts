// The commands that do what the buttons do.

/** Puts a value into quotes for a shell, if it needs them. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The commands that do the same to each key, one below the other. */
export function forEach(what: "revoke" | "rotate", rows: readonly { ns: string; name: string }[]): string {
  return rows.map(({ ns, name }) => commands[what](ns, name)).join("\n");
}

export const commands = {
  describe: (ns: string, name: string) => `kubectl refreshkey describe ${name} -n ${ns}`,
  rotate: (ns: string, name: string) => `kubectl refreshkey rotate ${name} -n ${ns} --wait`,
  rotateNow: (ns: string, name: string) => `kubectl refreshkey rotate ${name} -n ${ns} --now --wait`,
  revoke: (ns: string, name: string) => `kubectl refreshkey revoke ${name} -n ${ns} --wait`,
  note: (ns: string, name: string, note: string) => `kubectl annotate jrk ${name} -n ${ns} --overwrite jwt.refreshkeys.dev/revocation-note=${quote(note)}`,
  restore: (ns: string, name: string) => `kubectl patch jrk ${name} -n ${ns} --type merge -p '{"spec":{"revoked":false}}'`,
  delete: (ns: string, name: string) => `kubectl delete jrk ${name} -n ${ns}`,
  yaml: (ns: string, name: string) => `kubectl get jrk ${name} -n ${ns} -o yaml`,
  /** The person signs in with kubectl refreshkey login before. Its session is another one, so that --others would end that of the console. */
  endOwn: (...which: string[]) => `kubectl refreshkey sessions end ${which.join(" ")}`,
  token: (ns: string, secret: string) => `kubectl get secret ${secret} -n ${ns} -o jsonpath='{.data.token}' | base64 -d`,
};
