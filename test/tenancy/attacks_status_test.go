package tenancy

import (
	"bytes"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// forgeStatus writes the status of a refresh key as the attacker, and reports whether that succeeded. With
// the admission policy the API server must refuse it, regardless of RBAC.
func (h *harness) forgeStatus(t *testing.T, key *v1alpha1.JWTRefreshKey, forge func(*v1alpha1.JWTRefreshKeyStatus)) (written bool) {
	t.Helper()
	var err error
	eventually(t, "the status is written or refused", func() (bool, string) {
		if err := h.attacker.Get(t.Context(), keyOf(key), key); err != nil {
			return false, err.Error()
		}
		forge(&key.Status)
		err = h.attacker.Status().Update(t.Context(), key)
		return err == nil || h.guarded, ""
	})
	if h.guarded {
		expectRefusal(t, err, "status is written by the operator's own ServiceAccounts only")
	}
	return !h.guarded
}

func replaceInContent(s *v1alpha1.JWTRefreshKeyStatus, old, forged string) {
	s.Content = &apiextensionsv1.JSON{Raw: bytes.ReplaceAll(s.Content.Raw, []byte(old), []byte(forged))}
}

// forgedStatus forges the status of refresh keys. The operator signs the content in status again when the
// Secret is lost. Content of the attacker's choice would give any identity, and the content of the victim's
// key would give its token.
func (h *harness) forgedStatus(t *testing.T) {
	if err := reload(t, h.victim); err != nil {
		t.Fatal(err)
	}
	victim := h.victim.Status
	for name, forge := range map[string]func(*v1alpha1.JWTRefreshKey, *v1alpha1.JWTRefreshKeyStatus){
		"another key's line": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			own.TokenLine = *victim.TokenLine.DeepCopy()
		},
		"another key's whole status": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) { *own = *victim.DeepCopy() },
		"another key's content and hash": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			own.Content, own.TokenHash = victim.Content.DeepCopy(), victim.TokenHash
		},
		"the victim's subject in own content": func(key *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			replaceInContent(own, `"sub":"`+ownSubject(key)+`"`, `"sub":"`+ownSubject(h.victim)+`"`)
		},
		"another audience, and the victim's hash": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			replaceInContent(own, audience, "https://billing.example.com")
			own.TokenHash = victim.TokenHash
		},
		"a later end": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			own.ExpiresAt = &metav1.Time{Time: own.ExpiresAt.AddDate(10, 0, 0)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			key, _ := h.issueKey(t)
			if !h.forgeStatus(t, key, func(own *v1alpha1.JWTRefreshKeyStatus) { forge(key, own) }) {
				return
			}
			// The operator creates a lost Secret again from status.
			_ = h.attacker.Delete(t.Context(), h.attackerSecret(t, key.Name))
			eventually(t, "the operator issues a token of the key itself", func() (bool, string) {
				if err := reload(t, key); err != nil {
					return false, err.Error()
				}
				raw := []byte{}
				if key.Status.Content != nil {
					raw = key.Status.Content.Raw
				}
				return bytes.Contains(raw, []byte(`"sub":"`+ownSubject(key)+`"`)) && bytes.Contains(raw, []byte(audience)) &&
					key.Status.ExpiresAt.Before(&metav1.Time{Time: key.CreationTimestamp.AddDate(1, 0, 0)}), readyMessage(key)
			})
			h.expectOwnTokenOnly(t, key, key.Status.Revision)
			for _, superseded := range key.Status.Previous {
				if superseded.JTI == victim.JTI || superseded.TokenHash == victim.TokenHash {
					t.Error("status.previous lists the victim's token")
				}
			}
		})
	}
	t.Run("a revocation removed from status", func(t *testing.T) {
		key, held := h.issueKey(t)
		edit(t, key, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
		awaitReason(t, key, v1alpha1.ReasonRevoked)
		if !h.forgeStatus(t, key, func(own *v1alpha1.JWTRefreshKeyStatus) { own.RevokedAt, own.RevocationReason = nil, "" }) {
			return
		}
		for _, r := range h.replicas {
			awaitExchange(t, r, h.issuer, held, "400 invalid_grant")
		}
		awaitReason(t, key, v1alpha1.ReasonRevoked)
	})
}

// forgedOneTimeStatus forges the status of a one-time key. The token service signs the content in status
// again when a client retries after a lost answer.
func (h *harness) forgedOneTimeStatus(t *testing.T) {
	key, enrolment := h.issueKey(t, func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{Duration: 10 * time.Minute}}
	})
	second := exchange(t, h.replicas[0], h.issuer, enrolment).Text("refresh_token")
	if got := exchange(t, h.replicas[0], h.issuer, enrolment).Text("refresh_token"); got != second || got == "" {
		t.Fatal("a retry did not return the same token")
	}
	if err := reload(t, h.victim); err != nil {
		t.Fatal(err)
	}
	victim := h.victim.Status
	if !h.forgeStatus(t, key, func(own *v1alpha1.JWTRefreshKeyStatus) {
		replaceInContent(own, `"sub":"`+ownSubject(key)+`"`, `"sub":"`+ownSubject(h.victim)+`"`)
		own.TokenHash = victim.TokenHash
	}) {
		return
	}
	for _, r := range h.replicas {
		for _, compact := range []string{enrolment, second} {
			got := exchange(t, r, h.issuer, compact)
			if next := got.Text("refresh_token"); next != "" && payload(t, next)["sub"] != ownSubject(key) {
				t.Errorf("subject of the signed token: got %v, want %s", payload(t, next)["sub"], ownSubject(key))
			}
		}
	}
}
