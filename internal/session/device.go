package session

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// ErrDecided means that a person has decided about the code of a device before.
var ErrDecided = errors.New("the code of the device was used before")

// RecordDecision creates the object of a person's decision about a device, with the sealed approval, and returns ErrDecided if there is
// one. It has the spec of the session that a claim begins. After a denial it never begins, and the operator removes it.
func (s *Service) RecordDecision(
	ctx context.Context, cluster Registry, issuer *registry.Issuer, code authorize.UserCode, approval *authorize.Approval, sealed string,
) error {
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	l := s.loginOf(cluster, issuer, approval.Code(issuer.Login.SessionNamespace), &Terms{})
	terms, err := l.granted()
	if err != nil {
		return err
	}
	if err := l.checkLimits(); err != nil {
		return err
	}
	key := l.sessionKey(terms, code.SessionName(issuer.UID))
	key.Annotations = map[string]string{v1alpha1.AnnotationDeviceApproval: sealed}
	err = cluster.CreateSession(ctx, key)
	if errors.Is(err, registry.ErrLost) {
		return ErrDecided
	}
	return err
}

// Claim is a device's claim of the tokens of an approval.
type Claim struct {
	Code     *authorize.DeviceCode
	Approval *authorize.Approval
	// Decision is the object with the sealed approval, as the API server has it.
	Decision *v1alpha1.JWTRefreshKey
	// Refused is why the declaration of the client or the request itself gives no tokens; nil if they do.
	Refused error
}

// Claim begins the session of a device that a person approved (RFC 8628 §3.5). One write of status records the first token: it is the
// compare-and-swap that lets one claim succeed. A device that lost the answer gets the same refresh token again for
// authorize.ClaimAgain, as long as it is unused. Each later claim ends the session. sent has the device and its credentials.
func (s *Service) Claim(ctx context.Context, cluster Registry, issuer *registry.Issuer, claim *Claim, sent *Terms) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	l := s.loginOf(cluster, issuer, claim.Approval.Code(issuer.Login.SessionNamespace), sent)
	checked, err := l.checkClaim(ctx, claim)
	if err != nil {
		return nil, err
	}
	decision := claim.Decision
	for range sessionTries {
		result, err := l.claimBy(ctx, claim.Code, decision, checked)
		if !errors.Is(err, registry.ErrLost) {
			return result, err
		}
		if decision, err = l.sessionNow(ctx, decision.Name); err != nil {
			return nil, err
		}
		if decision.UID != claim.Decision.UID {
			return nil, authorize.ErrDeviceCode()
		}
	}
	return nil, upstream.Unavailable("the session of the device changes too often")
}

// checkClaim makes the checks of a claim, and uses up its proof. A claim after the first one begins no session, so that no limit of sessions counts:
// it repeats the answer, or ends the session. Nothing that refuses tokens prevents that end.
func (l *login) checkClaim(ctx context.Context, claim *Claim) (*begun, error) {
	client, err := l.prove(ctx, claim.Code.JWKThumbprint)
	if err != nil {
		return nil, err
	}
	claimed, err := l.claimed(ctx, claim)
	if err != nil {
		return nil, err
	}
	if claimed != nil && !l.repeats(claimed, client.Thumbprint) {
		return nil, l.endClaimed(ctx, claimed.Name)
	}
	if claim.Refused != nil {
		return nil, claim.Refused
	}
	terms, err := l.granted()
	if err != nil {
		return nil, err
	}
	if claimed == nil {
		if err := l.checkLimits(); err != nil {
			return nil, err
		}
	}
	return l.ready(terms, client)
}

// claimed returns the session that a claim of the code has begun, with or without a key; nil for none.
func (l *login) claimed(ctx context.Context, claim *Claim) (*v1alpha1.JWTRefreshKey, error) {
	if !notBegun(claim.Decision) {
		return claim.Decision, nil
	}
	if claim.Decision.Status.RevokedAt == nil {
		return nil, nil
	}
	bound := types.NamespacedName{Namespace: l.signedIn.namespace, Name: claim.Code.UserCode.BoundSessionName(l.issuer.UID)}
	found, err := l.registry.SessionNow(ctx, bound)
	if err != nil || found == nil || notBegun(found) {
		return nil, err
	}
	return found, nil
}

// claimBy is one try of a claim, by the object of the decision as the API server has it.
func (l *login) claimBy(ctx context.Context, code *authorize.DeviceCode, decision *v1alpha1.JWTRefreshKey, checked *begun) (*Result, error) {
	wanted := l.sessionKey(checked.terms, decision.Name)
	wanted.Spec.Binding = nil
	if !sameSession(decision, wanted) || !sameLabels(decision, wanted) || decision.DeletionTimestamp != nil {
		return nil, authorize.ErrDeviceCode()
	}
	key := decision
	if checked.terms.thumbprint != "" {
		var err error
		if key, err = l.boundSession(ctx, code, decision, checked.terms); err != nil {
			return nil, err
		}
	}
	return l.claimOnce(ctx, code, key, checked)
}

// claimOnce begins a session, or returns its first tokens again.
func (l *login) claimOnce(ctx context.Context, code *authorize.DeviceCode, key *v1alpha1.JWTRefreshKey, checked *begun) (*Result, error) {
	result := &Result{Key: key, Client: checked.client, Access: checked.access}
	var err error
	switch {
	case !notBegun(key):
		return l.claimAgain(ctx, result, checked.terms.thumbprint)
	case key.Status.RevokedAt != nil:
		// A device that proved a key claimed the code, and this one does not prove it.
		return nil, l.endClaimed(ctx, code.UserCode.BoundSessionName(l.issuer.UID))
	}
	if err := l.stillThere(ctx); err != nil {
		return nil, err
	}
	if err := l.makeRoom(ctx, key); err != nil {
		return nil, err
	}
	result.Token, result.Claims, err = l.start(ctx, key, checked.refresh)
	return result, err
}

// claimAgain returns the first refresh token of a session once more, to a device that may have lost it. Otherwise the code was used
// twice, and the session ends.
func (l *login) claimAgain(ctx context.Context, result *Result, thumbprint string) (*Result, error) {
	key := result.Key
	status := &key.Status
	if !l.repeats(key, thumbprint) {
		return nil, l.endClaimed(ctx, key.Name)
	}
	var err error
	if result.Claims, err = line.Recorded(key); err != nil {
		return nil, err
	}
	signer, known := l.issuer.Rings.Lookup(keyring.Refresh, status.KeyID)
	if !known {
		return nil, upstream.Unavailable("the key that signed the first token is not known")
	}
	result.Token, err = line.Remake(key, signer)
	return result, err
}

// repeats reports whether a device that proves a key, or none, may have lost the first tokens of a session, which are unused.
func (l *login) repeats(key *v1alpha1.JWTRefreshKey, thumbprint string) bool {
	status, bound := &key.Status, ""
	if key.Spec.Binding != nil {
		bound = key.Spec.Binding.JWKThumbprint
	}
	return status.Session != nil && status.RevokedAt == nil && status.Revision == 1 && status.LastUsed == nil && status.LastUsedRevision == 0 &&
		status.Session.Subject == l.signedIn.Subject && status.Session.Client == l.client && bound == thumbprint &&
		l.Clock.Now().Before(status.Session.StartedAt.Add(authorize.ClaimAgain))
}

// endClaimed ends the session of a code that is used a second time.
func (l *login) endClaimed(ctx context.Context, name string) error {
	at := types.NamespacedName{Namespace: l.signedIn.namespace, Name: name}
	err := l.registry.Revoke(ctx, at, v1alpha1.RevokedReuseDetected, func(key *v1alpha1.JWTRefreshKey) bool { return key.Status.Session != nil })
	if err != nil {
		return err
	}
	return authorize.ErrDeviceCode()
}

// boundSession returns the session of a device that proves a key: an object of its own, since only its creation can bind it to the key.
// Before, the object of the decision is marked as claimed, so that no claim without the key begins it.
func (l *login) boundSession(
	ctx context.Context, code *authorize.DeviceCode, decision *v1alpha1.JWTRefreshKey, terms *sessionTerms,
) (*v1alpha1.JWTRefreshKey, error) {
	if err := l.markClaimed(ctx, decision); err != nil {
		return nil, err
	}
	wanted := l.sessionKey(terms, code.UserCode.BoundSessionName(l.issuer.UID))
	err := l.registry.CreateSession(ctx, wanted)
	if !errors.Is(err, registry.ErrLost) {
		return wanted, err
	}
	found, err := l.sessionNow(ctx, wanted.Name)
	switch {
	case err != nil:
		return nil, err
	case !sameSession(found, wanted) || !sameLabels(found, wanted):
		return nil, l.endClaimed(ctx, found.Name)
	default:
		return found, nil
	}
}

// markClaimed revokes the object of a decision before it begins. If it has begun, the code is used twice.
func (l *login) markClaimed(ctx context.Context, decision *v1alpha1.JWTRefreshKey) error {
	if decision.Status.RevokedAt == nil && notBegun(decision) {
		at := types.NamespacedName{Namespace: decision.Namespace, Name: decision.Name}
		err := l.registry.Revoke(ctx, at, v1alpha1.RevokedRequested, func(key *v1alpha1.JWTRefreshKey) bool {
			return key.UID == decision.UID && notBegun(key)
		})
		if err != nil {
			return err
		}
		if decision, err = l.sessionNow(ctx, decision.Name); err != nil {
			return err
		}
	}
	if decision.Status.RevokedAt == nil || !notBegun(decision) {
		return l.endClaimed(ctx, decision.Name)
	}
	return nil
}

// sessionNow returns a session of people as the API server has it.
func (l *login) sessionNow(ctx context.Context, name string) (*v1alpha1.JWTRefreshKey, error) {
	key, err := l.registry.SessionNow(ctx, types.NamespacedName{Namespace: l.signedIn.namespace, Name: name})
	if err == nil && key == nil {
		err = upstream.Unavailable("the session of the device was deleted")
	}
	return key, err
}

// sameLabels reports whether a session is found by the search for those of its subject.
func sameLabels(found, wanted *v1alpha1.JWTRefreshKey) bool {
	return found.Labels[v1alpha1.LabelSession] == wanted.Labels[v1alpha1.LabelSession] &&
		found.Labels[v1alpha1.LabelSessionOf] == wanted.Labels[v1alpha1.LabelSessionOf]
}
