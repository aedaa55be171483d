package interop

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	"golang.org/x/oauth2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// secretReader is a program's TokenSource that reads the Secret each time.
type secretReader struct {
	house    *house
	key      *v1alpha1.JWTRefreshKey
	endpoint oauth2.Endpoint
}

func (r *secretReader) Token() (*oauth2.Token, error) {
	held, err := r.house.held(r.key)
	if err != nil {
		return nil, err
	}
	config := &oauth2.Config{Endpoint: r.endpoint}
	return config.TokenSource(r.house.clientContext(), &oauth2.Token{RefreshToken: held}).Token()
}

// TestRotationUnderRealClients: three programs that hold their token in memory and never look
// at the Secret again, offset across one access token's life, and one that looks each time.
// The key rotates by itself, in its own time and with the default overlap; whatever they ask
// for, they get.
func TestRotationUnderRealClients(t *testing.T) {
	const (
		life      = 12 * time.Hour
		access    = 15 * time.Minute
		rotations = 3
	)
	start := time.Now().Truncate(time.Second)
	h := newHouse(t, start, 0)
	key := h.key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Lifetime = &metav1.Duration{Duration: life} })
	provider, held := h.discovery(), h.reaches(key, 1)

	reader := &holder{name: "reader", house: h, verify: h.verifier(provider), source: oauth2.ReuseTokenSource(nil, &secretReader{h, key, provider.Endpoint()})}
	clients := []*holder{h.inMemory("first", provider, held), h.inMemory("second", provider, held), h.inMemory("third", provider, held), reader}
	begins := func(client int) time.Time { return start.Add(time.Duration(client) * access / 3) }

	revision := int64(1)
	var rotatedAt time.Time
	for now := start; revision <= rotations || now.Before(rotatedAt.Add(life)); now = now.Add(time.Minute) {
		h.clock.SetTime(now)
		if revision <= rotations && !now.Before(key.Status.RenewalTime.Time) {
			revision, rotatedAt = revision+1, now
			h.touch(key)
			h.reaches(key, revision)
		}
		for i, client := range clients {
			if now.Before(begins(i)) {
				continue
			}
			if err := client.access(); err != nil {
				t.Errorf("at revision %d, %s after it was issued: %v", revision, now.Sub(rotatedAt), err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, client := range clients {
		h.Expect(token.Hash(client.token.RefreshToken)).To(gomega.Equal(key.Status.TokenHash), "%s does not hold the current token at the end", client.name)
		t.Logf("%s: %d exchanges over %s and %d rotations, none failed", client.name, client.exchanges, h.clock.Since(start), rotations)
	}
}
