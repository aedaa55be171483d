// Package endpoint returns the host and path of issuers, and the issuers that a request cannot distinguish. The operator and the
// token service use the same functions, so that an issuer that is Ready is served. All functions are pure.
package endpoint

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// OAuthMetadata precedes an issuer's path (RFC 8414 §3.1).
const OAuthMetadata = "/.well-known/oauth-authorization-server"

// defaultPort is that of https, the only scheme of an issuer.
const defaultPort = "443"

// Location is a host and a path in canonical form, for comparison.
type Location struct{ Host, Path string }

// At returns the location of a request. Paths are compared byte for byte.
func At(host, path string) Location { return Location{Host: Host(host), Path: path} }

// Of returns the location of a URL; false if it is not a URL.
func Of(raw string) (Location, bool) {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.Host == "" {
		return Location{}, false
	}
	return At(parsed.Host, strings.TrimSuffix(parsed.Path, "/")), true
}

// Host returns a host and its port in canonical form: in lower case, without the port 443, without a
// trailing dot, and an IPv6 address in brackets and in its short form.
func Host(raw string) string {
	name, port := split(strings.ToLower(raw))
	if port != "" && port != defaultPort {
		port = ":" + port
	} else {
		port = ""
	}
	if inside, ok := strings.CutPrefix(name, "["); ok {
		if address, err := netip.ParseAddr(strings.TrimSuffix(inside, "]")); err == nil {
			return "[" + address.String() + "]" + port
		}
		return name + port
	}
	return strings.TrimSuffix(name, ".") + port
}

// split separates the port. Colons within brackets belong to the address.
func split(host string) (name, port string) {
	at := strings.LastIndexByte(host, ':')
	if at < 0 || at < strings.LastIndexByte(host, ']') {
		return host, ""
	}
	return host[:at], host[at+1:]
}

// Conflict is the reason why requests cannot distinguish an issuer from another, and what to do.
type Conflict struct {
	// Reason is the reason of the condition Ready.
	Reason, Message string
	// Unserved is true if no request to the issuer's url is for it, so that the token service leaves it out.
	Unserved bool
}

// Conflicts returns the issuers in conflict with another, by name. Of several with the same url, the oldest keeps it, even
// while it is being deleted. docs/adr/0016 contains the table.
func Conflicts(issuers []*v1alpha1.JWTIssuer) map[string]Conflict {
	conflicts := map[string]Conflict{}
	owners := oldest(issuers, func(issuer *v1alpha1.JWTIssuer) (Location, bool) { return Of(issuer.Spec.URL) })
	for _, issuer := range issuers {
		at, ok := Of(issuer.Spec.URL)
		if !ok {
			continue
		}
		switch owner := owners[at]; {
		case isMetadata(at.Path):
			conflicts[issuer.Name] = Conflict{
				Reason: v1alpha1.ReasonEndpointConflict, Unserved: true,
				Message: "The path of url begins with " + OAuthMetadata + ", where the metadata of other issuers is; create another JWTIssuer, and delete this one.",
			}
			continue
		case owner == issuer:
		case owner.Spec.URL == issuer.Spec.URL:
			conflicts[issuer.Name] = Conflict{
				Reason: v1alpha1.ReasonURLConflict, Unserved: true,
				Message: fmt.Sprintf("JWTIssuer %q is older and has the same url; delete one of the two.", owner.Name),
			}
			continue
		default:
			conflicts[issuer.Name] = Conflict{
				Reason: v1alpha1.ReasonEndpointConflict, Unserved: true,
				Message: fmt.Sprintf("JWTIssuer %q is older, and its url %s has the same host and path; delete one of the two, since url cannot be changed.",
					owner.Name, owner.Spec.URL),
			}
			continue
		}
		if inside, ok := Of(issuer.Spec.EndpointURL); ok && isMetadata(inside.Path) {
			conflicts[issuer.Name] = Conflict{
				Reason:  v1alpha1.ReasonEndpointConflict,
				Message: "The path of endpointURL begins with " + OAuthMetadata + ", where the metadata of issuers is; change endpointURL.",
			}
		}
	}
	return conflicts
}

// ByAge sorts issuers: the oldest first, and those of the same age by name.
func ByAge(issuers []*v1alpha1.JWTIssuer) []*v1alpha1.JWTIssuer {
	return slices.SortedFunc(slices.Values(issuers), func(a, b *v1alpha1.JWTIssuer) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// Owner returns the oldest issuer with exactly that URL, which takes precedence over later ones, even while it is being
// deleted; nil if there is none.
func Owner(issuers []*v1alpha1.JWTIssuer, url string) *v1alpha1.JWTIssuer {
	return oldest(issuers, func(issuer *v1alpha1.JWTIssuer) (string, bool) { return issuer.Spec.URL, true })[url]
}

// oldest returns, for each value of a property, the oldest issuer with it: of those that share it, that one takes
// precedence. of returns the property; false if the issuer has none.
func oldest[K comparable](issuers []*v1alpha1.JWTIssuer, of func(*v1alpha1.JWTIssuer) (K, bool)) map[K]*v1alpha1.JWTIssuer {
	first := map[K]*v1alpha1.JWTIssuer{}
	for _, issuer := range ByAge(issuers) {
		if value, ok := of(issuer); ok && first[value] == nil {
			first[value] = issuer
		}
	}
	return first
}

// SamePlace reports whether two issuers have the same host and path in url, so that the deletion of one affects the other.
func SamePlace(a, b *v1alpha1.JWTIssuer) bool {
	one, ok := Of(a.Spec.URL)
	other, too := Of(b.Spec.URL)
	return ok && too && one == other
}

func isMetadata(path string) bool {
	return path == OAuthMetadata || strings.HasPrefix(path, OAuthMetadata+"/")
}

// Locations returns the locations of an issuer: its url first, and its endpointURL if that is another location. Requests to
// the paths of metadata are never for an issuer's own endpoints.
func Locations(issuer *v1alpha1.JWTIssuer) []Location {
	var all []Location
	for _, raw := range []string{issuer.Spec.URL, issuer.Spec.EndpointURL} {
		if at, ok := Of(raw); ok && !isMetadata(at.Path) && !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}
