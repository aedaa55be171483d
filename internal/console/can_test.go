package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

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

// TestNamespacesThatAreTooMany checks that the answer says when its names are not checked, and up to how many namespaces they are.
func TestNamespacesThatAreTooMany(t *testing.T) {
	for _, c := range []struct {
		name          string
		namespaces    int
		everywhere    bool
		want, reviews int
		unchecked     bool
	}{
		{"few, with the right in one", 3, false, 1, 4, false},
		{"as many as are checked", mostNamespaces, false, 1, mostNamespaces + 1, false},
		{"one more", mostNamespaces + 1, false, mostNamespaces + 1, 1, true},
		{"one more, with the right in all", mostNamespaces + 1, true, mostNamespaces + 1, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			session := f.signedIn(f.cluster.user("ada"))
			var reviews atomic.Int64
			f.cluster.answers(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.Method == http.MethodGet {
					_ = json.NewEncoder(w).Encode(namespacesOf(c.namespaces))
					return
				}
				reviews.Add(1)
				review := reviewOf(t, r)
				in := review.Spec.ResourceAttributes.Namespace
				review.Status.Allowed = in == "team-1" || in == "" && c.everywhere
				w.WriteHeader(http.StatusCreated)
				_ = json.NewEncoder(w).Encode(review)
			})
			got := read[wire.Namespaces](t, f.do(call{method: http.MethodGet, path: "/api/namespaces", session: session}))
			if len(got.Names) != c.want || got.Unchecked != c.unchecked || int(reviews.Load()) != c.reviews {
				t.Errorf("%d names, unchecked: %t, after %d reviews", len(got.Names), got.Unchecked, reviews.Load())
			}
		})
	}
}

// reviewOf returns the review that a request creates, which is not always JSON.
func reviewOf(t *testing.T, r *http.Request) *authorizationv1.SelfSubjectAccessReview {
	t.Helper()
	review := &authorizationv1.SelfSubjectAccessReview{}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, review)
	}
	if err != nil {
		t.Error(err)
	}
	review.TypeMeta = metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"}
	return review
}

// namespacesOf returns a list of so many namespaces, team-0 and on.
func namespacesOf(count int) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}}
	for n := range count {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("team-%d", n)}})
	}
	return list
}
