package lifecycle

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// simulation is a cluster in memory for one key: the key, Secrets under a few names, two issuers with their rings, a namespace
// and a clock. It observes and applies plans like the controllers, without their code.
type simulation struct {
	random *rand.Rand
	now    time.Time
	// device is true if the key has one-time tokens for most of its life.
	device bool

	key     *v1alpha1.JWTRefreshKey
	version int
	objects int
	// handled are the values of the annotations when the last token was minted.
	handled map[string]string
	// forged is true if another client changed the line and no token was minted since.
	forged bool

	secrets   map[string]*storedSecret
	issuers   map[string]*storedIssuer
	namespace Namespace
	// tokens are all refresh tokens that were minted, by hash and by jti.
	tokens, byJTI map[string]*storedToken
	kids          int

	// under are the claims of one-time tokens that have not arrived yet, and uses the results of those that have, by jti.
	under []claim
	uses  map[string]use

	// ended are the tokens that ended on request while no new one could be minted: they stay ended.
	ended map[string]bool
	// out are the tokens that were recorded or in a Secret, by hash, and buried those that must stay refused, with all
	// access tokens that were issued from them.
	out, buried map[string]bool

	// unsteady lets the manager stop, and other clients act, between two writes.
	unsteady   bool
	interfered bool
	// renamed is true if, at the last reconciliation, a Secret under an earlier name was due for deletion.
	renamed bool
	writes  int
	next    time.Time

	counts  counts
	tracing bool
	trace   []string
}

// counts are the coverage of a walk, so that the test fails for a walk that covers nothing.
type counts struct {
	steps, writes, stops, interferences, settled, advances int
	claims                                                 map[string]int
	checks                                                 map[string]int
	reasons                                                map[string]int
	causes                                                 map[Cause]int
}

type storedToken struct {
	Token
	uid   types.UID
	terms Terms
}

type storedSecret struct {
	owner     types.UID
	retained  bool
	foreign   bool
	immutable bool
	createdAt time.Time
	token     string
	access    *storedAccess
	// dressing is everything except the tokens.
	dressing string
}

type storedAccess struct {
	owner     types.UID
	expiresAt time.Time
	edited    bool
	signer    string
	// revision is that of the refresh token, and 0 if an earlier release minted it.
	revision int64
}

type storedIssuer struct {
	name, url    string
	found, ready bool
	policy       *policy.Policy
	access       time.Duration
	signer       string
	ring         []string
	// accessSigner is the active access key; empty while the access ring has no key that may sign.
	accessSigner string
}

func newSimulation(seed uint64) *simulation {
	w := &simulation{
		random:    rand.New(rand.NewPCG(seed, 11)),
		device:    seed%4 == 0,
		now:       t0.Add(123456789),
		secrets:   map[string]*storedSecret{},
		issuers:   map[string]*storedIssuer{},
		namespace: Namespace{Labels: map[string]string{"team": "shop"}},
		tokens:    map[string]*storedToken{},
		uses:      map[string]use{},
		ended:     map[string]bool{},
		out:       map[string]bool{},
		buried:    map[string]bool{},
		byJTI:     map[string]*storedToken{},
		counts:    counts{claims: map[string]int{}, checks: map[string]int{}, reasons: map[string]int{}, causes: map[Cause]int{}},
	}
	for _, name := range []string{"default", "other"} {
		issuer := &storedIssuer{name: name, url: "https://" + name, found: true, ready: true, policy: policies["open"], access: 15 * time.Minute, accessSigner: "access-0"}
		w.issuers[name] = issuer
		w.newSigner(issuer)
	}
	w.createKey()
	return w
}

// policies from the widest to one that grants nothing.
var policies = func() map[string]*policy.Policy {
	all := v1alpha1.PolicyRule{
		Audiences: []string{"**"}, Scopes: []string{"*"}, Claims: []string{"email", "tier"}, Subjects: []string{"shop:*"}, MaxLifetime: duration(maxLifetime),
	}
	short, shop, plain := all, all, v1alpha1.PolicyRule{}
	short.MaxLifetime = duration(150 * time.Hour)
	shop.Namespaces = &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}
	compiled := map[string]*policy.Policy{}
	for name, rule := range map[string]v1alpha1.PolicyRule{"open": all, "short": short, "shop": shop, "plain": plain, "closed": {Audiences: []string{"none"}}} {
		p, err := policy.Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{rule}}})
		if err != nil {
			panic(err)
		}
		compiled[name] = p
	}
	return compiled
}()

func (w *simulation) newSigner(issuer *storedIssuer) {
	w.kids++
	issuer.signer = fmt.Sprint("kid-", w.kids)
	issuer.ring = append(slices.Clip(issuer.ring), issuer.signer)
}

// createKey creates the key, or creates it again under the same name.
func (w *simulation) createKey() {
	w.objects++
	w.version++
	key := w.madeGood()
	key.UID = types.UID(fmt.Sprint("uid-", w.objects, "-", w.random.Uint32()))
	key.Generation, key.CreationTimestamp.Time = 1, w.now.Truncate(time.Second)
	key.Status = v1alpha1.JWTRefreshKeyStatus{}
	w.key, w.forged, w.handled = key, false, map[string]string{}
}

// madeGood sets a valid spec.
func (w *simulation) madeGood() *v1alpha1.JWTRefreshKey {
	key := settled().Key
	if w.device {
		key.Spec.Rotation.Mode = v1alpha1.RotationOneTimeUse
	}
	return key
}

// edit changes the key like the API server.
func (w *simulation) edit(change func(*v1alpha1.JWTRefreshKey)) {
	w.key = w.key.DeepCopy()
	change(w.key)
	w.key.Generation++
	w.version++
}

// observation is the observed state, and the version of the key at that time.
type observation struct {
	Observed
	version int
	at      time.Time
	signer  string
	due     dues
	// served is true if the issuer of the current token existed: another client may change it before the plan is carried out.
	served bool
}

func (w *simulation) observe() *observation {
	o := &observation{version: w.version, at: w.now}
	o.Key = w.key
	o.Namespace = Namespace{Labels: maps.Clone(w.namespace.Labels), Terminating: w.namespace.Terminating}
	name := IssuerName(w.key)
	o.Issuer = Issuer{Name: name}
	if issuer := w.issuers[name]; issuer != nil && issuer.found {
		o.signer = issuer.signer
		o.Issuer = Issuer{
			Name: name, Found: true, Ready: issuer.ready, Message: "not now.", URL: issuer.url, Policy: issuer.policy,
			AccessLifetime: issuer.access, AccessPending: issuer.accessSigner == "",
		}
	}
	w.observeLine(o)
	w.observeSecret(o)
	for _, other := range slices.Sorted(maps.Keys(w.secrets)) {
		if secret := w.secrets[other]; other != o.Secret.Name && secret.stateFor(w.key) == SecretOwn {
			o.Others = append(o.Others, OtherSecret{Name: other, TokenHash: secret.token})
		}
	}
	return o
}

func (w *simulation) observeLine(o *observation) {
	status := &o.Key.Status
	if status.Revision == 0 {
		return
	}
	token := w.contentOf(status)
	switch {
	case token == nil || status.CreatedAt == nil || status.ExpiresAt == nil:
		o.Distrust = "incomplete or not to be read"
	case token.uid != o.Key.UID || token.Revision != status.Revision || token.JTI != status.JTI ||
		!token.ExpiresAt.Equal(status.ExpiresAt.Time) || !token.CreatedAt.Equal(status.CreatedAt.Time):
		o.Distrust = "not that of this key's current token"
	default:
		o.Held = &Held{Terms: token.terms, IssuedAt: token.CreatedAt, ExpiresAt: token.ExpiresAt}
		signed := w.ringHolds(token.terms.Issuer, status.KeyID)
		if o.Issuer.Found && o.Issuer.Ready {
			o.Issuer.KnowsHeldKey = signed || token.terms.Issuer != o.Issuer.URL
			o.Held.KeyGone = !signed && token.terms.Issuer != o.Issuer.URL
		}
	}
}

// contentOf returns the token that status.content describes.
func (w *simulation) contentOf(status *v1alpha1.JWTRefreshKeyStatus) *storedToken {
	var content struct{ JTI string }
	if status.Content == nil || json.Unmarshal(status.Content.Raw, &content) != nil {
		return nil
	}
	return w.byJTI[content.JTI]
}

func (w *simulation) ringHolds(url, kid string) bool {
	for _, issuer := range w.issuers {
		if issuer.url == url && issuer.found {
			return slices.Contains(issuer.ring, kid)
		}
	}
	return false
}

func (w *simulation) observeSecret(o *observation) {
	o.Secret.Name = SecretName(o.Key)
	if o.Secret.Name == "" {
		return
	}
	status := &o.Key.Status
	secret := w.secrets[o.Secret.Name]
	if secret == nil {
		o.Secret.State = SecretMissing
	} else {
		o.Secret = Secret{
			State: secret.stateFor(o.Key), Name: o.Secret.Name, Immutable: secret.immutable, CreatedAt: secret.createdAt,
			TokenHash: secret.token, AsWanted: w.isDressed(secret), HoldsAccess: secret.access != nil,
		}
		o.Secret.LacksEntries = !o.Secret.AsWanted && secret.dressing == earlierForm+w.dressing(o.Key)
		if secret.access != nil && !secret.access.edited {
			o.Secret.AccessExpiresAt, o.Secret.AccessRevision = secret.access.expiresAt, secret.access.revision
			o.Secret.AccessWithdrawn = w.accessSigner() != secret.access.signer
		}
	}
	own := o.Secret.State == SecretOwn || o.Secret.State == SecretMissing
	switch {
	case status.Revision > 0 && own && o.Held != nil && o.Issuer.KnowsHeldKey && !o.Held.KeyGone && o.Secret.TokenHash != status.TokenHash:
		if w.contentOf(status).Hash != status.TokenHash {
			o.Held, o.Distrust = nil, "the content does not produce the recorded token"
		}
	case status.Revision == 0 && o.Secret.State == SecretOwn && o.Issuer.Ready:
		if token := w.tokens[secret.token]; token != nil && token.uid == o.Key.UID && token.Revision == 1 && token.terms.Issuer == o.Issuer.URL &&
			w.ringHolds(token.terms.Issuer, token.KeyID) && w.now.Before(token.ExpiresAt) {
			o.Secret.Adoptable = &token.Token
		}
	}
}

// accessSigner returns the active access key of the key's issuer.
func (w *simulation) accessSigner() string {
	if issuer := w.issuers[IssuerName(w.key)]; issuer != nil && issuer.found {
		return issuer.accessSigner
	}
	return ""
}

func (s *storedSecret) stateFor(key *v1alpha1.JWTRefreshKey) SecretState {
	switch {
	case s.foreign:
		return SecretForeign
	case s.retained || s.owner == key.UID:
		return SecretOwn
	default:
		return SecretLeftOver
	}
}

func (w *simulation) dressing(key *v1alpha1.JWTRefreshKey) string {
	owner := string(key.UID)
	if retains(key) {
		owner = "retained"
	}
	var labels map[string]v1alpha1.LabelValue
	if key.Spec.Secret != nil {
		labels = key.Spec.Secret.Labels
	}
	return fmt.Sprint(owner, labels, key.Status.JTI, key.Status.Revision, IssuerName(key))
}

// earlierForm precedes the dressing of a Secret that an earlier version wrote, with fewer entries.
const earlierForm = "fewer entries: "

// isDressed reports whether everything except the tokens is as wanted. Nothing can be added to an immutable Secret of an earlier
// version.
func (w *simulation) isDressed(secret *storedSecret) bool {
	wanted := w.dressing(w.key)
	return secret.dressing == wanted || (secret.immutable && secret.dressing == earlierForm+wanted)
}

func retains(key *v1alpha1.JWTRefreshKey) bool {
	return key.Spec.Secret != nil && key.Spec.Secret.DeletionPolicy == v1alpha1.DeletionRetain
}

// accepts reports whether the token service accepts a token, by the rules of the contract.
func (w *simulation) accepts(token *storedToken) bool {
	return token != nil && w.inLine(token) && !w.key.Spec.Revoked && w.now.Before(token.ExpiresAt) && w.beforeEnd() &&
		w.ringHolds(token.terms.Issuer, token.KeyID) && w.issuerGrants()
}

// inLine reports whether status records the token as one of the line, which only the operator's writes decide.
func (w *simulation) inLine(token *storedToken) bool {
	status := &w.key.Status
	if token == nil || token.uid != w.key.UID || status.RevokedAt != nil || token.Revision < status.FirstRevision {
		return false
	}
	if status.Revision == 0 {
		return token.Revision == 1
	}
	if token.JTI == status.JTI {
		return true
	}
	return slices.ContainsFunc(status.Previous, func(t v1alpha1.SupersededToken) bool { return t.JTI == token.JTI })
}

func (w *simulation) beforeEnd() bool {
	end := w.key.Spec.ExpiresAt
	return end == nil || w.now.Before(end.Truncate(time.Second))
}

func (w *simulation) issuerGrants() bool {
	issuer := w.issuers[IssuerName(w.key)]
	if issuer == nil || !issuer.found || !issuer.ready {
		return false
	}
	spec := &w.key.Spec
	request := policy.Request{
		Namespace: w.key.Namespace, NamespaceLabels: w.namespace.Labels, DefaultSubject: subject, Subject: subject, Audience: spec.Audience,
		Lifetime: w.lifetime(), AccessLifetime: w.accessLifetime(), Scopes: spec.Scopes, Claims: slices.Collect(maps.Keys(spec.Claims)),
	}
	if spec.Subject != "" {
		request.Subject = spec.Subject
	}
	return issuer.policy.Check(request) == nil
}

func (w *simulation) lifetime() time.Duration {
	if l := w.key.Spec.Lifetime; l != nil {
		return l.Duration
	}
	return 720 * time.Hour
}

func (w *simulation) accessLifetime() time.Duration {
	if a := w.key.Spec.AccessToken; a != nil && a.Lifetime != nil {
		return a.Lifetime.Duration
	}
	if issuer := w.issuers[IssuerName(w.key)]; issuer != nil && issuer.found {
		return issuer.access
	}
	return 15 * time.Minute
}
