// Command console is the suite of the console in a real browser, which `make console` runs. This program starts what the console
// needs on this machine: an API server, a manager, two replicas of the token service, an OpenID Connect provider, the
// console in several configurations, and a proxy. Then it runs the tests in browser/ with node, and ends all.
package main
