// Package replica runs a replica of the token service in memory: the grants and the server with their own code, a
// registry in memory, and an API server that answers only what the replica asks about people and ServiceAccounts. The
// tests play the operator, so that no manager and no API server runs.
package replica

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/crypto/bcrypt"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clientgotesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/signin"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/memory"
)

const (
	// Name is the name of the namespace and of the issuer.
	Name = "tenant"
	// URL is the URL of the issuer.
	URL = "https://tokens.example.com/" + Name
	// Audience is that of the refresh keys.
	Audience = "https://orders.example.com"
	cluster  = "https://kubernetes.default.svc"
)

// Start is the time at which the clock of a Replica begins.
var Start = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)

// Replica is a replica of the token service, with its cluster in memory.
type Replica struct {
	*memory.Registry
	t     testing.TB
	Clock *clocktesting.FakePassiveClock
	// Issuer has the signing keys Rings.
	Issuer *v1alpha1.JWTIssuer
	Rings  *keyring.Rings
	Grants *grant.Service
	Server *tokenserver.Server
	// Clients is the replica's API server, except for what the registry holds.
	Clients *fake.Clientset
	// People are the persons of the known id_tokens.
	People People

	accounts map[string]projected
	// auditors are the namespaces in which a user may introspect tokens; the empty one stands for all.
	auditors map[string][]string
	ids      *atomic.Int64
}

// projected is what a ServiceAccount token proves.
type projected struct {
	name      types.NamespacedName
	uid       types.UID
	audiences []string
}

// People are persons by their id_token. It is a session.Providers.
type People map[string]*identity.Person

// Verify implements session.Providers.
func (p People) Verify(_ context.Context, _ *v1alpha1.OIDCProvider, idToken string) (*identity.Person, error) {
	if person := p[idToken]; person != nil {
		return person, nil
	}
	return nil, identity.ErrRefused
}

var schedule = keyring.Schedule{
	Algorithm: keyring.ES256, RotateAfter: 240 * time.Hour, Prepublish: time.Hour, RefreshKeep: 2400 * time.Hour, AccessKeep: time.Hour,
	Seals: true, SealKeep: time.Hour,
}

// New returns a Replica with one issuer, whose signing keys are active.
func New(t testing.TB, change ...func(*v1alpha1.JWTIssuer)) *Replica {
	t.Helper()
	r := &Replica{
		t: t, Clock: clocktesting.NewFakePassiveClock(Start), Clients: fake.NewClientset(),
		People: People{}, accounts: map[string]projected{}, auditors: map[string][]string{}, ids: &atomic.Int64{},
	}
	r.Registry = memory.New(r.Clock)
	r.PutNamespace(Name, nil)
	r.Rings = r.NextRings(r.NextRings(nil, Start.Add(-schedule.Prepublish)), Start)
	r.Issuer = &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: Name}, Spec: v1alpha1.JWTIssuerSpec{URL: URL}}
	for _, c := range change {
		c(r.Issuer)
	}
	r.PutIssuer(r.Issuer, r.Rings)
	r.Clients.PrependReactor("create", "tokenreviews", r.reviewToken)
	r.Clients.PrependReactor("create", "subjectaccessreviews", r.reviewAccess)
	r.serve()
	return r
}

// serve wires the replica as tokenserver.ForCluster does.
func (r *Replica) serve() {
	r.t.Helper()
	reviews := identity.NewReviews(r.Clients, r.Clock)
	callers := tokenserver.NewClusterCallers(reviews, r.Clients, r.Clock)
	passwords, err := identity.NewPasswords(r.Clients, memory.Namespace, r.Clock)
	r.must(err)
	r.Grants, err = grant.New(grant.Options{
		Registry: r.Registry, Reviews: reviews, Assertions: reviews, Providers: r.People, Passwords: passwords, Clock: r.Clock, NewID: r.NewID,
	})
	r.must(err)
	r.Server, err = tokenserver.New(tokenserver.Options{
		Issuers: r.Registry, Grants: r.Grants, SignIn: r.signIn(), Callers: callers, Clock: r.Clock, Log: logr.Discard(),
	})
	r.must(err)
}

// ServiceAccount is the name of the token service's own ServiceAccount.
const ServiceAccount = "tokenserver"

func (r *Replica) signIn() *signin.Service {
	r.t.Helper()
	proofs := identity.NewClientProofs(r.Clients, memory.Namespace, ServiceAccount, r.Clock)
	flows, err := identity.NewCodeFlows(identity.NewProviders(r.Clock), proofs)
	r.must(err)
	return signin.New(signin.Options{Registry: r.Registry, Sessions: r.Grants.Logins(), Providers: flows, Clock: r.Clock})
}

func (r *Replica) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// NewID returns a new jti.
func (r *Replica) NewID() string {
	return fmt.Sprintf("0197e9c2-0000-7000-8000-%012d", r.ids.Add(1))
}

// NextRings returns the signing keys that follow others; nil for the first ones.
func (r *Replica) NextRings(rings *keyring.Rings, at time.Time) *keyring.Rings {
	r.t.Helper()
	next, err := keyring.Advance(rings, schedule, nil, nil, at, keyring.Generate)
	r.must(err)
	return next
}

// WithdrawnRings returns the keys that follow others when an administrator withdraws some.
func (r *Replica) WithdrawnRings(rings *keyring.Rings, kids ...string) *keyring.Rings {
	r.t.Helper()
	next, err := keyring.Advance(rings, schedule, kids, nil, r.Clock.Now(), keyring.Generate)
	r.must(err)
	return next
}

// Other returns another replica of the same cluster.
func (r *Replica) Other() *Replica {
	r.t.Helper()
	other := *r
	other.serve()
	return &other
}

// Found returns the issuer as the grants know it.
func (r *Replica) Found() *registry.Issuer {
	place := r.At("/"+Name, "tokens.example.com")
	return place.Named(r.Issuer.Spec.URL)
}

// NameOf returns the name of a refresh key of the namespace.
func NameOf(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: Name, Name: name}
}

// Issue creates a refresh key, as a user does, and returns its first token, as the operator writes it.
func (r *Replica) Issue(name string, change ...func(*v1alpha1.JWTRefreshKey)) string {
	r.t.Helper()
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: Name, Name: name},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: Audience, IssuerRef: &v1alpha1.IssuerReference{Name: r.Issuer.Name}},
	}
	for _, c := range change {
		c(key)
	}
	r.Put(key)
	return r.Next(types.NamespacedName{Namespace: key.Namespace, Name: key.Name})
}

// IssueFrom is Issue with another issuer that has the given signing keys.
func (r *Replica) IssueFrom(issuer *v1alpha1.JWTIssuer, rings *keyring.Rings, name string, change ...func(*v1alpha1.JWTRefreshKey)) string {
	r.t.Helper()
	own := *r
	own.Issuer, own.Rings = issuer, rings
	return own.Issue(name, change...)
}

// Next records the next token of a refresh key, as the operator does in a rotation, and returns it. The current token
// is superseded.
func (r *Replica) Next(name types.NamespacedName) (compact string) {
	r.t.Helper()
	r.Edit(name, func(key *v1alpha1.JWTRefreshKey) {
		previous := key.Status.Previous
		if key.Status.Revision > 0 {
			previous = append(previous, v1alpha1.SupersededToken{
				JTI: key.Status.JTI, Revision: key.Status.Revision, TokenHash: key.Status.TokenHash,
				CreatedAt: *key.Status.CreatedAt, ExpiresAt: *key.Status.ExpiresAt,
			})
		}
		compact = r.mint(key, previous[max(0, len(previous)-2):])
	})
	return compact
}

// RotateNow records the next token of a refresh key and ends all earlier ones, as the operator does.
func (r *Replica) RotateNow(name types.NamespacedName) (compact string) {
	r.t.Helper()
	r.Edit(name, func(key *v1alpha1.JWTRefreshKey) {
		compact = r.mint(key, nil)
		key.Status.FirstRevision, key.Status.LastUsedRevision, key.Status.RevokedAt, key.Status.RevocationReason = key.Status.Revision, 0, nil, ""
	})
	return compact
}

func (r *Replica) mint(key *v1alpha1.JWTRefreshKey, previous []v1alpha1.SupersededToken) string {
	r.t.Helper()
	signer, err := r.Rings.Signer(keyring.Refresh)
	r.must(err)
	mint, err := lifecycle.Successor(key, r.Issuer.Spec.URL, r.Clock.Now())
	r.must(err)
	compact, made, err := line.Mint(key, &mint, r.NewID(), signer)
	r.must(err)
	key.Status.TokenLine = made.Line(previous)
	return compact
}

// Account creates a ServiceAccount if it does not exist, and returns a token of it for the audiences.
func (r *Replica) Account(name string, audiences ...string) string {
	r.t.Helper()
	account := projected{name: NameOf(name), audiences: audiences}
	uid, err := r.ServiceAccountUID(r.t.Context(), account.name)
	r.must(err)
	if account.uid = types.UID(uid); uid == "" {
		account.uid = r.PutAccount(account.name)
	}
	compact := JWT(map[string]any{"iss": cluster, "sub": account.username(), "aud": audiences, "jti": r.NewID()})
	r.accounts[compact] = account
	return compact
}

// Auditor returns the token of a ServiceAccount that may introspect the tokens of the namespaces; of all if none is
// named.
func (r *Replica) Auditor(name string, namespaces ...string) string {
	r.t.Helper()
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	r.auditors[projected{name: NameOf(name)}.username()] = namespaces
	return r.Account(name, r.Issuer.Spec.URL)
}

func (p projected) username() string {
	account := identity.ServiceAccount{Namespace: p.name.Namespace, Name: p.name.Name}
	return account.Username()
}

// JWT returns a token with the claims, signed by a key that nothing here knows.
func JWT(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + encode(payload) + "." + encode(fmt.Appendf(nil, "signature of %x", payload))
}

// PutPasswords makes a Secret of the issuer's with a line for each user and password in turn, and returns its name.
func (r *Replica) PutPasswords(lines string, users ...string) string {
	r.t.Helper()
	for i := 0; i+1 < len(users); i += 2 {
		hash, err := bcrypt.GenerateFromPassword([]byte(users[i+1]), bcrypt.MinCost)
		r.must(err)
		lines += users[i] + ":" + string(hash) + "\n"
	}
	const name = "people"
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: memory.Namespace, Name: name}, Data: map[string][]byte{"htpasswd": []byte(lines)}}
	r.must(r.Clients.Tracker().Add(secret))
	return name
}

func (r *Replica) reviewToken(action clientgotesting.Action) (bool, runtime.Object, error) {
	review := action.(clientgotesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
	account, known := r.accounts[review.Spec.Token]
	for _, audience := range review.Spec.Audiences {
		if known && slices.Contains(account.audiences, audience) {
			review.Status.Audiences = append(review.Status.Audiences, audience)
		}
	}
	if len(review.Status.Audiences) > 0 {
		review.Status.Authenticated = true
		review.Status.User = authenticationv1.UserInfo{Username: account.username(), UID: string(account.uid)}
	}
	return true, review, nil
}

func (r *Replica) reviewAccess(action clientgotesting.Action) (bool, runtime.Object, error) {
	review := action.(clientgotesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
	namespaces := r.auditors[review.Spec.User]
	review.Status.Allowed = slices.Contains(namespaces, "") || slices.Contains(namespaces, review.Spec.ResourceAttributes.Namespace)
	return true, review, nil
}
