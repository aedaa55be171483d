// All tests, in one process: they share the cluster and the browser.
import { register } from "./browser.mjs";
import "./signin.mjs";
import "./list.mjs";
import "./create.mjs";
import "./detail.mjs";
import "./bulk.mjs";
import "./live.mjs";
import "./issuers.mjs";
import "./sessions.mjs";
import "./look.mjs";
import "./canary.mjs";

register();
