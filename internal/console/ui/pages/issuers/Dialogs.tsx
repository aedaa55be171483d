// The dialogs that rotate the signing keys, and withdraw one.
import type * as wire from "../../app/wire";
import { api, issuerPath } from "../../app/api";
import { namespace } from "../../app/scope";
import { issuers, keys } from "../../app/store";
import { Confirm } from "../../parts/Confirm";
import { toast } from "../../parts/Toast";
import { t } from "../../text";

/** Changes the issuer, and says so. */
async function change(row: wire.IssuerRow, what: Omit<wire.IssuerChange, "uid">, done: string): Promise<void> {
  const { issuer } = await api.patch<wire.Changed>(issuerPath(row.name), { uid: row.uid, ...what } satisfies wire.IssuerChange);
  if (issuer) issuers.put([issuer]);
  toast(done);
}

export function RotateDialog({ row, onClose }: { row: wire.IssuerRow; onClose: () => void }) {
  return (
    <Confirm danger={false} onClose={onClose} run={() => change(row, { action: "rotateKeys" }, t.issuers.rotated)} title={t.issuers.rotateTitle(row.name)} act={t.issuers.rotateDo} command={`kubectl refreshkey issuer rotate ${row.name} --wait`}>
      <p>{t.issuers.rotateText}</p>
      <ul class="points">
        <li>{t.issuers.rotateKeep}</li>
        <li>{t.issuers.rotateLeak}</li>
      </ul>
    </Confirm>
  );
}

export function WithdrawDialog({ row, signing, onClose }: { row: wire.IssuerRow; signing: wire.SigningKey; onClose: () => void }) {
  void keys.version.value;
  const { kid, ring } = signing;
  const signed = keys.all().filter((key) => key.issuer === row.name && key.keyID === kid && key.revokedAt === undefined && key.status !== "Deleting").length;
  const where = namespace.value && t.issuers.inNamespace(namespace.value);
  const start = kid.slice(0, 8);
  return (
    <Confirm
      onClose={onClose}
      run={() => change(row, { action: "withdrawKey", kid }, t.issuers.withdrawn(start))}
      title={t.issuers.withdrawTitle}
      act={t.issuers.withdrawDo}
      typed={start}
      command={`kubectl refreshkey issuer withdraw ${row.name} --kid ${kid} --wait`}
    >
      <p>
        <code>{kid}</code>
      </p>
      <p>{ring === "seal" ? t.issuers.withdrawSeal : ring === "access" ? t.issuers.withdrawAccess : t.issuers.withdrawRefresh}</p>
      <ul class="points">
        {ring === "refresh" && (
          <li>
            <strong>{keys.complete.value ? t.issuers.signed(signed, where) : t.issuers.signedUnknown}</strong>
          </li>
        )}
        {ring !== "seal" && <li>{ring === "access" ? t.issuers.uncounted : t.issuers.unnamed}</li>}
      </ul>
    </Confirm>
  );
}
