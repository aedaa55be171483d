package registry

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Issuer is the part of a JWTIssuer that an exchange needs. It is immutable.
type Issuer struct {
	Name string
	// UID is that of the JWTIssuer.
	UID string
	// URL is the exact value of `iss`.
	URL string
	// TokenEndpoints are the URLs of the token endpoint, as configured.
	TokenEndpoints []string
	// bases are spec.url and spec.endpointURL.
	bases []string
	// Policy is the compiled policy; nil if it is invalid, and then nothing is granted.
	Policy *policy.Policy
	// Rings are the signing keys; nil if they cannot be read, and then no token can be verified.
	Rings *keyring.Rings
	// AccessLifetime is the default lifetime of access tokens.
	AccessLifetime time.Duration
	// Login is who may sign in, and how.
	Login Login
	// CacheFor is how long verifiers may cache the JWKS. A new signing key becomes active only after every copy
	// without it is outdated.
	CacheFor time.Duration

	ringsVersion string
}

// Login is spec.login with its defaults.
type Login struct {
	// SessionNamespace is the namespace of the sessions of people.
	SessionNamespace string
	// SessionsPerSubject and MaxSessions are the maximum numbers of sessions, of one subject and in total.
	SessionsPerSubject, MaxSessions int
	// SessionLifetime is the maximum lifetime of a session.
	SessionLifetime time.Duration
	// SessionIdleTimeout ends a session that is unused for that time; nil for never.
	SessionIdleTimeout *metav1.Duration
	// SessionRetryGrace is rotation.retryGrace of new sessions; nil for its default.
	SessionRetryGrace *metav1.Duration
	// Providers are the upstream OpenID Connect providers.
	Providers []v1alpha1.OIDCProvider
	// Clients are the applications that people sign in to with a browser or a device.
	Clients []v1alpha1.LoginClient
	// Passwords is the Secret with the htpasswd lines; empty if login by password is off.
	Passwords string
}

// HasDevices reports whether devices can sign in.
func (l *Login) HasDevices() bool {
	return slices.ContainsFunc(l.Clients, func(client v1alpha1.LoginClient) bool { return client.Device != nil })
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
	login.SessionIdleTimeout, login.SessionRetryGrace = spec.SessionIdleTimeout, spec.SessionRetryGrace
	login.Providers, login.Clients = spec.OIDC, spec.Clients
	if spec.Passwords != nil {
		login.Passwords = spec.Passwords.SecretRef.Name
	}
	return login
}

func issuerOf(issuer *v1alpha1.JWTIssuer, operatorNamespace string, keys *corev1.Secret) *Issuer {
	read := &Issuer{
		Name: issuer.Name, UID: string(issuer.UID), URL: issuer.Spec.URL,
		AccessLifetime: policy.AccessLifetime(&issuer.Spec), CacheFor: cacheFor(issuer), Login: loginOf(issuer, operatorNamespace),
	}
	for _, base := range [...]string{issuer.Spec.URL, issuer.Spec.EndpointURL} {
		if base != "" {
			read.bases = append(read.bases, base)
			read.TokenEndpoints = append(read.TokenEndpoints, endpoint.TokenURL(base))
		}
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

// SessionsURLs returns the URLs at which a subject lists its own sessions, as configured.
func (i *Issuer) SessionsURLs() []string { return i.below(endpoint.SessionsURL) }

// EndSessionsURLs returns the URLs at which a subject ends its own sessions, as configured.
func (i *Issuer) EndSessionsURLs() []string { return i.below(endpoint.EndSessionsURL) }

// UserInfoURLs returns the URLs of the claims of a person, as configured.
func (i *Issuer) UserInfoURLs() []string { return i.below(endpoint.UserInfoURL) }

func (i *Issuer) below(url func(base string) string) (urls []string) {
	for _, base := range i.bases {
		urls = append(urls, url(base))
	}
	return urls
}

// signs reports whether the issuer has a signing key with the kid.
func (i *Issuer) signs(kid string) bool {
	return i.Rings != nil && slices.ContainsFunc(i.Rings.Keys(), func(key keyring.Key) bool { return key.ID == kid })
}

// longestCache limits how long verifiers accept a withdrawn signing key.
const longestCache = 15 * time.Minute

func cacheFor(issuer *v1alpha1.JWTIssuer) time.Duration {
	prepublish := keyring.DefaultPrepublish
	if signing := issuer.Spec.Signing; signing != nil && signing.Prepublish != nil {
		prepublish = signing.Prepublish.Duration
	}
	return min(prepublish/2, longestCache).Truncate(time.Second)
}
