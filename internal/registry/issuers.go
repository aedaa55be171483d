package registry

import (
	"slices"
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

// tokenEndpoint is where under an issuer's URL tokens are exchanged.
const tokenEndpoint = "/token"

func issuerOf(issuer *v1alpha1.JWTIssuer, operatorNamespace string, keys *corev1.Secret) *Issuer {
	read := &Issuer{
		Name: issuer.Name, URL: issuer.Spec.URL,
		AccessLifetime: policy.DefaultAccessLifetime, CacheFor: cacheFor(issuer), Login: loginOf(issuer, operatorNamespace),
		TokenEndpoints: []string{issuer.Spec.URL + tokenEndpoint},
	}
	if issuer.Spec.EndpointURL != "" {
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

// signs tells whether a signing key is one of the issuer's.
func (i *Issuer) signs(kid string) bool {
	return i.Rings != nil && slices.ContainsFunc(i.Rings.Keys(), func(key keyring.Key) bool { return key.ID == kid })
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
