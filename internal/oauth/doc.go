// Package oauth holds the words of the wire: parameters, answers and errors of OAuth 2.0
// (RFC 6749) and its extensions, as values. It knows nothing of HTTP servers, tokens or
// Kubernetes.
package oauth
