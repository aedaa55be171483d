// Package oauth defines the wire values of OAuth 2.0 (RFC 6749) and its extensions: parameters, answers and
// errors. It does not depend on HTTP servers, tokens or Kubernetes.
package oauth
