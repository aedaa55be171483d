package console

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestNoTokenIsRevealed checks where the console refuses to reveal: it says so to the page, and reads neither the key nor the Secret.
func TestNoTokenIsRevealed(t *testing.T) {
	for _, c := range []struct {
		name    string
		allowed bool
		means   wire.Means
		reveals bool
	}{
		{"by the flag, for a token", false, wire.Token, false},
		{"under impersonation", true, wire.Impersonation, false},
		{"for a token", true, wire.Token, true},
		{"for an id_token", true, wire.IDToken, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Reveal = c.allowed })
			session := f.through("jane", func(made *Credential) { made.Means = c.means })
			if me := f.meIs(session); me.Reveal != c.reveals || me.Means != c.means {
				t.Errorf("the page learns reveal %t by %s", me.Reveal, me.Means)
			}
			before := len(f.cluster.requests())
			answer := f.do(call{method: http.MethodPost, path: "/api/keys/shop/orders/reveal", body: `{"uid":"1"}`, session: session})
			failure := read[wire.Failure](t, answer)
			asked := f.cluster.requests()[before:]
			refused := failure.Code == http.StatusForbidden && failure.Reason == string(metav1.StatusReasonForbidden) &&
				strings.Contains(failure.Message, "reveals no tokens")
			if refused == c.reveals || (len(asked) == 0) == c.reveals {
				t.Errorf("the answer is %+v, after %d requests to the API server", failure, len(asked))
			}
			if len(asked) > 0 && !strings.HasSuffix(asked[0].URL.Path, "/namespaces/shop/jwtrefreshkeys/orders") {
				t.Errorf("the first request is for %s", asked[0].URL.Path)
			}
		})
	}
}
