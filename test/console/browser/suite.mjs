// All tests, in one process: they share the cluster and the browser.
import "./signin.mjs";
import "./list.mjs";
