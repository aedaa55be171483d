// Package registrytest is the contract of grant.Registry as tests. Run runs them against any implementation: the one
// in memory, with which the grants are tested, and the one of a real cluster, with a real API server and with one in memory.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Admin changes the cluster of a registry as its administrator and its operator do.
type Admin interface {
	// Put creates a refresh key, and writes the status that it has.
	Put(key *v1alpha1.JWTRefreshKey)
	// Edit changes spec and status of a refresh key.
	Edit(name types.NamespacedName, change func(*v1alpha1.JWTRefreshKey))
	// Delete deletes a refresh key.
	Delete(name types.NamespacedName)
	// Stored returns a refresh key as the API server has it; nil if it does not exist.
	Stored(name types.NamespacedName) *v1alpha1.JWTRefreshKey
	// PutIssuer creates an issuer with its signing keys.
	PutIssuer(issuer *v1alpha1.JWTIssuer, rings *keyring.Rings)
	// PutRings replaces the signing keys of an issuer.
	PutRings(issuer string, rings *keyring.Rings)
	// PutAccount creates a ServiceAccount and returns its UID; DeleteAccount deletes it.
	PutAccount(name types.NamespacedName) types.UID
	DeleteAccount(name types.NamespacedName)
	// Away makes the API server unavailable for the registry, or available again.
	Away(away bool)
	// Hold holds the view of the registry back, or releases it. What the registry reads or writes itself still enters
	// its view.
	Hold(held bool)
}

// Cluster is a registry under test, in a cluster of its own.
type Cluster struct {
	grant.Registry
	Admin
	// Namespace is an existing namespace without refresh keys.
	Namespace string
	// Prefix is a valid prefix for the name of an issuer that no other test uses.
	Prefix string
	// Report writes the recorded uses.
	Report func()
}

const (
	// patience is how long a case waits for a view to follow.
	patience  = 20 * time.Second
	pollEvery = 20 * time.Millisecond
)

// Run runs all cases, each against a new cluster.
func Run(t *testing.T, newCluster func(t *testing.T) *Cluster) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(&env{T: t, Cluster: newCluster(t)}) })
	}
}

// cases are the contract.
var cases = []struct {
	name string
	run  func(*env)
}{
	{"a key that does not exist is not found", notFound},
	{"an API server that is away is unavailable, and never not found", away},
	{"a view follows creation, change and deletion", viewFollows},
	{"a live read sees what the view does not", liveRead},
	{"a read for a token is remembered for it alone", rememberedRead},
	{"a key that was created again is another one", createdAgain},
	{"an advance is a compare-and-swap", advance},
	{"of concurrent advances one wins", advanceAtOnce},
	{"an advance of a deleted key is lost", advanceOfDeleted},
	{"a revocation is decided on what is stored", revoke},
	{"a revocation that is not due writes nothing", revokeNotDue},
	{"a revocation is decided again after a conflict", revokeAfterConflict},
	{"a use is recorded", useRecorded},
	{"a use of a superseded token is recorded as one", supersededUse},
	{"a use of a key that was created again is dropped", useOfAnother},
	{"a session has a name of its own", sessionName},
	{"a session begins with its status", sessionBegins},
	{"a session that was ended does not begin", sessionEndedBeforeItBegins},
	{"a session is read with its annotations and labels", sessionNow},
	{"sessions are found by their subject", sessionsOfSubject},
	{"sessions are known by their subject", sessionsKnown},
	{"a session that was changed is not ended", sessionChanged},
	{"a session of another object is not ended", sessionOfAnother},
	{"a ServiceAccount is known by its UID", account},
	{"a namespace is known by its labels", namespace},
	{"an issuer is found at its place", place},
	{"an issuer that the view lacks is found live", issuerLive},
	{"a signing key that the view lacks is found live", ringsLive},
}

// env is what a case works with.
type env struct {
	*testing.T
	*Cluster
}

func (e *env) name(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: e.Namespace, Name: name}
}

// key creates a refresh key with a line.
func (e *env) key(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	e.Helper()
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: name},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"},
	}
	key.Status.TokenLine = lineOf(1)
	for _, c := range change {
		c(key)
	}
	e.Put(key)
	e.sees(name, func(key *v1alpha1.JWTRefreshKey) bool { return key != nil && key.Status.Revision > 0 })
	return key
}

func oneTime(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
}

// lineOf returns a line with one token.
func lineOf(revision int64) v1alpha1.TokenLine {
	return v1alpha1.TokenLine{Revision: revision, JTI: fmt.Sprint("jti-", revision)}
}

// superseded returns the record of a superseded token.
func superseded(revision int64) v1alpha1.SupersededToken {
	return v1alpha1.SupersededToken{
		JTI: lineOf(revision).JTI, Revision: revision, TokenHash: "sha256:" + strings.Repeat("0", 64),
		CreatedAt: metav1.NewTime(time.Unix(1e9, 0)), ExpiresAt: metav1.NewTime(time.Unix(2e9, 0)),
	}
}

// now returns the key as read live.
func (e *env) now(name string) *v1alpha1.JWTRefreshKey {
	e.Helper()
	key, err := e.KeyNow(e.Context(), e.name(name))
	if err != nil {
		e.Fatal(err)
	}
	return key
}

// sees waits until the view shows a key (nil if it has none) for which is returns true.
func (e *env) sees(name string, is func(*v1alpha1.JWTRefreshKey) bool) {
	e.Helper()
	e.waits("the view does not follow", func() bool { return is(e.Key(e.name(name))) })
}

func (e *env) waits(failure string, is func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.Context(), pollEvery, patience, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		e.Fatal(failure)
	}
}

func (e *env) is(err, want error, what string) {
	e.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		e.Errorf("%s: %v, want %v", what, err, want)
	}
}
