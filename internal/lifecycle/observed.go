// Package lifecycle decides about refresh keys. Decide is a pure function of the observed state and the time: it uses no
// client, no context, no clock and no randomness. It returns a Plan, which the controllers carry out.
package lifecycle

import (
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Observed is the observed state, the input of Decide.
type Observed struct {
	// Key is the object as it was read. Decide does not change it.
	Key *v1alpha1.JWTRefreshKey
	// Namespace is the namespace of the key.
	Namespace Namespace
	// Issuer is the issuer that the key names.
	Issuer Issuer
	// RestartsEnabled is true if the manager restarts the workloads that spec.rolloutRestart names.
	RestartsEnabled bool
	// WatchedSince is when the manager began to reconcile keys; zero for always. Uses during an outage of the API server
	// are recorded only after it.
	WatchedSince time.Time
	// Held describes the current token by the content in status; nil without a token, or if the content cannot be
	// trusted.
	Held *Held
	// Distrust is why the operator cannot have written the line in status; empty if it can.
	Distrust string
	// Secret is the Secret for the key's token. Its state is NoSecret in mode None.
	Secret Secret
	// Others are the key's Secrets under earlier names.
	Others []OtherSecret
}

// Namespace is the part of a namespace that Decide depends on.
type Namespace struct {
	Labels      map[string]string
	Terminating bool
}

// Issuer is the part of an issuer that Decide depends on.
type Issuer struct {
	Name  string
	Found bool
	Ready bool
	// Message says why it is not ready.
	Message string
	URL     string
	// Policy is the compiled policy; nil only if Ready is false.
	Policy *policy.Policy
	// AccessLifetime is the lifetime of access tokens of keys without accessToken.lifetime.
	AccessLifetime time.Duration
	// SessionNamespace is the namespace of the sessions of people.
	SessionNamespace string
	// AccessPending is true if the access ring has no key that may sign now.
	AccessPending bool
	// AccessFrom is the time from which it has one; zero if unknown.
	AccessFrom time.Time
	// KnowsHeldKey is true if the signing key of the current token is still in the ring.
	KnowsHeldKey bool
}

// Held describes the current token by the content in status.
type Held struct {
	Terms     Terms
	IssuedAt  time.Time
	ExpiresAt time.Time
	// KeyGone is true if an earlier issuer signed the token, and the issuer or its signing key no longer exists. The
	// token is refused and cannot be signed again.
	KeyGone bool
}

// SecretState is the state of the Secret of the key's name.
type SecretState int

// States of a Secret.
const (
	// NoSecret means that the key has no Secret (secret.mode None).
	NoSecret SecretState = iota
	// SecretMissing means that no Secret of the name exists.
	SecretMissing
	// SecretOwn is a Secret that the operator created for this key, with this UID.
	SecretOwn
	// SecretLeftOver is a Secret that the operator created for an earlier key of the same name, or one of the operator's
	// whose token is not recorded. The operator replaces it.
	SecretLeftOver
	// SecretForeign is a Secret that the operator did not create for this key. The operator never changes it.
	SecretForeign
)

// Secret is the part of the key's Secret that Decide depends on.
type Secret struct {
	State     SecretState
	Name      string
	Immutable bool
	CreatedAt time.Time
	// TokenHash is the hash of the token in the Secret, in the form of status.tokenHash; empty without one.
	TokenHash string
	// AsWanted is true if everything except the tokens is as wanted.
	AsWanted bool
	// DataAsWanted is true for an immutable Secret if its data except the tokens is as wanted. The operator can still
	// write labels, annotations and the ownerReference of an immutable Secret.
	DataAsWanted bool
	// LacksEntries is true if everything except the tokens is as an earlier version of the operator wrote it, without the
	// entries that this version adds.
	LacksEntries bool
	// OwnerDiffers is true if the ownerReference is not as spec.secret.deletionPolicy wants.
	OwnerDiffers bool
	// AccessExpiresAt is the end of the access token in the Secret; zero without one, or if it was edited.
	AccessExpiresAt time.Time
	// AccessWithdrawn is true if the signing key of the access token is no longer in its ring.
	AccessWithdrawn bool
	// AccessRevision is the revision of the refresh token that the access token was issued from; 0 if it has none.
	AccessRevision int64
	// HoldsAccess is true if the Secret has the entry access-token.
	HoldsAccess bool
	// Adoptable is set for a key without a line if the Secret holds a first token that the operator signed for this
	// object (UID) and has not recorded yet.
	Adoptable *Token
}

// OtherSecret is a Secret of the key under an earlier name.
type OtherSecret struct {
	Name      string
	TokenHash string
}

// Token is a minted token, without its text.
type Token struct {
	Revision  int64
	JTI       string
	Hash      string
	KeyID     string
	CreatedAt time.Time
	ExpiresAt time.Time
	Content   []byte
}

// Line returns the line with the token as the current one, and the superseded tokens.
func (t *Token) Line(previous []v1alpha1.SupersededToken) v1alpha1.TokenLine {
	if len(previous) == 0 {
		previous = nil
	}
	return v1alpha1.TokenLine{
		Revision:  t.Revision,
		JTI:       t.JTI,
		TokenHash: t.Hash,
		KeyID:     t.KeyID,
		CreatedAt: &metav1.Time{Time: t.CreatedAt},
		ExpiresAt: &metav1.Time{Time: t.ExpiresAt},
		Content:   &apiextensionsv1.JSON{Raw: t.Content},
		Previous:  previous,
	}
}

// Superseded returns the current token of a line as a superseded one.
func Superseded(line *v1alpha1.TokenLine) v1alpha1.SupersededToken {
	return v1alpha1.SupersededToken{
		JTI: line.JTI, Revision: line.Revision, TokenHash: line.TokenHash, CreatedAt: *line.CreatedAt, ExpiresAt: *line.ExpiresAt,
	}
}
