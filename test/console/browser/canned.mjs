// A stream that a test answers itself: what no cluster of the suite can send, such as 20,000 keys.

/** The text of events: each is a name, its data, and an id if it has one. */
export const events = (...list) => list.map(([name, data = {}, id]) => `${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join("");

/** Keeps the browser from asking again when the text of a stream ends. */
export const once = "retry: 3600000\n\n";

/** The row of a key. */
export const row = (name, more = {}) => ({ uid: `uid-${name}`, version: "1", ns: "canned", name, audience: `https://${name}.example.com`, issuer: "default", status: "Issued", tone: "good", mode: "Scheduled", madeAt: "2026-01-01T00:00:00Z", ...more });

/** Answers the requests of a page for the stream with the text that answer returns for their parameters; a number is a status. */
export const cannedStream = (page, answer) =>
  page.route("**/api/stream*", (route) => {
    const body = answer(new URL(route.request().url()).searchParams);
    if (typeof body === "number") return route.fulfill({ status: body });
    return body === undefined ? undefined : route.fulfill({ contentType: "text/event-stream", body });
  });
