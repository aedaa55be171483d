// The list of shortcuts.
import { Dialog } from "./Dialog";
import { Banner } from "./Box";
import { me } from "../app/me";
import { prefs } from "../app/prefs";
import { t } from "../text";

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog wide title={t.shortcuts.title} onClose={onClose}>
      {!prefs.value.shortcuts && <Banner tone="info">{t.shortcuts.off}</Banner>}
      <dl class="shortcuts">
        {t.shortcuts.rows.map(([keys, does]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p class="quiet">
        {me.value?.docsURL && (
          <a href={me.value.docsURL} target="_blank" rel="noreferrer">
            {t.top.docs}
          </a>
        )}{" "}
        {me.value?.version && t.top.version(me.value.version)}
      </p>
    </Dialog>
  );
}
