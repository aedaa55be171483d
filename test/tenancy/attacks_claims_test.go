package tenancy

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func withSubject(subject string) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) { key.Spec.Subject = subject }
}

func withClaims(claims map[string]string) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Claims = map[string]apiextensionsv1.JSON{}
		for name, value := range claims {
			raw, _ := json.Marshal(value)
			key.Spec.Claims[name] = apiextensionsv1.JSON{Raw: raw}
		}
	}
}

// foreignSubject tries to get another subject. An API identifies a caller by sub: with the victim's
// subject, the attacker is the victim. An API server that trusts the issuer may accept a system: subject as
// an administrator.
func (h *fixture) foreignSubject() {
	victims := payload(h.Harness, h.RefreshAt(h.replicas[0], h.issuer.Name, h.victimToken).Text("access_token"))["sub"]
	if victims != ownSubject(h.victim) {
		h.T.Fatalf("subject of the victim: got %v, want %s", victims, ownSubject(h.victim))
	}
	const never = "a subject that begins with `system:` is never granted"
	const another = "spec.subject begins with 'refreshkey:' and is not this key's own"
	for name, c := range map[string]struct {
		subject string
		by      denial
	}{
		"the victim's":            {ownSubject(h.victim), denial{admission: another, reason: v1alpha1.ReasonPolicyDenied}},
		"that of another own key": {"refreshkey:" + h.namespace + ":other", denial{admission: another, reason: v1alpha1.ReasonPolicyDenied}},
		"the prefix alone":        {"refreshkey:", denial{admission: another, reason: v1alpha1.ReasonPolicyDenied}},
		"an administrator's":      {"system:admin", denial{schema: never}},
		"a ServiceAccount's":      {"system:serviceaccount:" + h.victim.Namespace + ":default", denial{admission: "only a login can set a subject", reason: v1alpha1.ReasonPolicyDenied}},
		"an own ServiceAccount's": {"system:serviceaccount:" + h.namespace + ":default", denial{admission: "only a login can set a subject", reason: v1alpha1.ReasonPolicyDenied}},
		"with a blank before it":  {" system:admin", denial{schema: "spec.subject"}},
	} {
		h.T.Run(name, func(t *testing.T) {
			h := h.in(t)
			h.expectDenied(h.newOwnKey(withSubject(c.subject)), c.by)
		})
	}
	h.T.Run("any other is granted here", func(t *testing.T) {
		h := h.in(t)
		key, held := h.issueKey(withSubject("till-17"))
		awaitExchange(h.Harness, h.replicas[0], h.issuer, held, "200")
		// A change of an issued key does not change its token.
		key.Spec.Subject = ownSubject(h.victim)
		err := h.attacker.Update(t.Context(), key)
		if h.guarded {
			expectRefusal(h.Harness, err, another)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if message := h.AwaitReason(key, v1alpha1.ReasonPolicyDenied); !strings.Contains(message, "the name of another identity") {
			t.Errorf("got message %q, want one with %q", message, "the name of another identity")
		}
		if said := payload(h.Harness, string(h.attackerSecret(key.Name).Data[v1alpha1.SecretToken]))["sub"]; said != "till-17" {
			t.Errorf("subject of the token in the Secret: got %v, want till-17", said)
		}
	})
}

// shadowingClaims tries claim names that a verifier may take for `sub` and other registered claims. Go's
// encoding/json matches names without regard to case, accepts ſub for sub, and uses the last member.
func (h *fixture) shadowingClaims() {
	var victim struct{ Sub string }
	if err := json.Unmarshal([]byte(`{"sub":"mallory","ſub":"the victim"}`), &victim); err != nil || victim.Sub != "the victim" {
		h.T.Fatalf("encoding/json does not confuse the names, so the attack proves nothing: got %q, %v", victim.Sub, err)
	}
	const registered, malformed = "is registered for JWTs or the operator's own", "a name must be 1 to 64 of letters, digits"
	for name, want := range map[string]string{
		"sub": registered, "SUB": registered, "Aud": registered, "AUD": registered, "Client_ID": registered, "scope": registered,
		"eXp": registered, "cnf": registered, "refreshkeys.dev": registered, "Refreshkeys.Dev": registered, "https://refreshkeys.dev/uid": registered,
		"ſub": malformed, "i\u0131s": malformed, "\u212aid": malformed, "sub\x20": malformed, "sub\u200b": malformed, "sub\x00": malformed,
		"ｓｕｂ": malformed, "su\u0062\u0301": malformed, "": malformed,
	} {
		h.T.Run(name, func(t *testing.T) {
			h := h.in(t)
			h.expectDenied(h.newOwnKey(withClaims(map[string]string{name: ownSubject(h.victim)})), denial{admission: want, reason: v1alpha1.ReasonInvalidSpec})
		})
	}
	h.T.Run("twice", func(t *testing.T) {
		h := h.in(t)
		h.expectDenied(h.newOwnKey(withClaims(map[string]string{"email": "mallory@example.com", "Email": "victim@example.com"})),
			denial{admission: "differ only in case", reason: v1alpha1.ReasonInvalidSpec})
	})
	h.T.Run("not granted", func(t *testing.T) {
		h := h.in(t)
		h.expectDenied(h.newOwnKey(withClaims(map[string]string{"groups": "admins"})), denial{reason: v1alpha1.ReasonPolicyDenied})
	})
}

// claimsLikeHeaders uses claims with the names of header parameters. A policy may grant these. They must
// not change the header of a token.
func (h *fixture) claimsLikeHeaders() {
	_, held := h.issueKey(withClaims(map[string]string{"kid": "mine", "alg": "none", "typ": "rt+jwt", "email": "mallory@example.com"}))
	awaitExchange(h.Harness, h.replicas[0], h.issuer, held, "200")
	access := h.RefreshAt(h.replicas[0], h.issuer.Name, held).Text("access_token")
	if payload(h.Harness, access)["kid"] != "mine" {
		h.T.Error("the token lacks claim kid, so the attack proves nothing")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[0])
	if err != nil {
		h.T.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(raw, &header); err != nil || len(header) != 3 || header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "mine" {
		h.T.Errorf("header: got %v, error %v, want typ at+jwt, alg ES256 and the issuer's kid", header, err)
	}
	if got := h.RefreshAt(h.replicas[0], h.issuer.Name, access).Outcome(); got != "400 invalid_grant" {
		h.T.Errorf("exchange of an access token with claim typ rt+jwt: got %s, want 400 invalid_grant", got)
	}
}
