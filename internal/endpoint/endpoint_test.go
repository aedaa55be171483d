package endpoint

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

var day0 = time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)

// TestHost checks that all spellings of a host have one canonical form.
func TestHost(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"as it is", "tokens.example.com", "tokens.example.com"},
		{"the default port", "tokens.example.com:443", "tokens.example.com"},
		{"an empty port", "tokens.example.com:", "tokens.example.com"},
		{"another port", "tokens.example.com:8443", "tokens.example.com:8443"},
		{"a port that only ends alike", "tokens.example.com:8443", "tokens.example.com:8443"},
		{"a port that begins alike", "tokens.example.com:4430", "tokens.example.com:4430"},
		{"a trailing dot", "tokens.example.com.", "tokens.example.com"},
		{"a trailing dot and the default port", "tokens.example.com.:443", "tokens.example.com"},
		{"a trailing dot and another port", "tokens.example.com.:8443", "tokens.example.com:8443"},
		{"two trailing dots are no host name", "tokens.example.com..", "tokens.example.com."},
		{"upper case", "Tokens.EXAMPLE.com", "tokens.example.com"},
		{"IPv4", "192.0.2.7:443", "192.0.2.7"},
		{"IPv6", "[2001:db8::1]", "[2001:db8::1]"},
		{"IPv6 and the default port", "[2001:db8::1]:443", "[2001:db8::1]"},
		{"IPv6 and another port", "[2001:db8::1]:8443", "[2001:db8::1]:8443"},
		{"IPv6 in its long form", "[2001:0DB8:0:0:0:0:0:1]:443", "[2001:db8::1]"},
		{"brackets around no address", "[tokens]:443", "[tokens]"},
		{"nothing", "", ""},
	} {
		if got := Host(c.raw); got != c.want {
			t.Errorf("%s: the host of %q is %q, not %q", c.name, c.raw, got, c.want)
		}
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want Location
		ok   bool
	}{
		{"https://tokens.example.com", Location{"tokens.example.com", ""}, true},
		{"https://tokens.example.com:443/a/b", Location{"tokens.example.com", "/a/b"}, true},
		{"https://tokens.example.com/A", Location{"tokens.example.com", "/A"}, true},
		{"https://[2001:db8::1]:443/a", Location{"[2001:db8::1]", "/a"}, true},
		{"", Location{}, false},
		{"tokens.example.com", Location{}, false},
		{"https://[2001:db8::1/a", Location{}, false},
	} {
		if got, ok := Of(c.raw); got != c.want || ok != c.ok {
			t.Errorf("%q is at %+v, %v, and not at %+v, %v", c.raw, got, ok, c.want, c.ok)
		}
	}
}

func issuer(name, url, endpoint string, age time.Duration) *v1alpha1.JWTIssuer {
	return &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(day0.Add(-age))},
		Spec:       v1alpha1.JWTIssuerSpec{URL: url, EndpointURL: endpoint},
	}
}

// TestConflicts is the table of ADR 16: which pairs of issuers are in conflict.
func TestConflicts(t *testing.T) {
	const inside = "https://refreshkeys-tokenserver.refreshkeys-system.svc"
	old := func(url, endpoint string) *v1alpha1.JWTIssuer { return issuer("old", url, endpoint, time.Hour) }
	young := func(url, endpoint string) *v1alpha1.JWTIssuer { return issuer("young", url, endpoint, time.Minute) }
	for _, c := range []struct {
		name    string
		issuers []*v1alpha1.JWTIssuer
		// want are the issuers in conflict, each with its reason.
		want map[string]string
		// unserved are the issuers in conflict with an unserved url.
		unserved []string
	}{
		{"different hosts", []*v1alpha1.JWTIssuer{old("https://a.example.com", ""), young("https://b.example.com", "")}, nil, nil},
		{"different ports", []*v1alpha1.JWTIssuer{old("https://a.example.com", ""), young("https://a.example.com:8443", "")}, nil, nil},
		{"different paths", []*v1alpha1.JWTIssuer{old("https://a.example.com/a", ""), young("https://a.example.com/b", "")}, nil, nil},
		{"paths that differ in case", []*v1alpha1.JWTIssuer{old("https://a.example.com/a", ""), young("https://a.example.com/A", "")}, nil, nil},
		{"one path below the other", []*v1alpha1.JWTIssuer{old("https://a.example.com", ""), young("https://a.example.com/token", "")}, nil, nil},
		{
			"one url", []*v1alpha1.JWTIssuer{young("https://a.example.com", ""), old("https://a.example.com", "")},
			map[string]string{"young": "URLConflict"}, []string{"young"},
		},
		{
			"one url, written otherwise", []*v1alpha1.JWTIssuer{young("https://a.example.com", ""), old("https://a.example.com:443", "")},
			map[string]string{"young": "EndpointConflict"}, []string{"young"},
		},
		{
			"one url with a path, written otherwise", []*v1alpha1.JWTIssuer{old("https://a.example.com/a", ""), young("https://a.example.com:443/a", "")},
			map[string]string{"young": "EndpointConflict"}, []string{"young"},
		},
		{
			"one url at an IPv6 address, written otherwise",
			[]*v1alpha1.JWTIssuer{old("https://[2001:db8::1]", ""), young("https://[2001:db8:0:0:0:0:0:1]:443", "")},
			map[string]string{"young": "EndpointConflict"}, []string{"young"},
		},
		{
			"three in one place: both younger ones wait for the oldest",
			[]*v1alpha1.JWTIssuer{issuer("third", "https://a.example.com:443", "", 0), young("https://a.example.com:443", ""), old("https://a.example.com", "")},
			map[string]string{"young": "EndpointConflict", "third": "EndpointConflict"}, []string{"third", "young"},
		},
		{
			"of the same age the first by name", []*v1alpha1.JWTIssuer{issuer("b", "https://a.example.com", "", 0), issuer("a", "https://a.example.com:443", "", 0)},
			map[string]string{"b": "EndpointConflict"}, []string{"b"},
		},
		{"one endpointURL", []*v1alpha1.JWTIssuer{old("https://a.example.com", inside), young("https://b.example.com", inside)}, nil, nil},
		{"one endpointURL, written otherwise", []*v1alpha1.JWTIssuer{old("https://a.example.com", inside), young("https://b.example.com", inside+":443")}, nil, nil},
		{"an endpointURL that is another's url", []*v1alpha1.JWTIssuer{old("https://a.example.com", ""), young("https://b.example.com", "https://a.example.com")}, nil, nil},
		{
			"an endpointURL that is another's url, which is younger",
			[]*v1alpha1.JWTIssuer{young("https://a.example.com", ""), old("https://b.example.com", "https://a.example.com")}, nil, nil,
		},
		{
			"each other's url as endpointURL",
			[]*v1alpha1.JWTIssuer{old("https://a.example.com", "https://b.example.com"), young("https://b.example.com", "https://a.example.com")}, nil, nil,
		},
		{"its own url as endpointURL", []*v1alpha1.JWTIssuer{old("https://a.example.com", "https://a.example.com:443")}, nil, nil},
		{
			"a url where metadata is", []*v1alpha1.JWTIssuer{old("https://a.example.com"+OAuthMetadata+"/a", "")},
			map[string]string{"old": "EndpointConflict"}, []string{"old"},
		},
		{
			"a url that is where metadata begins", []*v1alpha1.JWTIssuer{old("https://a.example.com"+OAuthMetadata, "")},
			map[string]string{"old": "EndpointConflict"}, []string{"old"},
		},
		{"a url that only resembles it", []*v1alpha1.JWTIssuer{old("https://a.example.com"+OAuthMetadata+"s", "")}, nil, nil},
		{
			"an endpointURL where metadata is", []*v1alpha1.JWTIssuer{old("https://a.example.com", inside+OAuthMetadata)},
			map[string]string{"old": "EndpointConflict"}, nil,
		},
	} {
		conflicts := Conflicts(c.issuers)
		var unserved []string
		for name, conflict := range conflicts {
			if conflict.Reason != c.want[name] {
				t.Errorf("%s: %s is %q, not %q", c.name, name, conflict.Reason, c.want[name])
			}
			if conflict.Unserved {
				unserved = append(unserved, name)
			}
			if !strings.HasSuffix(conflict.Message, ".") {
				t.Errorf("%s: the message of %s is no sentence: %q", c.name, name, conflict.Message)
			}
		}
		for _, issuer := range c.issuers {
			if owner := Owner(c.issuers, issuer.Spec.URL); !conflicts[issuer.Name].Unserved && owner != issuer {
				t.Errorf("%s: %s is served, and the owner of its url is %s", c.name, issuer.Name, owner.Name)
			}
		}
		slices.Sort(unserved)
		if len(conflicts) != len(c.want) || !slices.Equal(unserved, c.unserved) {
			t.Errorf("%s: %d conflicts, of which are unserved %v; want %d and %v", c.name, len(conflicts), unserved, len(c.want), c.unserved)
		}
	}
}

// The issuer that is not Ready names the other one.
func TestConflictsNameTheOther(t *testing.T) {
	conflict := Conflicts([]*v1alpha1.JWTIssuer{
		issuer("senior", "https://a.example.com:443", "", time.Hour), issuer("junior", "https://a.example.com", "", 0),
	})["junior"]
	for _, want := range []string{`"senior"`, "https://a.example.com:443", "delete one of the two"} {
		if !strings.Contains(conflict.Message, want) {
			t.Errorf("the message does not hold %q: %s", want, conflict.Message)
		}
	}
}

// An issuer that is being deleted keeps its url until it is deleted, as its signing keys do.
func TestAGoingIssuerKeepsItsPlace(t *testing.T) {
	going := issuer("going", "https://a.example.com", "", time.Hour)
	going.DeletionTimestamp = &metav1.Time{Time: day0}
	if reason := Conflicts([]*v1alpha1.JWTIssuer{going, issuer("heir", "https://a.example.com:443", "", 0)})["heir"].Reason; reason != "EndpointConflict" {
		t.Errorf("the heir of a url that is not free yet is %q", reason)
	}
}

// TestOwner checks that of several issuers with a URL the oldest is the owner, and of the same age the first by name.
func TestOwner(t *testing.T) {
	const url = "https://a.example.com"
	going := issuer("going", "https://b.example.com", "", time.Hour)
	going.DeletionTimestamp = &metav1.Time{Time: day0}
	issuers := []*v1alpha1.JWTIssuer{
		issuer("young", url, "", time.Minute), issuer("twin", url, "", time.Hour), issuer("old", url, "", time.Hour),
		issuer("elsewhere", url+":443", "", 2*time.Hour), issuer("heir", "https://b.example.com", "", time.Minute), going,
	}
	for at, want := range map[string]string{url: "old", url + ":443": "elsewhere", "https://b.example.com": "going", url + "/": "", "": ""} {
		got := ""
		if owner := Owner(issuers, at); owner != nil {
			got = owner.Name
		}
		if got != want {
			t.Errorf("the owner of %q is %q, want %q", at, got, want)
		}
	}
}

func TestLocations(t *testing.T) {
	for _, c := range []struct {
		name, url, endpoint string
		want                []Location
	}{
		{"url alone", "https://a.example.com/x", "", []Location{{"a.example.com", "/x"}}},
		{"both", "https://a.example.com/x", "https://in.svc:443", []Location{{"a.example.com", "/x"}, {"in.svc", ""}}},
		{"the same place twice", "https://a.example.com", "https://a.example.com:443", []Location{{"a.example.com", ""}}},
		{"an endpointURL where metadata is", "https://a.example.com", "https://in.svc" + OAuthMetadata, []Location{{"a.example.com", ""}}},
	} {
		if got := Locations(issuer("a", c.url, c.endpoint, 0)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, not %+v", c.name, got, c.want)
		}
	}
}
