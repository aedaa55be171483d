// What can be done with the key that is open.
import { useEffect } from "preact/hooks";
import { copyText } from "../../app/api";
import { commands } from "../../app/commands";
import { link } from "../../app/router";
import { shortcut } from "../../app/shortcuts";
import type * as wire from "../../app/wire";
import { Button } from "../../parts/Button";
import { Icon } from "../../parts/Icon";
import { Menu, type Item } from "../../parts/Menu";
import { act } from "../../parts/Toast";
import { t } from "../../text";
import { change, isOver, mayChange, mayNot, mayRotate, rotateText } from "../keys/actions";
import { asking } from "../keys/asking";

export function Actions({ row, detail }: { row: wire.KeyRow; detail: wire.KeyDetail }) {
  const why = mayChange(row);
  const { ns, name } = row;
  const noRotation = mayRotate(row);
  const text = rotateText(row);
  const rotate = () => {
    if (noRotation === undefined) act(() => change(row, "rotate"), t.keys.rotated(name));
  };
  useEffect(() => shortcut("r", rotate));
  const more = (): Item[] => [
    { text: t.keys.copyYAML, icon: "copy", act: () => act(() => copyText(detail.manifest), t.keys.copiedYAML(1)) },
    { text: t.key.copyCommand, icon: "copy", act: () => act(() => copyText(commands.describe(ns, name)), t.copied) },
    { text: t.key.edit, icon: "pencil", why, href: link(`keys/${ns}/${name}/edit`) },
    { text: t.keys.another, icon: "plus", href: link("keys/new", { like: `${ns}/${name}`, audience: row.audience, issuer: row.issuer }) },
    {
      text: t.key.delete,
      icon: "trash",
      danger: true,
      why: mayNot("delete", row),
      act: () => (asking.value = { what: "delete", row }),
    },
  ];
  return (
    <>
      <span class="split">
        <Button class="button" why={noRotation} tip={commands.rotate(ns, name)} onClick={rotate}>
          <Icon name="rotate" />
          {text}
        </Button>
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
        <Button key="restore" class="button" why={why} tip={commands.restore(ns, name)} onClick={() => act(() => change(row, "restore"), t.key.restored(name))}>
          {t.keys.restore}
        </Button>
      )}
      {!row.revoked && !isOver(row) && (
        <Button key="revoke" class="button danger" why={why} onClick={() => (asking.value = { what: "revoke", row })}>
          {t.keys.revoke}
        </Button>
      )}
      <Menu class="button icon-only" label={t.key.more} face={<Icon name="more" />} items={more} />
    </>
  );
}
