// Package unthrottled makes clients of the API server that send requests without a limit of their own.
package unthrottled

import "k8s.io/client-go/rest"

// Config returns a copy of a configuration without client-go's limit of 5 requests a second. The API server limits its
// clients by priority and fairness, so that a limit in the client would only delay requests that the server can answer.
// Requests that unauthenticated clients of the token service can cause have their own limits (I20).
func Config(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	return config
}
