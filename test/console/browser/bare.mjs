// A browser for measurements: nothing reads its network traffic meanwhile, which would take longer than the page itself.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { flags } from "./flags.mjs";

/** Starts a browser; new pages are those of the answer. */
export async function bareBrowser() {
  const dir = mkdtempSync(join(tmpdir(), "console-"));
  const browser = spawn(process.env.CONSOLE_CHROMIUM, [...flags, "--headless", "--ignore-certificate-errors", "--window-size=1280,800", "--remote-debugging-pipe", `--user-data-dir=${dir}`], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const [, , , to, from] = browser.stdio;
  const waiting = new Map();
  let text = "";
  let sent = 0;
  from.setEncoding("utf8");
  from.on("data", (part) => {
    const messages = (text + part).split("\0");
    text = messages.pop();
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message);
      const answer = waiting.get(id);
      waiting.delete(id);
      if (error) answer?.reject(new Error(error.message));
      else answer?.resolve(result);
    }
  });
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      waiting.set(++sent, { resolve, reject });
      to.write(`${JSON.stringify({ id: sent, method, params, sessionId })}\0`);
    });
  after(async () => {
    const ended = new Promise((resolve) => browser.on("exit", resolve));
    await send("Browser.close");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    /** A new page; script runs before those of each document. */
    async page(script) {
      const { targetId } = await send("Target.createTarget", { url: "about:blank" });
      const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
      await send("Page.enable", {}, sessionId);
      await send("Page.addScriptToEvaluateOnNewDocument", { source: script }, sessionId);
      return {
        go: (url) => send("Page.navigate", { url }, sessionId),
        /** The value of an expression, also of a promise. */
        async evaluate(expression) {
          const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
          if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
          return result.value;
        },
        close: () => send("Target.closeTarget", { targetId }),
      };
    },
  };
}
