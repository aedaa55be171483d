package secrets

import (
	"encoding/base64"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestAccessRevisionOfADigestedSecret checks that a digested Secret keeps the revision of its access token.
func TestAccessRevisionOfADigestedSecret(t *testing.T) {
	text := func(revision int64) []byte {
		claims := token.Claims{
			Issuer: "https://tokens.example.com", Subject: "s", Audience: "a", JTI: "j", ClientID: "c",
			IssuedAt: time.Unix(1777636800, 0), ExpiresAt: time.Unix(1777637700, 0),
			Object: token.Object{Namespace: "shop", Name: "orders", UID: "uid", Revision: revision},
		}
		payload, err := claims.Payload()
		if err != nil {
			t.Fatal(err)
		}
		return []byte("e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln")
	}
	for _, c := range []struct {
		name string
		data map[string][]byte
		want int64
	}{
		{"an access token of revision 7", map[string][]byte{v1alpha1.SecretAccessToken: text(7)}, 7},
		{"an access token of an earlier release", map[string][]byte{v1alpha1.SecretAccessToken: text(0)}, 0},
		{"no access token", map[string][]byte{v1alpha1.SecretToken: text(7)}, 0},
		{"what is no token", map[string][]byte{v1alpha1.SecretAccessToken: []byte("x.y.z")}, 0},
	} {
		secret := &corev1.Secret{Data: c.data}
		Digest(secret)
		if got := AccessRevisionOf(secret); got != c.want {
			t.Errorf("%s: revision %d, not %d", c.name, got, c.want)
		}
	}
}
