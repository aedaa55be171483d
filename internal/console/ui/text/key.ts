// The text of a key's page and of its dialogs.
export const key = {
  loading: "Loading the key…",
  manifest: "Manifest",
  revokedBy: (reason: string) => reason,
  restored: (name: string) => `${name} is restored: the operator issues a new token.`,
  mayNot: (verb: string, ns: string) => `You may not ${verb} jwtrefreshkeys in ${ns}.`,
};
