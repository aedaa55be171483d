package registry

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

func issuerAt(name, url, endpoint string, age time.Duration) *v1alpha1.JWTIssuer {
	return &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(day0.Add(-age))},
		Spec:       v1alpha1.JWTIssuerSpec{URL: url, EndpointURL: endpoint},
	}
}

// testDirectory has three issuers that share an in-cluster URL, and others.
func testDirectory() *Directory {
	going := issuerAt("going", "https://tokens.example.com/going", "", time.Hour)
	going.DeletionTimestamp = &metav1.Time{Time: day0}
	return NewDirectory([]*v1alpha1.JWTIssuer{
		issuerAt("alone", "https://tokens.example.com/alone", "", time.Hour),
		issuerAt("young", "https://tokens.example.com/twice", "", time.Minute),
		issuerAt("old", "https://tokens.example.com/twice", "", time.Hour),
		issuerAt("root-a", "https://a.example.com", "", time.Hour),
		issuerAt("root-b", "https://b.example.com", "https://inside.svc:8443", time.Hour),
		issuerAt("elsewhere", "https://tokens.example.com/out", "https://inside.svc/in", time.Hour),
		issuerAt("one", "https://tokens.example.com/one", "https://shared.svc/s", 3*time.Hour),
		issuerAt("two", "https://two.example.com/two", "https://shared.svc:443/s", 2*time.Hour),
		issuerAt("three", "https://three.example.com/three", "https://shared.svc/s", time.Hour),
		issuerAt("guest", "https://guest.example.com/guest", "https://tokens.example.com/alone", 4*time.Hour),
		issuerAt("v6", "https://[2001:db8::1]:8443/v6", "", time.Hour),
		// The url of an issuer that is being deleted stays its own: another issuer gets it only after the
		// deletion.
		going, issuerAt("heir", "https://tokens.example.com/going", "", time.Minute),
		issuerAt("again", "https://tokens.example.com:443/alone", "", time.Minute),
	}, "refreshkeys-system", nil)
}

func names(issuers []*Issuer) string {
	var all []string
	for _, issuer := range issuers {
		all = append(all, issuer.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestPlaces(t *testing.T) {
	town := testDirectory()
	for _, c := range []struct{ name, path, host, want, owner string }{
		{"by its path, at a host of no issuer", "/one", "127.0.0.1:8443", "one", "one"},
		{"of two with one url the older", "/twice", "tokens.example.com", "old", "old"},
		{"no such path", "/nothing", "tokens.example.com", "", ""},
		{"a path is compared to the byte", "/Alone", "tokens.example.com", "", ""},
		{"a slash at its end is another path", "/one/", "tokens.example.com", "", ""},
		{"of two with one path the one of the host", "", "b.example.com", "root-b", "root-b"},
		{"in upper case", "", "A.Example.Com", "root-a", "root-a"},
		{"with the default port", "", "a.example.com:443", "root-a", "root-a"},
		{"with another port, which is another host", "", "a.example.com:8443", "root-a root-b", ""},
		{"with a dot at its end", "", "a.example.com.", "root-a", "root-a"},
		{"with both", "", "a.example.com.:443", "root-a", "root-a"},
		{"an IPv6 address", "/v6", "[2001:0db8::0001]:8443", "v6", "v6"},
		{"by where clients inside reach it", "", "inside.svc:8443", "root-b", "root-b"},
		{"of two with one path at a host of neither", "", "c.example.com", "root-a root-b", ""},
		{"at a host of others, though its path is the only one", "/alone", "b.example.com", "", ""},
		{"at a host of its own, by the path of its url", "/out", "inside.svc", "elsewhere", "elsewhere"},
		{"at a host of its own, by the path of its endpointURL", "/in", "tokens.example.com", "elsewhere", "elsewhere"},
		{"a shared endpoint", "/s", "shared.svc", "one three two", ""},
		{"a shared endpoint, with the default port", "/s", "Shared.svc.:443", "one three two", ""},
		{"a shared endpoint at a host of no issuer", "/s", "localhost", "one three two", ""},
		{"the url of one of those that share an endpoint", "/two", "two.example.com", "two", "two"},
		{"a url that is another's endpointURL", "/alone", "tokens.example.com", "alone guest", "alone"},
		{"the same at a host of no issuer", "/alone", "localhost", "alone guest", "alone"},
		{"one that is being deleted", "/going", "tokens.example.com", "", ""},
		{"no host at all", "/one", "", "one", "one"},
	} {
		place := town.At(c.path, c.host)
		if got := names(place.Issuers()); got != c.want {
			t.Errorf("%s: the issuers are %q, want %q", c.name, got, c.want)
		}
		owner := ""
		if found := place.Owner(); found != nil {
			owner = found.Name
		}
		if owner != c.owner {
			t.Errorf("%s: the owner is %q, want %q", c.name, owner, c.owner)
		}
		if len(place.Issuers()) > 0 && place.Any() == nil {
			t.Errorf("%s: Any returns no issuer", c.name)
		}
	}
}

// TestPlaceNamed checks that a token chooses only among the issuers of the place, by the exact URL.
func TestPlaceNamed(t *testing.T) {
	place := testDirectory().At("/s", "shared.svc")
	for url, want := range map[string]string{
		"https://tokens.example.com/one": "one", "https://two.example.com/two": "two", "https://three.example.com/three": "three",
		"https://two.example.com:443/two": "", "https://TWO.example.com/two": "", "https://two.example.com/two/": "",
		"https://shared.svc/s": "", "https://tokens.example.com/alone": "", "": "",
	} {
		got := ""
		if issuer := place.Named(url); issuer != nil {
			got = issuer.Name
		}
		if got != want {
			t.Errorf("%q names %q, want %q", url, got, want)
		}
	}
}

func TestServiceOfAnIssuer(t *testing.T) {
	rings := keyring.GivenUp()
	rings, err := keyring.Advance(rings, keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: time.Hour, Prepublish: time.Minute}, nil,
		func(keyring.Use, string) time.Time { return time.Time{} }, day0, keyring.Generate)
	if err != nil {
		t.Fatal(err)
	}
	data, err := keyring.Encode(rings)
	if err != nil {
		t.Fatal(err)
	}
	of := func(kept map[string]*corev1.Secret) *Directory {
		return NewDirectory([]*v1alpha1.JWTIssuer{
			issuerAt("here", "https://here.example.com", "", time.Hour),
			issuerAt("again", "https://here.example.com:443", "", 0),
			issuerAt("twin", "https://here.example.com", "", 0),
		}, "refreshkeys-system", kept)
	}
	kept := of(map[string]*corev1.Secret{"gone": {Data: data}, "damaged": {Data: map[string][]byte{}}})
	kid := rings.Keys()[0].ID
	for _, c := range []struct {
		name, url, kid string
		directory      *Directory
		want           Service
	}{
		{"one that is served", "https://here.example.com", "", kept, Served},
		{"one in conflict", "https://here.example.com:443", "", kept, Unserved},
		{"one that is not", "https://gone.example.com", "", kept, Unknown},
		{"one that is deleted, with its keys kept", "https://gone.example.com", kid, kept, Unserved},
		{"one that is deleted, and an unknown key", "https://gone.example.com", "another", kept, Unknown},
		{"one that is deleted with its keys", "https://gone.example.com", kid, of(nil), Unknown},
		{"one that is deleted, with its keys kept and its url used by another issuer", "https://here.example.com", kid, kept, Unserved},
		{"one in conflict with an older one of its url", "https://here.example.com", kid, of(map[string]*corev1.Secret{"twin": {Data: data}}), Unserved},
		{"one that is served, by a key that another had too", "https://here.example.com", kid, of(map[string]*corev1.Secret{"here": {Data: data}, "twin": {Data: data}}), Served},
		{"one that is served, and an unknown key", "https://here.example.com", "another", kept, Served},
		{"keys of an issuer that exists, for another issuer", "https://gone.example.com", kid, of(map[string]*corev1.Secret{"here": {Data: data}}), Unknown},
	} {
		if got := c.directory.ServiceOf(c.url, c.kid); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
