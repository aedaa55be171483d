package tokenserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// device is a client that proves a key of its own (RFC 9449).
type device struct {
	t      *testing.T
	r      *replica.Replica
	signer jose.Signer
	// nonce is the last one that it received.
	nonce string
	made  int
}

func newDevice(t *testing.T, r *replica.Replica) *device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	return &device{t: t, r: r, signer: signer}
}

// proof returns a good proof for the token endpoint, with a claim of this many bytes that has no meaning.
func (d *device) proof(padding int) string {
	d.t.Helper()
	return d.proofFor(map[string]any{"htm": http.MethodPost, "htu": replica.URL + "/token", "padding": strings.Repeat("a", padding)})
}

// proofFor returns a good proof with the claims, which say what it is for.
func (d *device) proofFor(claims map[string]any) string {
	d.t.Helper()
	d.made++
	claims["jti"], claims["iat"] = fmt.Sprint("proof-", d.made), d.r.Clock.Now().Unix()
	if d.nonce != "" {
		claims["nonce"] = d.nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		d.t.Fatal(err)
	}
	signed, err := d.signer.Sign(payload)
	if err != nil {
		d.t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		d.t.Fatal(err)
	}
	return compact
}

// TestProofsOverHTTP checks how the DPoP header is read: it is there at most once, with one proof of at most 8 KiB, and
// an empty header is not the same as none (RFC 9449 §4.3).
func TestProofsOverHTTP(t *testing.T) {
	r := replica.New(t)
	form := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {r.Issue("orders")}}
	present := func(proofs ...string) *answer {
		var header []string
		for _, proof := range proofs {
			header = append(header, "DPoP", proof)
		}
		return ask(r, http.MethodPost, "/"+replica.Name+"/token", form, header...)
	}
	device := newDevice(t, r)
	first := present(device.proof(0))
	device.nonce = first.header.Get("DPoP-Nonce")
	if first.outcome() != "400 use_dpop_nonce" || device.nonce == "" {
		t.Fatalf("a proof without the nonce of the service: %s", first.raw)
	}
	for _, c := range []struct {
		name       string
		proofs     []string
		want, kind string
	}{
		{"none", nil, "200", "Bearer"},
		{"one", []string{device.proof(0)}, "200", "DPoP"},
		{"one of almost 8 KiB", []string{device.proof(5_500)}, "200", "DPoP"},
		{"one of more than 8 KiB", []string{device.proof(6_200)}, "400 invalid_dpop_proof", ""},
		{"an empty header", []string{""}, "400 invalid_dpop_proof", ""},
		{"nonsense", []string{"nonsense"}, "400 invalid_dpop_proof", ""},
		{"two headers", []string{device.proof(0), device.proof(0)}, "400 invalid_dpop_proof", ""},
		{"one header and an empty one", []string{device.proof(0), ""}, "400 invalid_dpop_proof", ""},
		{"two in one header", []string{device.proof(0) + ", " + device.proof(0)}, "400 invalid_dpop_proof", ""},
	} {
		if got := present(c.proofs...); got.outcome() != c.want || got.text("token_type") != c.kind {
			t.Errorf("%s: %s, token_type %q; want %s, %q: %s", c.name, got.outcome(), got.text("token_type"), c.want, c.kind, got.raw)
		}
	}
}

// TestAProofForAnotherURL checks that the refusal of a proof names the URL of the endpoint that was asked.
func TestAProofForAnotherURL(t *testing.T) {
	r := withDevices(t)
	tv, key := startDevice(t, r), newDevice(t, r)
	open(t, r).decides(tv.shown, "allow")
	tokens := tv.poll(r)
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}}
	for _, c := range []struct {
		path string
		form url.Values
		// bearer is whether the request has an access token.
		bearer bool
	}{
		{"/token", refresh, false}, {"/par", wanted("client_id", "shop", "scope", ""), false}, {"/device_authorization", url.Values{"client_id": {"tv"}}, false},
		{"/userinfo", nil, true},
	} {
		header := []string{"DPoP", key.proofFor(map[string]any{"htm": http.MethodPost, "htu": replica.URL + "/elsewhere"})}
		if c.bearer {
			header = append(header, "Authorization", "Bearer "+tokens.text("access_token"))
		}
		got := ask(r, http.MethodPost, "/tenant"+c.path, c.form, header...)
		if got.text("error") != string(oauth.InvalidDPoPProof) || !strings.HasSuffix(got.text("error_description"), " "+replica.URL+c.path+".") {
			t.Errorf("%s: %s", c.path, got.raw)
		}
	}
}
