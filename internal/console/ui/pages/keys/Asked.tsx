// The dialog that is open about keys.
import { BulkDialog } from "./Bulk";
import { asking } from "./asking";

export function Asked() {
  const asked = asking.value;
  const close = () => (asking.value = undefined);
  switch (asked?.what) {
    case "bulkRevoke":
      return <BulkDialog what="revoke" rows={asked.rows} onClose={close} />;
    case "bulkRotate":
      return <BulkDialog what="rotate" rows={asked.rows} onClose={close} />;
    default:
      return null;
  }
}
