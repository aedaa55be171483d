package grant

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/seal"
	"github.com/refreshkeys/refreshkeys/internal/session"
)

// DeviceRequest is a poll of a device for its first tokens (RFC 8628 §3.4).
type DeviceRequest struct {
	DeviceCode string
	ClientID   string
	// Resources are the requested APIs (RFC 8707 §2.2); none for that of the client.
	Resources []string
	// Basic is whether the client names itself in the Authorization header.
	Basic bool
	// Terms are the device and the credentials of the client. The approval says what the tokens are for.
	Terms session.Terms
}

// Check implements Request.
func (r *DeviceRequest) Check(issuer *registry.Issuer) error {
	switch {
	case !issuer.Login.HasDevices():
		return oauth.Refuse(oauth.UnsupportedGrantType, "This issuer has no clients that are devices.")
	case r.DeviceCode == "":
		return oauth.Refuse(oauth.InvalidRequest, "device_code is missing.")
	case r.ClientID == "":
		return oauth.Refuse(oauth.InvalidRequest, "client_id is missing.")
	default:
		return nil
	}
}

// Answer implements Request. Until a person has decided, it answers from the view alone.
func (r *DeviceRequest) Answer(ctx context.Context, s *Fresh, issuer *registry.Issuer, outcome *Outcome) (*oauth.TokenAnswer, error) {
	code, issuer, err := s.openDevice(ctx, issuer, r)
	if err != nil {
		return nil, err
	}
	name := types.NamespacedName{Namespace: code.Namespace, Name: code.UserCode.SessionName(issuer.UID)}
	if s.registry.Key(name) == nil {
		return nil, oauth.Refuse(oauth.AuthorizationPending, "The person has not decided yet.")
	}
	claim, issuer, err := s.decided(ctx, issuer, code, name)
	if err != nil {
		return nil, err
	}
	approval := claim.Approval
	outcome.Subject, outcome.Key = approval.SignedIn.Subject, name
	if approval.Denied {
		return nil, oauth.Refuse(oauth.AccessDenied, "The person did not allow it.")
	}
	claim.Refused = r.refused(issuer, approval)
	begun, err := s.sessions.Claim(ctx, s.registry, issuer, claim, &r.Terms)
	if err != nil {
		return nil, err
	}
	return s.signedIn(issuer, approval.Code(code.Namespace), begun, outcome)
}

// refused returns why an approval gives no tokens: by the declaration of its client, or by the request. A later claim ends the session all the same.
func (r *DeviceRequest) refused(issuer *registry.Issuer, approval *authorize.Approval) error {
	if approval.StandsIn(issuer.Login.Clients) == nil {
		return oauth.Refuse(oauth.UnauthorizedClient, "The issuer does not declare this client, or what the person approved, any more.")
	}
	if slices.ContainsFunc(r.Resources, func(resource string) bool { return resource != approval.Audience }) {
		return oauth.Refuse(oauth.InvalidTarget, "The device_code is for another resource.")
	}
	return nil
}

// openDevice returns what a device code holds, if this client may claim it now, and the issuer with the ring that opened it.
func (s *Fresh) openDevice(ctx context.Context, issuer *registry.Issuer, r *DeviceRequest) (*authorize.DeviceCode, *registry.Issuer, error) {
	if len(r.DeviceCode) > authorize.MaxCode {
		return nil, nil, authorize.ErrDeviceCode()
	}
	code := &authorize.DeviceCode{}
	issuer, err := s.open(ctx, issuer, authorize.SealedDevice, "", r.DeviceCode, code)
	switch {
	case errors.Is(err, seal.ErrExpired):
		return nil, nil, oauth.Refuse(oauth.ExpiredToken, "The device_code has expired; begin again.")
	case errors.Is(err, seal.ErrForeign):
		return nil, nil, authorize.ErrDeviceCode()
	case err != nil:
		return nil, nil, err
	case code.Client != r.ClientID, code.Namespace != issuer.Login.SessionNamespace:
		return nil, nil, authorize.ErrDeviceCode()
	}
	// A proof without the nonce of the service is no poll: the device sends the next one at once.
	if proofs := r.Terms.Credentials.Proofs; len(proofs) > 0 {
		proven, err := s.clients.Proofs.Prove(issuer.TokenEndpoints, issuer.Rings, proofs)
		if err == nil {
			err = proven.Satisfies(code.JWKThumbprint)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return code, issuer, s.sessions.MayPoll(r.pollOf())
}

// pollOf returns what the polls of a device are counted by. A client that does not know how the service takes its id sends each poll twice, with
// and without the Authorization header, so these are counted apart.
func (r *DeviceRequest) pollOf() string {
	if r.Basic {
		return "Basic " + r.DeviceCode
	}
	return r.DeviceCode
}

// decided returns the decision of a person about a code, from the API server. An object with the name of the decision proves nothing
// without a sealed approval for this very object.
func (s *Fresh) decided(
	ctx context.Context, issuer *registry.Issuer, code *authorize.DeviceCode, name types.NamespacedName,
) (*session.Claim, *registry.Issuer, error) {
	decision, err := s.registry.SessionNow(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if decision == nil {
		return nil, nil, authorize.ErrDeviceCode()
	}
	approval := &authorize.Approval{}
	sealed := decision.Annotations[v1alpha1.AnnotationDeviceApproval]
	binding := authorize.ApprovalBinding(name.Namespace, name.Name)
	issuer, err = s.open(ctx, issuer, authorize.SealedApproval, binding, sealed, approval)
	switch {
	case errors.Is(err, seal.ErrForeign), errors.Is(err, seal.ErrExpired):
		return nil, nil, authorize.ErrDeviceCode()
	case err != nil:
		return nil, nil, err
	case approval.Client != code.Client:
		return nil, nil, authorize.ErrDeviceCode()
	}
	return &session.Claim{Code: code, Approval: approval, Decision: decision}, issuer, nil
}
