// What can be done with a key of the list.
import type * as wire from "../../app/wire";
import { api, copyText, keyPath } from "../../app/api";
import { can, refusal } from "../../app/can";
import { commands } from "../../app/commands";
import { each } from "../../app/pool";
import { link } from "../../app/router";
import { keys } from "../../app/store";
import type { Item } from "../../parts/Menu";
import { act } from "../../parts/Toast";
import { t } from "../../text";
import { asking } from "./asking";

/** Why the person may not do this with a key. The right can be for all keys of the namespace, or for some by their names. */
export function mayNot(verb: string, { ns, name }: wire.KeyRow): string | undefined {
  const check = { verb, resource: "jwtrefreshkeys", ns };
  const no = refusal(can(check).value) && refusal(can({ ...check, name }).value);
  return no && (no.reason || t.key.mayNot(verb, ns));
}

export const mayChange = (row: wire.KeyRow) => mayNot("patch", row);

const few = 50;

/** The same of each of a few keys. Of many, the names are too many to ask about: the API server decides. */
export function mayChangeEach(rows: readonly wire.KeyRow[]): (string | undefined)[] {
  return rows.map((row) => (rows.length > few ? undefined : mayChange(row)));
}

/** A key that only a rotation brings back: spec does not revoke it. */
export function isOver({ revokedAt, revocationReason }: wire.KeyRow): boolean {
  return revokedAt !== undefined && revocationReason !== "Requested";
}

/** Why no rotation brings a new token, also to a person who may change the key. */
export function noRotation(row: wire.KeyRow): string | undefined {
  return row.session ? t.keys.ofSession : row.revoked ? t.keys.restoreFirst : undefined;
}

export const mayRotate = (row: wire.KeyRow) => mayChange(row) ?? noRotation(row);

export const rotateText = (row: wire.KeyRow) => (isOver(row) ? t.keys.reissue : row.mode === "OneTimeUse" ? t.key.enrol : t.keys.rotate);

export async function change(row: wire.KeyRow, action: string, more: Partial<wire.Change> = {}): Promise<void> {
  const { key } = await api.patch<wire.Changed>(keyPath(row.ns, row.name), { uid: row.uid, action, ...more } satisfies wire.Change);
  if (key) keys.put([key]);
}

export function copyNames(rows: readonly wire.KeyRow[]): void {
  act(() => copyText(rows.map(({ ns, name }) => `${ns}/${name}`).join("\n")), t.keys.copiedNames(rows.length));
}

async function manifests(rows: readonly wire.KeyRow[]): Promise<string> {
  const texts: string[] = [];
  await each([...rows.entries()], async ([i, { ns, name }]) => {
    texts[i] = (await api.get<wire.KeyDetail>(keyPath(ns, name))).manifest.trimEnd();
  });
  return `${texts.join("\n---\n")}\n`;
}

export const copyYAML = (rows: readonly wire.KeyRow[]) => copyText(manifests(rows));

export function rowItems(row: wire.KeyRow): Item[] {
  const why = mayChange(row);
  const restore: Item = { text: t.keys.restore, icon: "check", why, tip: commands.restore(row.ns, row.name), act: () => act(() => change(row, "restore"), t.key.restored(row.name)) };
  const revoke: Item = { text: t.keys.revoke, icon: "off", danger: true, why, act: () => (asking.value = { what: "revoke", row }) };
  return [
    { text: rotateText(row), icon: "rotate", why: mayRotate(row), tip: commands.rotate(row.ns, row.name), act: () => act(() => change(row, "rotate"), t.keys.rotated(row.name)) },
    ...(row.revoked ? (row.session ? [] : [restore]) : isOver(row) ? [] : [revoke]),
    { text: t.keys.copyYAML, icon: "copy", act: () => act(() => copyYAML([row]), t.keys.copiedYAML(1)) },
    { text: t.keys.copyName, icon: "copy", act: () => copyNames([row]) },
    { text: t.keys.another, icon: "plus", href: link("keys/new", { like: `${row.ns}/${row.name}`, audience: row.audience, issuer: row.issuer }) },
  ];
}
