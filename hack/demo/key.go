package main

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/acceptance"
)

// keyName is the name of the demo's key and of its Secret.
const keyName = "orders"

func (s *scene) named(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: s.stage.namespace, Name: name}
}

// key returns the key as the API server has it now; empty if there is none.
func (s *scene) key(name string) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{}
	s.must(client.IgnoreNotFound(s.stage.client.Get(s.ctx, s.named(name), key)))
	return key
}

// secret returns the Secret as the API server has it now; empty if there is none.
func (s *scene) secret(name string) *corev1.Secret {
	secret := &corev1.Secret{}
	s.must(client.IgnoreNotFound(s.stage.client.Get(s.ctx, s.named(name), secret)))
	return secret
}

// reason returns the reason of Ready, which kubectl prints in the column STATUS.
func reason(key *v1alpha1.JWTRefreshKey) string {
	ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return "no status yet"
	}
	return ready.Reason
}

// untilIssued waits until the Secret holds the key's token of a revision, stores the token in s.tokens, and returns
// how long that took.
func (s *scene) untilIssued(revision int64) time.Duration {
	what := fmt.Sprintf("token %d is issued", revision)
	wanted := fmt.Sprintf("status Issued, revision %d, and its token in the Secret", revision)
	return s.until(what, wanted, func() (string, bool) {
		key, held := s.key(keyName), string(s.secret(keyName).Data[v1alpha1.SecretToken])
		status := &key.Status
		there := held != "" && token.Hash(held) == status.TokenHash
		if there && status.Revision == revision && reason(key) == v1alpha1.ReasonIssued {
			s.tokens[revision] = held
			return "", true
		}
		seen := fmt.Sprintf("status %s, revision %d", reason(key), status.Revision)
		if !there {
			seen += ", and its token is not in the Secret"
		}
		return seen, false
	})
}

var standings = map[lifecycle.Standing]string{
	lifecycle.StandingCurrent:    "accepted: it is the current token",
	lifecycle.StandingSuperseded: "accepted: it is superseded, but not yet retired",
}

// accepted expects that the token service's rules accept a token.
func (s *scene) accepted(revision int64, wanted lifecycle.Standing) {
	standing, err := s.stage.verifier.Accept(s.ctx, s.tokens[revision], s.stage.issuer)
	seen := standings[standing]
	if err != nil {
		seen = err.Error()
	}
	what := fmt.Sprintf("token %d is %s", revision, standings[wanted])
	s.expect(err == nil && standing == wanted, what, standings[wanted], seen)
}

// refused expects tokens to be refused, and prints why.
func (s *scene) refused(revisions ...int64) {
	for _, revision := range revisions {
		standing, err := s.stage.verifier.Accept(s.ctx, s.tokens[revision], s.stage.issuer)
		seen := standings[standing]
		if err != nil {
			seen = err.Error()
		}
		s.expect(errors.Is(err, acceptance.ErrRefused), fmt.Sprintf("token %d is %s", revision, seen), "refused", seen)
	}
}
