package signin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// remoteTimeout is how long an answer of the provider or of the token service may take, and remoteBody its longest size.
const (
	remoteTimeout = 8 * time.Second
	remoteBody    = 1 << 20
)

// ownAgent is the User-Agent of requests that are the console's own.
const ownAgent = "refreshkeys-console"

// remote is the provider, or the token service.
type remote struct {
	issuer, caFile string
	documents      *identity.Providers
	// connection follows no redirect.
	connection *http.Client
}

// newRemote returns the server of an issuer. caFile holds its certificate authorities; empty for those of the system.
func newRemote(issuer, caFile string, documents *identity.Providers) *remote {
	return &remote{issuer: issuer, caFile: caFile, documents: documents, connection: &http.Client{
		Transport: bounded{&upstream.Trusting{File: caFile}}, Timeout: remoteTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// metadata is what the discovery document says (OpenID Connect Discovery §3, RFC 8414, RFC 9207, RP-Initiated Logout).
type metadata struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	NamesIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// entry returns how package identity names the server. The file of its authorities is read each time, since it may change.
func (r *remote) entry() (*v1alpha1.OIDCProvider, error) {
	entry := &v1alpha1.OIDCProvider{IssuerURL: r.issuer}
	if r.caFile != "" {
		bundle, err := os.ReadFile(r.caFile)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", upstream.ErrUnavailable, err)
		}
		entry.CABundle = string(bundle)
	}
	return entry, nil
}

// metadata returns the document of the server. Endpoints that are not https count as absent.
func (r *remote) metadata(ctx context.Context) (*metadata, error) {
	entry, err := r.entry()
	if err != nil {
		return nil, err
	}
	found := &metadata{}
	if err := r.documents.Metadata(ctx, entry, found); err != nil {
		return nil, err
	}
	for _, endpoint := range []*string{&found.Authorization, &found.Token, &found.Revocation, &found.EndSession} {
		if at, err := url.Parse(*endpoint); err != nil || at.Scheme != "https" {
			*endpoint = ""
		}
	}
	return found, nil
}

// bounded sets the User-Agent of the context, and fails answers that are too long.
type bounded struct{ next *upstream.Trusting }

type agentKey struct{}

// withAgent returns a context whose requests have a User-Agent.
func withAgent(ctx context.Context, agent string) context.Context {
	return context.WithValue(ctx, agentKey{}, agent)
}

// RoundTrip implements http.RoundTripper.
func (t bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", ownAgent)
	if agent, _ := request.Context().Value(agentKey{}).(string); agent != "" {
		request.Header.Set("User-Agent", agent)
	}
	response, err := t.next.RoundTrip(request)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, remoteBody)
	}
	return response, err
}

// CloseIdleConnections lets http.Client close those of the transport.
func (t bounded) CloseIdleConnections() { t.next.CloseIdleConnections() }

// grant sends a request to the token endpoint. Its error is a *refusal or upstream.ErrUnavailable.
func (r *remote) grant(ctx context.Context, who *client, form url.Values) (*oauth2.Token, error) {
	found, err := r.metadata(ctx)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{ClientID: who.id, TokenURL: found.Token, EndpointParams: form}
	if err := who.prove(&config, found.AuthMethods); err != nil {
		return nil, fmt.Errorf("%w: %w", upstream.ErrUnavailable, err)
	}
	got, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, r.connection))
	if err != nil {
		return nil, judged(err)
	}
	return got, nil
}

// client is the console as a client of the provider or of the token service.
type client struct{ id, secretFile, assertionFile string }

// assertionType is that of RFC 7523 §2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// prove adds the client's proof to a request.
func (c *client) prove(config *clientcredentials.Config, methods []string) error {
	config.AuthStyle = oauth2.AuthStyleInParams
	switch {
	case c.secretFile != "":
		secret, err := readSecret(c.secretFile)
		if err != nil {
			return err
		}
		config.ClientSecret = secret
		// client_secret_basic is the default (OpenID Connect Discovery §3).
		if !slices.Contains(methods, "client_secret_post") || slices.Contains(methods, "client_secret_basic") {
			config.AuthStyle = oauth2.AuthStyleInHeader
		}
	case c.assertionFile != "":
		assertion, err := readSecret(c.assertionFile)
		if err != nil {
			return err
		}
		config.EndpointParams.Set("client_assertion_type", assertionType)
		config.EndpointParams.Set("client_assertion", assertion)
	}
	return nil
}

// revoke ends a refresh token (RFC 7009). A server without that endpoint keeps it until its end.
func (r *remote) revoke(ctx context.Context, who *client, refresh string) error {
	found, err := r.metadata(ctx)
	if err != nil || found.Revocation == "" {
		return err
	}
	proof := clientcredentials.Config{ClientID: who.id, EndpointParams: url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}}}
	if err := who.prove(&proof, found.AuthMethods); err != nil {
		return err
	}
	form := proof.EndpointParams
	if proof.AuthStyle == oauth2.AuthStyleInParams && who.id != "" {
		form.Set("client_id", who.id)
	}
	if proof.AuthStyle == oauth2.AuthStyleInParams && proof.ClientSecret != "" {
		form.Set("client_secret", proof.ClientSecret)
	}
	request, err := newForm(ctx, found.Revocation, form)
	if err != nil {
		return err
	}
	if proof.AuthStyle == oauth2.AuthStyleInHeader {
		request.SetBasicAuth(url.QueryEscape(who.id), url.QueryEscape(proof.ClientSecret))
	}
	response, err := r.connection.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return &refusal{status: response.StatusCode}
	}
	return nil
}
