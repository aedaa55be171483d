package grant

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// IssuerOf returns the issuer of a place that a token names in `iss`. The unverified claim only chooses among the
// issuers of the place; the chosen one verifies the token. The result is nil if no existing issuer is named, also
// at the API server. If the issuer is served at another place, or not served now, the error is InvalidRequest, so
// that the client keeps its token. endpoint is the path of the request below the url.
func (s *Service) IssuerOf(ctx context.Context, place registry.Place, compact, endpoint string) (*registry.Issuer, error) {
	url, kid := s.claimed(compact)
	if url == "" {
		return nil, nil
	}
	issuer, err := s.issuerNamed(place, url, kid, endpoint)
	if issuer != nil || err != nil {
		return issuer, err
	}
	from, err := s.fresh()
	if err != nil {
		return nil, err
	}
	if err := from.registry.IssuersNow(ctx, url, kid); err != nil {
		return nil, err
	}
	return s.issuerNamed(s.directory.At(place.Path, place.Host), url, kid, endpoint)
}

func (s *Service) issuerNamed(place registry.Place, url, kid, endpoint string) (*registry.Issuer, error) {
	service := s.directory.ServiceOf(url, kid)
	if issuer := place.Named(url); issuer != nil && service != registry.Unserved {
		return issuer, nil
	}
	switch service {
	case registry.Served:
		return nil, oauth.Refuse(oauth.InvalidRequest, "The token is from the issuer "+url+", which is not served at this URL: send it to "+url+endpoint+".")
	case registry.Unserved:
		return nil, oauth.Refuse(oauth.InvalidRequest, "The issuer of the token is not served now; keep the token until it is.")
	case registry.Unknown:
	}
	return nil, nil
}

// claimed returns the unverified issuer and kid of a token, from the cache if it was verified before.
func (s *Service) claimed(compact string) (url, kid string) {
	if claims, known := s.verified.Get(sha256.Sum256([]byte(compact))); known {
		return claims.Issuer, claims.KeyID
	}
	return token.Claimed(compact)
}

// IssuerOfLogin returns the issuer of a login. If several issuers share the place, it returns the one that the
// subject token may be for, if exactly one fits, and otherwise the one that has the place as its url. A password
// does not name an issuer.
func (s *Service) IssuerOfLogin(place registry.Place, subjectToken string) (*registry.Issuer, error) {
	if sole := place.Sole(); sole != nil {
		return sole, nil
	}
	from, audiences := identity.ClaimedIssuer(subjectToken), identity.ClaimedAudiences(subjectToken)
	var fits []*registry.Issuer
	for _, issuer := range place.Issuers() {
		if admits(issuer, from, audiences) {
			fits = append(fits, issuer)
		}
	}
	if len(fits) == 1 {
		return fits[0], nil
	}
	if owner := place.Owner(); owner != nil {
		return owner, nil
	}
	return nil, oauth.Refuse(oauth.InvalidRequest,
		"Several issuers share this URL, and the request does not name one of them: sign in at the token endpoint below the issuer's own url.")
}

// admits reports whether a subject token may be for the issuer: an id_token for an audience of one of its
// providers, or a ServiceAccount token with the issuer as an audience.
func admits(issuer *registry.Issuer, from string, audiences []string) bool {
	provided := false
	for i := range issuer.Login.Providers {
		provider := &issuer.Login.Providers[i]
		if provider.IssuerURL != from {
			continue
		}
		if forProvider(provider, audiences) {
			return true
		}
		provided = true
	}
	return !provided && slices.Contains(audiences, issuer.URL)
}

func forProvider(provider *v1alpha1.OIDCProvider, audiences []string) bool {
	return slices.ContainsFunc(audiences, func(audience string) bool { return slices.Contains(provider.Audiences, audience) })
}

// IssuerOfQuestion returns the issuer of an introspection by a caller with a bearer token: the one that is the
// audience of the bearer token. For a token of another issuer the answer is only that it is not active (RFC 7662
// §2.2).
func (s *Service) IssuerOfQuestion(ctx context.Context, place registry.Place, compact, bearer, endpoint string) (*registry.Issuer, error) {
	issuer, err := s.IssuerOf(ctx, place, compact, endpoint)
	var elsewhere *oauth.Error
	if err != nil && !errors.As(err, &elsewhere) {
		return nil, err
	}
	audiences := identity.ClaimedAudiences(bearer)
	asks := func(issuer *registry.Issuer) bool { return slices.Contains(audiences, issuer.URL) }
	if issuer != nil && asks(issuer) {
		return issuer, nil
	}
	if i := slices.IndexFunc(place.Issuers(), asks); i >= 0 {
		return place.Issuers()[i], nil
	}
	if issuer != nil {
		return issuer, nil
	}
	return place.Any(), nil
}
