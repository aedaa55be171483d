// The dialog that is open about keys.
import { useEffect } from "preact/hooks";
import { Ask } from "../key/Ask";
import { BulkDialog } from "./Bulk";
import { asking } from "./asking";

export function Asked() {
  useEffect(() => () => void (asking.value = undefined), []);
  const asked = asking.value;
  const close = () => (asking.value = undefined);
  if (!asked) return null;
  switch (asked.what) {
    case "bulkRevoke":
      return <BulkDialog what="revoke" rows={asked.rows} onClose={close} />;
    case "bulkRotate":
      return <BulkDialog what="rotate" rows={asked.rows} onClose={close} />;
    default:
      return <Ask what={asked.what} row={asked.row} onClose={close} />;
  }
}
