// One stream for all tabs, where the browser may open only six connections: the tab that holds a lock has the stream, and tells
// the others what it hears.
import { base } from "./router";

export interface Shared {
  /** Takes part: open is called in the tab that is to have the stream, state in it when a tab begins to listen. */
  join(scope: string, open: () => void, state: () => [string, string][]): void;
  send(name: string, data: string): void;
  release(): void;
}

interface Message {
  from: string;
  name: string;
  data: string;
}

/** Shares the stream; take gets the events that another tab received. */
export function share(take: (name: string, data: string) => void): Shared {
  let channel: BroadcastChannel | undefined;
  let letGo: (() => void) | undefined;
  let waiting: AbortController | undefined;
  const self = crypto.randomUUID();

  function post(name: string, data: string): void {
    channel?.postMessage({ from: self, name, data } satisfies Message);
  }

  function release(): void {
    waiting?.abort();
    waiting = undefined;
    letGo?.();
    letGo = undefined;
    channel?.close();
    channel = undefined;
  }

  return {
    join(scope, open, state) {
      release();
      const name = `refreshkeys-stream-${base}-${scope}`;
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data: message }: MessageEvent<Message>) => {
        if (message.from === self) return;
        if (message.name !== "hello") take(message.name, message.data);
        else if (letGo) for (const [event, data] of state()) post(event, data);
      };
      const abort = new AbortController();
      waiting = abort;
      navigator.locks
        .request(name, { signal: abort.signal }, () => {
          open();
          return new Promise<void>((resolve) => {
            letGo = resolve;
          });
        })
        .catch(() => undefined);
      post("hello", "{}");
    },
    send(name, data) {
      if (letGo) post(name, data);
    },
    release,
  };
}
