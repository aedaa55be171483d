// The tests of the page's pure modules. hack/console bundles them, and runs them in node.
import "./axis.mjs";
import "./checks.mjs";
import "./groups.mjs";
import "./spans.mjs";
import "./view.mjs";
