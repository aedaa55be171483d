// The time that the page shows: it advances every few seconds, and stands while the tab is hidden.
import { signal } from "@preact/signals";

export const now = signal(Date.now());

function tick(): void {
  if (!document.hidden) now.value = Date.now();
}

setInterval(tick, 5000);
document.addEventListener("visibilitychange", tick);
