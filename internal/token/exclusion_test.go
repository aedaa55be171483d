package token

import (
	"errors"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// TestKindsExcludeEachOther is about I7 of docs/architecture.md, for the two kinds of this package: each reason for which
// the one is no instance of the other is shown alone, with all others made good, and suffices.
func TestKindsExcludeEachOther(t *testing.T) {
	for _, algorithm := range algorithms {
		rings := ringsOf[algorithm]()
		refresh, access := signer(t, rings, Refresh), signer(t, rings, Access)
		refreshPayload, accessPayload, earlierPayload := payloadOf(t, claims()), payloadOf(t, accessClaims()), payloadOf(t, earlierAccessClaims())
		for _, c := range []struct {
			name    string
			compact string
			as      Type
			want    error
		}{
			{"an access token as it is", mint(t, access, Access, accessPayload), Refresh, ErrMalformed},
			{"by its typ alone", signAny(t, refresh, headerOf(refresh, Access), refreshPayload), Refresh, ErrMalformed},
			{"by its key alone", signAny(t, access, headerOf(access, Refresh), refreshPayload), Refresh, ErrUnknownKey},
			{"by its key alone, under the other's kid", signAny(t, access, headerOf(refresh, Refresh), refreshPayload), Refresh, ErrSignature},
			{"by its claims alone, of an earlier release", signAny(t, refresh, headerOf(refresh, Refresh), earlierPayload), Refresh, ErrMalformed},
			{"none of these", signAny(t, refresh, headerOf(refresh, Refresh), refreshPayload), Refresh, nil},

			{"a refresh token as it is", mint(t, refresh, Refresh, refreshPayload), Access, ErrMalformed},
			{"by its typ alone", signAny(t, access, headerOf(access, Refresh), accessPayload), Access, ErrMalformed},
			{"by its key alone", signAny(t, refresh, headerOf(refresh, Access), accessPayload), Access, ErrUnknownKey},
			{"by its key alone, under the other's kid", signAny(t, refresh, headerOf(access, Access), accessPayload), Access, ErrSignature},
			{"by its binding to a ServiceAccount alone", signAny(t, access, headerOf(access, Access), refreshPayload), Access, ErrMalformed},
			{"none of these", signAny(t, access, headerOf(access, Access), accessPayload), Access, nil},
			{"an id_token as it is", mintID(t, access), Access, ErrMalformed},
			{"none of these, of an earlier release", signAny(t, access, headerOf(access, Access), earlierPayload), Access, nil},
		} {
			_, err := Parse(c.compact, c.as, rings, issuer, t0)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s, read as %s: %s: %v, wanted %v", algorithm, c.as, c.name, err, c.want)
			}
		}
	}
}

// TestOtherKindsAreRefused checks that no token of another kind is accepted, even with a valid signature of a
// signing key: typ, claims and key each prevent it.
func TestOtherKindsAreRefused(t *testing.T) {
	rings := ringsOf[keyring.ES256]()
	kinds := []struct{ name, typ, payload string }{
		{"id_token", "JWT", `{"iss":"` + issuer + `","sub":"a","aud":"b","exp":1780228800,"iat":1777636800,"nonce":"x"}`},
		{"ServiceAccount token", "JWT", `{"iss":"` + issuer + `","sub":"system:serviceaccount:shop:orders","aud":["` + issuer + `"],"exp":1780228800,"iat":1777636800,"nbf":1777636800,"jti":"x","kubernetes.io":{"namespace":"shop"}}`},
		{"client assertion", "client-authentication+jwt", `{"iss":"x","sub":"x","aud":"` + issuer + `","exp":1780228800,"jti":"x"}`},
		{"DPoP proof", "dpop+jwt", `{"htm":"POST","htu":"` + issuer + `/token","iat":1777636800,"jti":"x"}`},
		{"introspection answer", "token-introspection+jwt", `{"iss":"` + issuer + `","aud":"x","iat":1777636800,"token_introspection":{"active":true}}`},
		{"status list", "statuslist+jwt", `{"sub":"x","iat":1777636800,"exp":1780228800,"status_list":{"bits":1,"lst":"AA"}}`},
	}
	for _, kind := range kinds {
		for _, as := range []Type{Refresh, Access} {
			key := signer(t, rings, as)
			for name, compact := range map[string]string{
				"as it is":     signAny(t, key, headerOf(key, Type(kind.typ)), kind.payload),
				"with our typ": signAny(t, key, headerOf(key, as), kind.payload),
				"with our claims": signAny(t, key, headerOf(key, Type(kind.typ)), payloadOf(t, map[Type]*Claims{
					Refresh: claims(), Access: accessClaims(),
				}[as])),
			} {
				if _, err := Parse(compact, as, rings, issuer, t0); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s, %s, read as %s: %v", kind.name, name, as, err)
				}
			}
		}
	}
}
