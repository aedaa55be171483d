package console

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

const (
	// rememberAnswers is how long an answer about a right is remembered.
	rememberAnswers = time.Minute
	// mostAnswers is how many answers are remembered, of all sessions.
	mostAnswers = 20_000
	// mostChecks is how many rights a request may ask about.
	mostChecks = 100
	// checksAtOnce is how many reviews of one request run at a time.
	checksAtOnce = 8
	// mostNamespaces is up to how many namespaces each is asked about.
	mostNamespaces = 500
)

// review is a question of a session about a right.
type review struct {
	session sessionKey
	right   right
}

// can answers POST api/can.
func (s *Server) can(ctx context.Context, p *person, r *http.Request) (any, error) {
	var body wire.Can
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	if len(body.Checks) > mostChecks {
		return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "a request asks about at most %d rights", mostChecks)
	}
	rights := make([]right, 0, len(body.Checks))
	for _, check := range body.Checks {
		if !validCheck(check) {
			return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "a check names a verb, one of the console's resources, and valid names")
		}
		rights = append(rights, right{check.Verb, check.Resource, check.Namespace, check.Name})
	}
	return wire.Answers{Answers: s.reviewAll(ctx, p, rights)}, nil
}

func validCheck(check wire.Check) bool {
	return slices.Contains([]string{"get", "list", "watch", "create", "update", "patch", "delete"}, check.Verb) &&
		slices.Contains([]string{keyResource, issuerResource, secretResource}, check.Resource) &&
		(check.Namespace == "" || len(validation.IsDNS1123Label(check.Namespace)) == 0) &&
		(check.Name == "" || len(validation.IsDNS1123Subdomain(check.Name)) == 0)
}

// reviewAll asks the API server about rights, several at a time.
func (s *Server) reviewAll(ctx context.Context, p *person, rights []right) []wire.Answer {
	answers := make([]wire.Answer, len(rights))
	slots := make(chan struct{}, checksAtOnce)
	var all sync.WaitGroup
	for i, one := range rights {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			answers[i] = s.review(ctx, p, one)
		})
	}
	all.Wait()
	return answers
}

// review asks the API server about a right. A review that fails, or one that the API server could not complete, is not remembered.
func (s *Server) review(ctx context.Context, p *person, needs right) wire.Answer {
	question := review{p.session, needs}
	if known, ok := s.reviews.Get(question); ok {
		return known
	}
	asked := s.clock.Now()
	group := ""
	if needs.resource != secretResource {
		group = v1alpha1.Group
	}
	access := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: needs.namespace, Verb: needs.verb, Group: group, Resource: needs.resource, Name: needs.name},
	}}
	if err := p.Create(ctx, access); err != nil {
		return wire.Answer{Unknown: true}
	}
	if said := &access.Status; !said.Allowed && !said.Denied && said.EvaluationError != "" {
		// Such as an authorizer that gives no answer in time.
		return wire.Answer{Unknown: true}
	}
	answer := wire.Answer{Allowed: access.Status.Allowed}
	if !answer.Allowed {
		answer.Reason, answer.Ask = access.Status.Reason, needs.ask()
	}
	s.reviews.Put(question, answer, asked.Add(rememberAnswers))
	return answer
}

// namespaces answers GET api/namespaces: those in which the person may list keys. Without the right to list namespaces it is 403,
// and of very many namespaces it has all.
func (s *Server) namespaces(ctx context.Context, p *person, _ *http.Request) (any, error) {
	names := []string{}
	var page metav1.PartialObjectMetadataList
	page.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	for {
		if err := p.List(ctx, &page, client.Limit(chunk), client.Continue(page.Continue)); err != nil {
			return nil, explain(err, right{"list", "namespaces", "", ""})
		}
		for i := range page.Items {
			names = append(names, page.Items[i].Name)
		}
		if page.Continue == "" {
			break
		}
	}
	if everywhere := s.review(ctx, p, right{verb: "list", resource: keyResource}); everywhere.Allowed {
		return wire.Namespaces{Names: names}, nil
	}
	if len(names) > mostNamespaces {
		return wire.Namespaces{Names: names, Unchecked: true}, nil
	}
	rights := make([]right, 0, len(names))
	for _, name := range names {
		rights = append(rights, right{"list", keyResource, name, ""})
	}
	answers, allowed := s.reviewAll(ctx, p, rights), []string{}
	for i, name := range names {
		if answers[i].Allowed || answers[i].Unknown {
			allowed = append(allowed, name)
		}
	}
	return wire.Namespaces{Names: allowed}, nil
}
