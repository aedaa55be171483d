// What can be done with the key that is open.
import { useEffect } from "preact/hooks";
import { copyText } from "../../app/api";
import { can, refusal } from "../../app/can";
import { commands } from "../../app/commands";
import { link } from "../../app/router";
import { shortcut } from "../../app/shortcuts";
import type * as wire from "../../app/wire";
import { Icon } from "../../parts/Icon";
import { Menu, type Item } from "../../parts/Menu";
import { act } from "../../parts/Toast";
import { t } from "../../text";
import { change, isOver, mayChange, mayRotate, rotateText } from "../keys/actions";
import { asking } from "../keys/asking";

export function Actions({ row, detail }: { row: wire.KeyRow; detail: wire.KeyDetail }) {
  const why = mayChange(row);
  const noDelete = refusal(can({ verb: "delete", resource: "jwtrefreshkeys", ns: row.ns }).value);
  const { ns, name } = row;
  const noRotation = mayRotate(row);
  const text = rotateText(row);
  const rotate = () => {
    if (noRotation === undefined) act(() => change(row, "rotate"), t.keys.rotated(name));
  };
  const restore = () => {
    if (why === undefined) act(() => change(row, "restore"), t.key.restored(name));
  };
  useEffect(() => shortcut("r", rotate));
  const more = (): Item[] => [
    { text: t.keys.copyYAML, icon: "copy", act: () => act(() => copyText(detail.manifest), t.keys.copiedYAML(1)) },
    { text: t.key.copyCommand, icon: "copy", act: () => act(() => copyText(commands.describe(ns, name)), t.copied) },
    { text: t.key.edit, icon: "columns", why, href: link(`keys/${ns}/${name}/edit`) },
    { text: t.keys.another, icon: "plus", href: link("keys/new", { like: `${ns}/${name}`, audience: row.audience, issuer: row.issuer }) },
    {
      text: t.key.delete,
      icon: "trash",
      danger: true,
      why: noDelete ? noDelete.reason || t.key.mayNot("delete", ns) : undefined,
      act: () => (asking.value = { what: "delete", row }),
    },
  ];
  return (
    <>
      <span class="split">
        <button type="button" class="button" aria-disabled={noRotation !== undefined} data-tip={noRotation ?? commands.rotate(ns, name)} onClick={rotate}>
          <Icon name="rotate" />
          {text}
        </button>
        <Menu
          class="button icon-only"
          label={t.key.moreRotate}
          face={<Icon name="down" />}
          items={() => [
            { text, icon: "rotate", why: noRotation, act: rotate },
            { text: t.key.rotateNow, icon: "rotate", danger: true, why: noRotation, act: () => (asking.value = { what: "rotateNow", row }) },
          ]}
        />
      </span>
      {row.revoked && !row.session && (
        <button key="restore" type="button" class="button" aria-disabled={why !== undefined} data-tip={why ?? commands.restore(ns, name)} onClick={restore}>
          {t.keys.restore}
        </button>
      )}
      {!row.revoked && !isOver(row) && (
        <button key="revoke" type="button" class="button danger" aria-disabled={why !== undefined} data-tip={why} onClick={() => why ?? (asking.value = { what: "revoke", row })}>
          {t.keys.revoke}
        </button>
      )}
      <Menu class="button icon-only" label={t.key.more} face={<Icon name="more" />} items={more} />
    </>
  );
}
