// All tests, in one process: they share the cluster and the browser.
import { register } from "./browser.mjs";
// The longest one begins first.
import "./look.mjs";
import "./signin.mjs";
import "./oidc.mjs";
import "./login.mjs";
import "./list.mjs";
import "./create.mjs";
import "./manifests.mjs";
import "./detail.mjs";
import "./states.mjs";
import "./copies.mjs";
import "./keyboard.mjs";
import "./bulk.mjs";
import "./live.mjs";
import "./issuers.mjs";
import "./sessions.mjs";
import "./local.mjs";
import "./review.mjs";
import "./mine.mjs";
import "./canary.mjs";

register();
