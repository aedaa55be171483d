package registry

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Issuer is an issuer with all that an exchange needs of it. It never changes.
type Issuer struct {
	Name string
	// URL is `iss`, to the byte.
	URL string
	// TokenEndpoints are the URLs of the token endpoint, as configured.
	TokenEndpoints []string
	// Policy says who may have what; nil where it cannot be read, and nothing is granted.
	Policy *policy.Policy
	// Rings are its signing keys; nil where they cannot be read, and nothing can be verified.
	Rings *keyring.Rings
	// AccessLifetime is the lifetime of an access token whose key does not say.
	AccessLifetime time.Duration
	// Login says who may sign in, and how.
	Login Login
	// CacheFor is how long a verifier may keep the JWKS: a new key signs only once every copy
	// that lacks it is out of date.
	CacheFor time.Duration

	path         string
	hosts        []string
	ringsVersion string
}

// Login is spec.login with its defaults.
type Login struct {
	// SessionNamespace is where people have their sessions.
	SessionNamespace string
	// SessionsPerSubject and MaxSessions are the most there are of one subject and of all.
	SessionsPerSubject, MaxSessions int
	// SessionLifetime is how long a session lasts at the most.
	SessionLifetime time.Duration
	// SessionIdleTimeout ends a session that is not used for so long; nil for never.
	SessionIdleTimeout *metav1.Duration
	// SessionRetryGrace is rotation.retryGrace of new sessions; nil for its default.
	SessionRetryGrace *metav1.Duration
	// Providers are the upstream OpenID Connect providers.
	Providers []v1alpha1.OIDCProvider
	// Passwords is the Secret with the htpasswd lines; empty where nobody signs in by password.
	Passwords string
}

// Defaults of spec.login.
const (
	defaultSessionsPerSubject = 10
	defaultMaxSessions        = 10000
)

func loginOf(issuer *v1alpha1.JWTIssuer, operatorNamespace string) Login {
	login := Login{
		SessionNamespace:   lifecycle.SessionNamespace(issuer, operatorNamespace),
		SessionsPerSubject: defaultSessionsPerSubject, MaxSessions: defaultMaxSessions, SessionLifetime: lifecycle.DefaultLifetime,
	}
	spec := issuer.Spec.Login
	if spec == nil {
		return login
	}
	if spec.SessionsPerSubject > 0 {
		login.SessionsPerSubject = int(spec.SessionsPerSubject)
	}
	if spec.MaxSessions > 0 {
		login.MaxSessions = int(spec.MaxSessions)
	}
	if spec.SessionLifetime != nil {
		login.SessionLifetime = spec.SessionLifetime.Truncate(time.Second)
	}
	login.SessionIdleTimeout, login.SessionRetryGrace, login.Providers = spec.SessionIdleTimeout, spec.SessionRetryGrace, spec.OIDC
	if spec.Passwords != nil {
		login.Passwords = spec.Passwords.SecretRef.Name
	}
	return login
}

// issuerSet is all issuers at one moment, by the path of their URL.
type issuerSet map[string][]*Issuer

// find is the issuer whose endpoints are under a path. Where several issuers have the same
// path on different hosts, the request's host chooses among these, and does nothing else.
func (s issuerSet) find(path, host string) *Issuer {
	candidates := s[path]
	if len(candidates) == 1 {
		return candidates[0]
	}
	for _, issuer := range candidates {
		if slices.ContainsFunc(issuer.hosts, func(known string) bool { return strings.EqualFold(known, host) }) {
			return issuer
		}
	}
	return nil
}

// issuersOf reads issuers and their signing keys. Of several with one URL the oldest counts.
func issuersOf(issuers []*v1alpha1.JWTIssuer, operatorNamespace string, keys func(issuer string) *corev1.Secret) issuerSet {
	slices.SortFunc(issuers, func(a, b *v1alpha1.JWTIssuer) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	set, taken := issuerSet{}, map[string]bool{}
	for _, issuer := range issuers {
		if taken[issuer.Spec.URL] {
			continue
		}
		taken[issuer.Spec.URL] = true
		if issuer.DeletionTimestamp != nil {
			continue
		}
		if read := issuerOf(issuer, operatorNamespace, keys(issuer.Name)); read != nil {
			set[read.path] = append(set[read.path], read)
		}
	}
	return set
}

// tokenEndpoint is where under an issuer's URL tokens are exchanged.
const tokenEndpoint = "/token"

func issuerOf(issuer *v1alpha1.JWTIssuer, operatorNamespace string, keys *corev1.Secret) *Issuer {
	parsed, err := url.Parse(issuer.Spec.URL)
	if err != nil {
		return nil
	}
	read := &Issuer{
		Name: issuer.Name, URL: issuer.Spec.URL,
		AccessLifetime: policy.DefaultAccessLifetime, CacheFor: cacheFor(issuer), Login: loginOf(issuer, operatorNamespace),
		path: strings.TrimSuffix(parsed.Path, "/"), hosts: []string{parsed.Host}, TokenEndpoints: []string{issuer.Spec.URL + tokenEndpoint},
	}
	if inside, err := url.Parse(issuer.Spec.EndpointURL); err == nil && inside.Host != "" {
		read.hosts = append(read.hosts, inside.Host)
		read.TokenEndpoints = append(read.TokenEndpoints, issuer.Spec.EndpointURL+tokenEndpoint)
	}
	if at := issuer.Spec.AccessToken; at != nil && at.Lifetime != nil {
		read.AccessLifetime = at.Lifetime.Duration
	}
	if compiled, err := policy.Compile(&issuer.Spec); err == nil {
		read.Policy = compiled
	}
	if keys != nil {
		read.ringsVersion = keys.ResourceVersion
		if decoded, err := keyring.Decode(keys.Data); err == nil {
			read.Rings = decoded
		}
	}
	return read
}

// longestCache is long enough to spare the service, and short enough for a key that was
// withdrawn.
const longestCache = 15 * time.Minute

func cacheFor(issuer *v1alpha1.JWTIssuer) time.Duration {
	prepublish := keyring.DefaultPrepublish
	if signing := issuer.Spec.Signing; signing != nil && signing.Prepublish != nil {
		prepublish = signing.Prepublish.Duration
	}
	return min(prepublish/2, longestCache).Truncate(time.Second)
}
