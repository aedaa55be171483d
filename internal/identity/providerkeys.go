package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/utils/clock"
)

// providerKeys are the public keys that verify a provider's id_tokens.
type providerKeys []jose.JSONWebKey

// fetchKeys reads the provider's keys from its jwks_uri.
func fetchKeys(ctx context.Context, client *http.Client, at string) (providerKeys, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Cache-Control", "no-cache")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its jwks_uri answers %s", response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("its keys cannot be read: %w", err)
	}
	return readKeys(body)
}

// readKeys parses a JWK Set. It leaves out keys of an unknown type and keys that are not for signatures (RFC 7517
// §5). A set without usable keys is an error, so that the known keys remain in use.
func readKeys(body []byte) (providerKeys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("its keys are not a JWK Set")
	}
	var keys providerKeys
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		var said struct {
			Operations []string `json:"key_ops"`
		}
		if key.UnmarshalJSON(raw) != nil || json.Unmarshal(raw, &said) != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		if (key.Use != "" && key.Use != "sig") || (said.Operations != nil && !slices.Contains(said.Operations, "verify")) {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("its JWK Set holds no key that verifies signatures")
	}
	return keys, nil
}

// verify returns the payload of a signature that one of the keys verifies. If none does, named reports whether a
// key has the kid of the signature.
func (k providerKeys) verify(signature *jose.JSONWebSignature) (payload []byte, named, verified bool) {
	name := signature.Signatures[0].Header.KeyID
	for i := range k {
		if name != "" && k[i].KeyID != name {
			continue
		}
		if payload, err := signature.Verify(&k[i]); err == nil {
			return payload, true, true
		}
		named = named || name != ""
	}
	return nil, named, false
}

// outageKey is the context key under which keySet reports that the provider is unavailable: go-oidc's errors do
// not distinguish that from an invalid signature.
type outageKey struct{}

// keySet is the oidc.KeySet of a provider.
type keySet struct {
	keys       *document[providerKeys]
	algorithms []jose.SignatureAlgorithm
	clock      clock.PassiveClock
}

func newKeySet(keys *document[providerKeys], algorithms []string, clock clock.PassiveClock) *keySet {
	set := &keySet{keys: keys, clock: clock}
	for _, name := range algorithms {
		set.algorithms = append(set.algorithms, jose.SignatureAlgorithm(name))
	}
	return set
}

var errKeySignature = errors.New("no key of the provider verifies the signature")

// VerifySignature implements oidc.KeySet. Since the provider may have a new key, it refuses a signature only after
// keys that were requested after the call do not verify it either. If the keys cannot be fetched now and the
// signature names an unknown key, it reports that the provider is unavailable.
func (s *keySet) VerifySignature(ctx context.Context, compact string) ([]byte, error) {
	came := s.clock.Now()
	signature, err := jose.ParseSignedCompact(compact, s.algorithms)
	if err != nil {
		return nil, err
	}
	known := s.keys.known(ctx)
	var named bool
	if known != nil {
		var payload []byte
		var verified bool
		if payload, named, verified = known.content.verify(signature); verified {
			return payload, nil
		}
	}
	if known == nil || known.askedAt.Before(came) {
		newer, err := s.keys.newer(ctx)
		if err == nil {
			payload, namedNow, verified := newer.content.verify(signature)
			if verified {
				return payload, nil
			}
			if named = namedNow; !named && newer.askedAt.Before(came) {
				err = errTooSoon
			}
		}
		if err != nil && !named {
			if outage, ok := ctx.Value(outageKey{}).(*error); ok {
				*outage = err
			}
			return nil, err
		}
	}
	return nil, errKeySignature
}
