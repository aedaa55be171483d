package registry

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

var day0 = time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)

// TestAnIssuerAtAnAddress checks the endpoints of an issuer with an IPv6 address and a port in its URL.
func TestAnIssuerAtAnAddress(t *testing.T) {
	read := issuerOf(&v1alpha1.JWTIssuer{Spec: v1alpha1.JWTIssuerSpec{URL: "https://[fd00::1]:8443/shop", EndpointURL: "https://[2001:db8::2]/shop"}}, "refreshkeys-system", nil)
	if read == nil {
		t.Fatal("issuerOf returned nil")
	}
	if read.URL != "https://[fd00::1]:8443/shop" {
		t.Errorf("url %s", read.URL)
	}
	if want := []string{"https://[fd00::1]:8443/shop/token", "https://[2001:db8::2]/shop/token"}; !slices.Equal(read.TokenEndpoints, want) {
		t.Errorf("token endpoints %q, want %q", read.TokenEndpoints, want)
	}
	if want := []string{"https://[fd00::1]:8443/shop/sessions", "https://[2001:db8::2]/shop/sessions"}; !slices.Equal(read.SessionsURLs(), want) {
		t.Errorf("lists of sessions at %q, want %q", read.SessionsURLs(), want)
	}
	if want := []string{"https://[fd00::1]:8443/shop/sessions/end", "https://[2001:db8::2]/shop/sessions/end"}; !slices.Equal(read.EndSessionsURLs(), want) {
		t.Errorf("ends of sessions at %q, want %q", read.EndSessionsURLs(), want)
	}
}

// TestCacheFor checks that a new signing key becomes active only after every copy of the JWKS without it is
// outdated.
func TestCacheFor(t *testing.T) {
	for prepublish, want := range map[time.Duration]time.Duration{
		0: 15 * time.Minute, time.Minute: 30 * time.Second, 10 * time.Minute: 5 * time.Minute, 168 * time.Hour: 15 * time.Minute,
	} {
		issuer := &v1alpha1.JWTIssuer{}
		if prepublish > 0 {
			issuer.Spec.Signing = &v1alpha1.SigningSpec{Prepublish: &metav1.Duration{Duration: prepublish}}
		}
		if got := cacheFor(issuer); got != want {
			t.Errorf("with prepublish %s the JWKS is cached for %s, want %s", prepublish, got, want)
		}
	}
}
