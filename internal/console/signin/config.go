package signin

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Forward says what a person acts with at the API server.
type Forward string

// The ways to forward a sign-in.
const (
	// IDToken forwards the id_token: the API server trusts the provider.
	IDToken Forward = "IDToken"
	// AccessToken forwards the access token of the sign-in: the provider is a JWTIssuer that the API server trusts.
	AccessToken Forward = "AccessToken"
	// Exchange forwards an access token of the token service: the API server trusts a JWTIssuer.
	Exchange Forward = "Exchange"
	// Impersonation forwards the console's own credential with the person's name and groups.
	Impersonation Forward = "Impersonation"
)

// defaultPrefix is that of names and groups of the provider, so that they are never those of other people of the cluster.
const defaultPrefix = "oidc:"

// Config is the content of the file of --oidc-config.
type Config struct {
	// IssuerURL is the `iss` of the provider. Its discovery document is below it.
	IssuerURL string `json:"issuerURL"`
	ClientID  string `json:"clientID"`
	// ClientSecretFile holds the secret of the client, and ClientAssertionFile a token that proves it (RFC 7523), such as a projected
	// token of a ServiceAccount. Both are read at each request. A client without either is a public client.
	ClientSecretFile    string `json:"clientSecretFile,omitempty"`
	ClientAssertionFile string `json:"clientAssertionFile,omitempty"`
	// CAFile holds the certificate authorities of the provider; empty for those of the system.
	CAFile string `json:"caFile,omitempty"`
	// Scopes are those to ask for; the default is openid, profile, email.
	Scopes []string `json:"scopes,omitempty"`
	// UsernameClaim and GroupsClaim, with their prefixes, give the person's names under impersonation.
	UsernameClaim  string  `json:"usernameClaim,omitempty"`
	UsernamePrefix *string `json:"usernamePrefix,omitempty"`
	GroupsClaim    string  `json:"groupsClaim,omitempty"`
	GroupsPrefix   *string `json:"groupsPrefix,omitempty"`
	Forward        Forward `json:"forward,omitempty"`
	// TokenService is where the id_token is exchanged, or where the person signs in.
	TokenService *TokenService `json:"tokenService,omitempty"`
}

// TokenService is a JWTIssuer that the API server trusts.
type TokenService struct {
	IssuerURL string `json:"issuerURL"`
	// Audience is that of the access tokens: one that the API server accepts.
	Audience string `json:"audience"`
	// CAFile holds the certificate authorities of the token service; empty for those of the system.
	CAFile string `json:"caFile,omitempty"`
}

// Load reads the file of --oidc-config. impersonate is the flag --impersonate.
func Load(path string, impersonate bool) (*Config, error) {
	content, err := os.ReadFile(path) //nolint:gosec // it is the operator's own flag
	if err != nil {
		return nil, fmt.Errorf("--oidc-config: %w", err)
	}
	c := &Config{}
	if err := decode(content, c); err != nil {
		return nil, fmt.Errorf("--oidc-config: %s is not a configuration: %w", path, err)
	}
	c.setDefaults(impersonate)
	if err := errors.Join(c.problems(impersonate)...); err != nil {
		return nil, fmt.Errorf("--oidc-config: %s:\n%w", path, err)
	}
	return c, nil
}

// decode reads YAML strictly: fields that are unknown, also by their case, or that are given twice are refused.
func decode(content []byte, into *Config) error {
	asJSON, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return err
	}
	strict, err := json.UnmarshalStrict(asJSON, into)
	return errors.Join(append(strict, err)...)
}

func (c *Config) setDefaults(impersonate bool) {
	if c.Forward == "" {
		if c.Forward = IDToken; impersonate {
			c.Forward = Impersonation
		}
	}
	if c.Forward == AccessToken && c.TokenService != nil {
		// The provider is the token service.
		if c.TokenService.IssuerURL == "" {
			c.TokenService.IssuerURL = c.IssuerURL
		}
		if c.TokenService.CAFile == "" {
			c.TokenService.CAFile = c.CAFile
		}
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "profile", "email"}
		if c.Forward == AccessToken {
			c.Scopes = []string{"openid"}
		}
	}
	if c.Forward != Impersonation {
		return
	}
	if c.UsernameClaim == "" {
		c.UsernameClaim = "sub"
	}
	for _, prefix := range []**string{&c.UsernamePrefix, &c.GroupsPrefix} {
		if *prefix == nil {
			given := defaultPrefix
			*prefix = &given
		}
	}
}

// problems returns all that is wrong with a configuration, each with what to do.
func (c *Config) problems(impersonate bool) []error {
	found := []error{
		urlProblem("issuerURL", c.IssuerURL, "the URL of the provider, such as https://idp.example.com"),
		fileProblem("clientSecretFile", c.ClientSecretFile), fileProblem("clientAssertionFile", c.ClientAssertionFile),
		authoritiesProblem("caFile", c.CAFile),
	}
	if c.ClientID == "" {
		found = append(found, errors.New("clientID is missing: register the console as a client at the provider, and set clientID to its id"))
	}
	if c.ClientSecretFile != "" && c.ClientAssertionFile != "" {
		found = append(found, errors.New("clientSecretFile and clientAssertionFile are both set: a client proves itself in one way; remove one"))
	}
	if !slices.Contains(c.Scopes, "openid") {
		found = append(found, errors.New("scopes have no openid, without which the provider gives no id_token: add it"))
	}
	return append(found, c.forwardProblems(impersonate)...)
}

func (c *Config) forwardProblems(impersonate bool) []error {
	var found []error
	switch {
	case !slices.Contains([]Forward{IDToken, AccessToken, Exchange, Impersonation}, c.Forward):
		found = append(found, fmt.Errorf("forward is %q: set it to IDToken, AccessToken, Exchange or Impersonation", c.Forward))
	case c.Forward == Impersonation && !impersonate:
		found = append(found, errors.New("forward is Impersonation, which also needs the flag --impersonate: the console then acts with its own credential"))
	case c.Forward != Impersonation && impersonate:
		found = append(found, fmt.Errorf("--impersonate has no effect with forward: %s; remove one of the two", c.Forward))
	}
	if c.Forward == Exchange && slices.Contains(c.Scopes, "offline_access") {
		found = append(found, errors.New("the scope offline_access has no use with forward: Exchange, where the token service renews the session; remove it"))
	}
	switch {
	case c.Forward == Exchange && c.TokenService == nil:
		found = append(found, errors.New("forward is Exchange, and tokenService is missing: set its issuerURL and audience"))
	case c.Forward == AccessToken && c.TokenService == nil:
		found = append(found, errors.New("forward is AccessToken, and tokenService is missing: set its audience"))
	case c.Forward == AccessToken && c.TokenService.IssuerURL != c.IssuerURL:
		found = append(found, errors.New("tokenService.issuerURL differs from issuerURL: with forward: AccessToken people sign in at the token service; remove it"))
	case c.Forward == AccessToken && (c.ClientSecretFile != "" || c.ClientAssertionFile != ""):
		found = append(found, errors.New("a JWTIssuer has public clients only: remove clientSecretFile and clientAssertionFile"))
	case c.Forward != Exchange && c.Forward != AccessToken && c.TokenService != nil:
		found = append(found, fmt.Errorf("tokenService has no effect with forward: %s; set forward: Exchange or AccessToken, or remove it", c.Forward))
	case c.TokenService != nil:
		found = append(found, c.TokenService.problems()...)
	}
	if c.Forward == Impersonation {
		return append(found, prefixProblem("usernamePrefix", *c.UsernamePrefix), prefixProblem("groupsPrefix", *c.GroupsPrefix))
	}
	if c.UsernameClaim != "" || c.UsernamePrefix != nil || c.GroupsClaim != "" || c.GroupsPrefix != nil {
		found = append(found, fmt.Errorf("usernameClaim, usernamePrefix, groupsClaim and groupsPrefix have no effect with forward: %s, "+
			"where the configuration of the API server names people; remove them", c.Forward))
	}
	return found
}

func (t *TokenService) problems() []error {
	found := []error{
		urlProblem("tokenService.issuerURL", t.IssuerURL, "the url of the JWTIssuer that the API server trusts"),
		authoritiesProblem("tokenService.caFile", t.CAFile),
	}
	if t.Audience == "" {
		found = append(found, errors.New("tokenService.audience is missing: set it to an audience that the API server accepts (issuer.audiences of its AuthenticationConfiguration)"))
	}
	return found
}

func urlProblem(field, given, wanted string) error {
	if given == "" {
		return fmt.Errorf("%s is missing: set it to %s", field, wanted)
	}
	at, err := url.Parse(given)
	if err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil || at.RawQuery != "" || at.Fragment != "" {
		return fmt.Errorf("%s must be an https URL without user, query and fragment: set it to %s", field, wanted)
	}
	return nil
}

func prefixProblem(field, prefix string) error {
	if strings.HasPrefix(prefix, systemPrefix) || strings.TrimSpace(prefix) != prefix {
		return fmt.Errorf("%s must not begin with %q, and has no spaces at its ends: such names belong to the cluster itself", field, systemPrefix)
	}
	return nil
}

func fileProblem(field, path string) error {
	if path == "" {
		return nil
	}
	_, err := readSecret(path)
	if err != nil {
		return fmt.Errorf("%s: %w; mount the file into the pod of the console", field, err)
	}
	return nil
}

// readSecret returns the content of a file without the spaces around it.
func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path) //nolint:gosec // a path of the operator's configuration
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

func authoritiesProblem(field, path string) error {
	if path == "" {
		return nil
	}
	bundle, err := readSecret(path)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(bundle)) {
		return fmt.Errorf("%s: %s holds no certificate in PEM", field, path)
	}
	return nil
}
