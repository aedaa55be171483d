// Package lifecycle decides what becomes of a refresh key. Decide is a pure function of
// what was observed and of the time: no client, no context, no clock, no randomness. What
// it returns is a value that says what to do; carrying it out is the controllers' work.
package lifecycle

import (
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Observed is all that Decide looks at.
type Observed struct {
	// Key is the object as it was read. It is not changed.
	Key *v1alpha1.JWTRefreshKey
	// Namespace is the namespace of the key.
	Namespace Namespace
	// Issuer is the issuer that the key names.
	Issuer Issuer
	// RestartsEnabled is true if the manager restarts the workloads that spec.rolloutRestart names.
	RestartsEnabled bool
	// WatchedSince is when somebody began to look at keys; zero for always. What was used while the
	// API server was away comes on record only after it is back.
	WatchedSince time.Time
	// Held is what the content in status says of the current token; nil without a token, or
	// where it cannot be trusted.
	Held *Held
	// Distrust says why the line in status cannot be what the operator wrote, when it cannot.
	Distrust string
	// Secret is the one that the key's token belongs into. Its state is NoSecret in mode None.
	Secret Secret
	// Others are further Secrets of this very key, under names it no longer has.
	Others []OtherSecret
}

// Namespace is what matters of a namespace.
type Namespace struct {
	Labels      map[string]string
	Terminating bool
}

// Issuer is what matters of an issuer.
type Issuer struct {
	Name  string
	Found bool
	Ready bool
	// Message says why it is not ready.
	Message string
	URL     string
	// Policy is compiled; nil only where Ready is false.
	Policy *policy.Policy
	// AccessLifetime is the lifetime of an access token whose key does not say.
	AccessLifetime time.Duration
	// SessionNamespace is where the people who sign in have their sessions.
	SessionNamespace string
	// AccessPending: the access ring has no key that may sign now.
	AccessPending bool
	// AccessFrom is the time from which it has one, if that is known.
	AccessFrom time.Time
	// KnowsHeldKey tells whether the key that signed the current token is still in the ring.
	KnowsHeldKey bool
}

// Held is what the content in status says of the current token.
type Held struct {
	Terms     Terms
	IssuedAt  time.Time
	ExpiresAt time.Time
	// KeyGone: an earlier issuer of the key made it, which is gone by now, or no longer has the
	// key that signed it. Nobody accepts it, and it cannot be made again.
	KeyGone bool
}

// SecretState says what stands under the name that the key's Secret has.
type SecretState int

// What stands under a Secret's name.
const (
	// NoSecret: the key wants none.
	NoSecret SecretState = iota
	// SecretMissing: nothing stands there.
	SecretMissing
	// SecretOwn: a Secret that the operator made for this very key.
	SecretOwn
	// SecretLeftOver: a Secret that was made for an earlier key of the same name, or one of ours whose token is
	// not on record. It is replaced.
	SecretLeftOver
	// SecretForeign: something the operator did not make for this key. It is never touched.
	SecretForeign
)

// Secret is what matters of the Secret that the key's token belongs into.
type Secret struct {
	State     SecretState
	Name      string
	Immutable bool
	CreatedAt time.Time
	// TokenHash is that of the token in it, in the form of status.tokenHash; empty without one.
	TokenHash string
	// AsWanted tells whether all beside the tokens is as it should be.
	AsWanted bool
	// DataAsWanted tells of an immutable Secret whether its data beside the tokens is as it should be: its labels,
	// annotations and ownerReference can be written all the same.
	DataAsWanted bool
	// OwnerDiffers tells whether its ownerReference is not the one that spec.secret.deletionPolicy wants.
	OwnerDiffers bool
	// AccessExpiresAt is the end of the access token in it; zero where there is none, or
	// where it was edited.
	AccessExpiresAt time.Time
	// AccessWithdrawn: the key that signed that access token is no longer in its ring.
	AccessWithdrawn bool
	// AccessRevision is the revision of the refresh token that the access token was issued from; 0 where it does
	// not say.
	AccessRevision int64
	// HoldsAccess tells whether there is anything under access-token.
	HoldsAccess bool
	// Adoptable is set on a key without a line when the Secret holds a token that the
	// operator signed for this very object as its first, and has not recorded yet.
	Adoptable *Token
}

// OtherSecret is a Secret of this very key under a name it no longer has.
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

// Line is the token as the current one of a line, with those it follows.
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

// Superseded is the current token of a line as the next one of it keeps it.
func Superseded(line *v1alpha1.TokenLine) v1alpha1.SupersededToken {
	return v1alpha1.SupersededToken{
		JTI: line.JTI, Revision: line.Revision, TokenHash: line.TokenHash, CreatedAt: *line.CreatedAt, ExpiresAt: *line.ExpiresAt,
	}
}
