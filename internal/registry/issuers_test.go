package registry

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

var day0 = time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)

func TestFindIssuer(t *testing.T) {
	issuer := func(name, url, endpoint string, age time.Duration) *v1alpha1.JWTIssuer {
		return &v1alpha1.JWTIssuer{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(day0.Add(-age))},
			Spec:       v1alpha1.JWTIssuerSpec{URL: url, EndpointURL: endpoint},
		}
	}
	going := issuer("going", "https://tokens.example.com/going", "", time.Hour)
	going.DeletionTimestamp = &metav1.Time{Time: day0}
	// With it goes its URL: another issuer has it only once it is gone.
	heir := issuer("heir", "https://tokens.example.com/going", "", time.Minute)
	set := issuersOf([]*v1alpha1.JWTIssuer{
		issuer("alone", "https://tokens.example.com/alone", "", time.Hour),
		issuer("young", "https://tokens.example.com/twice", "", time.Minute),
		issuer("old", "https://tokens.example.com/twice", "", time.Hour),
		issuer("root-a", "https://a.example.com", "", time.Hour),
		issuer("root-b", "https://b.example.com", "https://inside.svc:8443", time.Hour),
		going, heir,
	}, "refreshkeys-system", func(string) *corev1.Secret { return nil })
	for _, c := range []struct{ name, path, host, want string }{
		{"by its path, whatever the host", "/alone", "somewhere.else", "alone"},
		{"of two with one URL the older", "/twice", "tokens.example.com", "old"},
		{"no such path", "/nothing", "tokens.example.com", ""},
		{"a path is compared to the byte", "/Alone", "tokens.example.com", ""},
		{"of two with one path the one of the host", "", "b.example.com", "root-b"},
		{"in any case of letters", "", "A.Example.Com", "root-a"},
		{"by where clients inside reach it", "", "inside.svc:8443", "root-b"},
		{"neither of the two", "", "c.example.com", ""},
		{"one that is being deleted", "/going", "tokens.example.com", ""},
	} {
		got := ""
		if found := set.find(c.path, c.host); found != nil {
			got = found.Name
		}
		if got != c.want {
			t.Errorf("%s: issuer %q, not %q", c.name, got, c.want)
		}
	}
}

// TestAnIssuerAtAnAddress: the endpoints are under the path, the host is the address in brackets with its port.
func TestAnIssuerAtAnAddress(t *testing.T) {
	read := issuerOf(&v1alpha1.JWTIssuer{Spec: v1alpha1.JWTIssuerSpec{URL: "https://[fd00::1]:8443/shop", EndpointURL: "https://[2001:db8::2]/shop"}}, "refreshkeys-system", nil)
	if read == nil {
		t.Fatal("not read")
	}
	if read.URL != "https://[fd00::1]:8443/shop" || read.path != "/shop" || !slices.Equal(read.hosts, []string{"[fd00::1]:8443", "[2001:db8::2]"}) {
		t.Errorf("url %s, path %s, hosts %q", read.URL, read.path, read.hosts)
	}
	if want := []string{"https://[fd00::1]:8443/shop/token", "https://[2001:db8::2]/shop/token"}; !slices.Equal(read.TokenEndpoints, want) {
		t.Errorf("token endpoints %q", read.TokenEndpoints)
	}
}

// A new key signs only once every copy of the JWKS that lacks it is out of date.
func TestCacheFor(t *testing.T) {
	for prepublish, want := range map[time.Duration]time.Duration{
		0: 15 * time.Minute, time.Minute: 30 * time.Second, 10 * time.Minute: 5 * time.Minute, 168 * time.Hour: 15 * time.Minute,
	} {
		issuer := &v1alpha1.JWTIssuer{}
		if prepublish > 0 {
			issuer.Spec.Signing = &v1alpha1.SigningSpec{Prepublish: &metav1.Duration{Duration: prepublish}}
		}
		if got := cacheFor(issuer); got != want {
			t.Errorf("with prepublish %s the JWKS is kept for %s, not %s", prepublish, got, want)
		}
	}
}
