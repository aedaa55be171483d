package endpoint

import "github.com/refreshkeys/refreshkeys/api/v1alpha1"

// TokenOf returns the URL of an issuer's token endpoint for clients inside the cluster: below spec.endpointURL, or spec.url without
// one.
func TokenOf(issuer *v1alpha1.JWTIssuer) string {
	if issuer.Spec.EndpointURL != "" {
		return TokenURL(issuer.Spec.EndpointURL)
	}
	return TokenURL(issuer.Spec.URL)
}

// JWKSOf returns the URL of an issuer's public key set, which is always below spec.url.
func JWKSOf(issuer *v1alpha1.JWTIssuer) string { return JWKSURL(issuer.Spec.URL) }
