// Package signin signs people in at the console by OpenID Connect: authorization code flow with PKCE, state and nonce. What the
// person then acts with at the API server is one of three (Config.Forward): the id_token itself, an access token of the token
// service for which the id_token is exchanged, or the console's own credential with the names of the id_token (constrained
// impersonation).
//
// It reaches the hosts of its configuration, and those that the documents there name, over https. It follows
// no redirect, except one of the discovery document or of the public keys to the same host.
package signin
