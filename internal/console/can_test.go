package console

import (
	"encoding/json"
	"net/http"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestAnswersAboutARight checks what the page reads about a right, and which answers are remembered.
func TestAnswersAboutARight(t *testing.T) {
	ask := "kubectl auth can-i patch jwtrefreshkeys.jwt.refreshkeys.dev/billing --namespace shop"
	for _, c := range []struct {
		name   string
		status authorizationv1.SubjectAccessReviewStatus
		want   wire.Answer
		// asked is how often the API server is asked for two requests.
		asked int
	}{
		{"allowed", authorizationv1.SubjectAccessReviewStatus{Allowed: true}, wire.Answer{Allowed: true}, 1},
		{"allowed, after an authorizer that failed", authorizationv1.SubjectAccessReviewStatus{Allowed: true, EvaluationError: "timeout"}, wire.Answer{Allowed: true}, 1},
		{"not allowed", authorizationv1.SubjectAccessReviewStatus{Reason: "no rule"}, wire.Answer{Reason: "no rule", Ask: ask}, 1},
		{"denied, after an authorizer that failed", authorizationv1.SubjectAccessReviewStatus{Denied: true, EvaluationError: "timeout"}, wire.Answer{Ask: ask}, 1},
		{"not allowed, since an authorizer failed", authorizationv1.SubjectAccessReviewStatus{EvaluationError: "timeout"}, wire.Answer{Unknown: true}, 2},
	} {
		f := newFixture(t)
		session, asked := f.signedIn(f.cluster.user("ada")), 0
		f.cluster.answers(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(&authorizationv1.SelfSubjectAccessReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"}, Status: c.status,
			})
		})
		for range 2 {
			answer := f.do(call{method: http.MethodPost, path: "/api/can", session: session,
				body: `{"checks":[{"verb":"patch","resource":"jwtrefreshkeys","ns":"shop","name":"billing"}]}`})
			if got := read[wire.Answers](t, answer); len(got.Answers) != 1 || got.Answers[0] != c.want {
				t.Errorf("%s: %+v, want %+v", c.name, got.Answers, c.want)
			}
		}
		if asked != c.asked {
			t.Errorf("%s: the API server is asked %d times, want %d", c.name, asked, c.asked)
		}
	}
}
