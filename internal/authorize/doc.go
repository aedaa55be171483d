// Package authorize decides about the requests with which an application asks people to sign in with a browser (RFC 6749 §4.1,
// RFC 7636, RFC 8252, RFC 9207, OpenID Connect Core §3.1.2): whether a request is valid, where its answer goes, and what an
// authorization code holds. All functions are pure.
package authorize
