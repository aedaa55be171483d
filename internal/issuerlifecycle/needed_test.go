package issuerlifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

var day0 = time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)

func day(n int) metav1.Time { return metav1.NewTime(day0.AddDate(0, 0, n)) }

// Three keys of the refresh ring became active on days 0, 10 and 20; access keys at other times.
func threeInTurn() *v1alpha1.JWTIssuer {
	key := func(kid, use string, active int) v1alpha1.SigningKeyStatus {
		at := day(active)
		return v1alpha1.SigningKeyStatus{KID: kid, Use: v1alpha1.KeyUse(use), ActiveAt: &at}
	}
	return &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Status: v1alpha1.JWTIssuerStatus{Keys: []v1alpha1.SigningKeyStatus{
			key("second", "refresh", 10), key("first", "refresh", 0), key("third", "refresh", 20),
			key("access-1", "access", 3), key("access-2", "access", 13),
			{KID: "next", Use: "refresh"},
		}},
	}
}

// A signing key is needed until the end of the last token that it may have signed. Tokens of other signing keys do not
// extend this time.
func TestLastUseOfASigningKey(t *testing.T) {
	superseded := func(made, end int) v1alpha1.SupersededToken {
		return v1alpha1.SupersededToken{CreatedAt: day(made), ExpiresAt: day(end)}
	}
	line := func(kid string, end int, previous ...v1alpha1.SupersededToken) v1alpha1.JWTRefreshKey {
		expiresAt := day(end)
		key := v1alpha1.JWTRefreshKey{}
		key.Status.Issuer, key.Status.KeyID, key.Status.ExpiresAt, key.Status.Previous = "default", kid, &expiresAt, previous
		return key
	}
	revoked := line("first", 90)
	revoked.Status.RevokedAt = &metav1.Time{Time: day0}
	cases := []struct {
		name string
		keys []v1alpha1.JWTRefreshKey
		want map[string]int // the day of the last use, after which the skew is added; 0 for none
	}{
		{"nothing was signed", nil, map[string]int{"first": 0, "second": 0, "third": 0, "next": 0}},
		{"current tokens name their key", []v1alpha1.JWTRefreshKey{line("first", 30), line("first", 40), line("third", 50)}, map[string]int{"first": 40, "second": 0, "third": 50}},
		{
			"superseded tokens belong to the key that signed when they were made",
			[]v1alpha1.JWTRefreshKey{line("third", 50, superseded(5, 35), superseded(15, 45))}, map[string]int{"first": 35, "second": 45, "third": 50},
		},
		{
			"keys out of phase: the renewals of one do not delay the key of another",
			[]v1alpha1.JWTRefreshKey{line("third", 50, superseded(21, 51)), line("third", 55, superseded(25, 56)), line("second", 42)},
			map[string]int{"first": 0, "second": 42, "third": 56},
		},
		{
			"at a change of keys a token may be of either",
			[]v1alpha1.JWTRefreshKey{line("second", 41, superseded(10, 40))}, map[string]int{"first": 40, "second": 41, "third": 0},
		},
		{"a revoked line needs no key", []v1alpha1.JWTRefreshKey{revoked}, map[string]int{"first": 0}},
		{
			"a key of which nothing is known may have signed at any time",
			[]v1alpha1.JWTRefreshKey{line("third", 50, superseded(5, 60))}, map[string]int{"unheard of": 60},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			issuer := threeInTurn()
			use := UseOf(issuer, c.keys)
			for kid, want := range c.want {
				wanted := time.Time{}
				if want > 0 {
					wanted = day(want).Add(token.Skew)
				}
				if got := use.last(issuer, kid); !got.Equal(wanted) {
					t.Errorf("the last use of key %q ends at %s, not at %s", kid, got, wanted)
				}
			}
		})
	}
}
