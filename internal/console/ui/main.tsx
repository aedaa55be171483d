import { render } from "preact";
import { Shell } from "./parts/Shell";
import { startRouter } from "./app/router";
import { startScope } from "./app/scope";
import { startShortcuts } from "./app/shortcuts";
import { startStream } from "./app/stream";
import { takeCode } from "./app/local";
import { loadMe } from "./app/me";

startRouter();
startShortcuts();
const root = document.getElementById("app");
if (root) render(<Shell />, root);
await takeCode();
await loadMe();
startScope();
startStream();
