package authorize

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	// DeviceLife is how long a device can claim its tokens (RFC 8628 §3.2).
	DeviceLife = 10 * time.Minute
	// PollInterval is how long a device waits between two polls (RFC 8628 §3.2).
	PollInterval = 5 * time.Second
	// ClaimAgain is how long a device that lost the answer gets its first tokens again.
	ClaimAgain = 30 * time.Second
	// SealedDevice is the purpose for which device codes are sealed.
	SealedDevice = "device code"
	// SealedApproval is the purpose for which approvals are sealed.
	SealedApproval = "device approval"
)

// DeviceCode is what a device code holds, sealed.
type DeviceCode struct {
	// Client is the id of a declared client.
	Client string `json:"client"`
	// Namespace is that of the session.
	Namespace string   `json:"namespace"`
	UserCode  UserCode `json:"code"`
	// JWKThumbprint is of the key whose proof the claim needs (RFC 9449); empty for none.
	JWKThumbprint string `json:"jkt,omitempty"`
}

// DeviceRequest is a request of a person to sign a device in.
type DeviceRequest struct {
	// Code is what the link of the device holds, not checked; empty for none.
	Code string `json:"code,omitempty"`
	// From is the sealed address of the device; empty if the person typed the address of the page.
	From string `json:"from,omitempty"`
}

// maxFrom is longer than any sealed address, in bytes.
const maxFrom = 1 << 10

// NewDeviceRequest returns the request in the parameters of the page for devices. Values that no link of the service holds are left out.
func NewDeviceRequest(code, from string) *DeviceRequest {
	r := &DeviceRequest{}
	if len(code) <= maxTyped {
		r.Code = code
	}
	if len(from) <= maxFrom {
		r.From = from
	}
	return r
}

// Approval is what a person decided about a device, sealed for the namespace and the name of its session.
type Approval struct {
	Client   string   `json:"client"`
	Audience string   `json:"audience"`
	Scopes   []string `json:"scopes,omitempty"`
	SignedIn SignedIn `json:"person"`
	// Denied is whether the person denied it.
	Denied bool `json:"denied,omitempty"`
}

// DeviceScopes returns the scopes of a client's devices: all that are declared, except the one that each sign-in gives.
func DeviceScopes(client *v1alpha1.LoginClient) []string {
	return slices.DeleteFunc(slices.Clone(client.Scopes), func(scope string) bool { return scope == oauth.ScopeOfflineAccess })
}

// CheckDevice returns the refusal of a request to sign a device in (RFC 8628 §3.1). scope is what the device asks for, which its
// declaration must have; the device gets all scopes of the declaration.
func CheckDevice(clients []v1alpha1.LoginClient, id, scope string) (*v1alpha1.LoginClient, error) {
	client := Find(clients, id)
	switch {
	case id == "":
		return nil, oauth.Refuse(oauth.InvalidRequest, "client_id is missing.")
	case client == nil:
		return nil, oauth.Refuse(oauth.InvalidClient, "The client_id is not declared.")
	case client.Device == nil:
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "The declaration of the client does not allow devices.")
	}
	for asked := range strings.SplitSeq(scope, " ") {
		if asked != "" && asked != oauth.ScopeOfflineAccess && !slices.Contains(client.Scopes, asked) {
			return nil, oauth.Refuse(oauth.InvalidScope, "A scope is not one of those of the client's declaration.")
		}
	}
	return client, nil
}

// StandsIn returns the client of an approval, if the issuer still declares all that the person approved; nil if not.
func (a *Approval) StandsIn(clients []v1alpha1.LoginClient) *v1alpha1.LoginClient {
	client := Find(clients, a.Client)
	if client == nil || client.Device == nil || client.Audiences[0] != a.Audience || !slices.Equal(DeviceScopes(client), a.Scopes) {
		return nil
	}
	return client
}

// Code returns what the approval gives, as the code of an authorization does. The namespace is that of the session.
func (a *Approval) Code(namespace string) *Code {
	return &Code{Request: Request{Client: a.Client, Audience: a.Audience, Scopes: a.Scopes}, SignedIn: a.SignedIn, Namespace: namespace}
}

// ApprovalBinding returns what an approval is sealed for: one object.
func ApprovalBinding(namespace, name string) string { return namespace + "\x00" + name }

// SessionName returns the name of the object that records the decision about a code. It depends on no key, so that a rotation does not
// change it.
func (c UserCode) SessionName(issuerUID string) string { return deviceName("user code", issuerUID, c) }

// BoundSessionName returns the name of the session of a device that proves a key. The object of the decision cannot hold that key, since
// a person decides before the device proves it.
func (c UserCode) BoundSessionName(issuerUID string) string {
	return deviceName("user code of a key", issuerUID, c)
}

// devicePrefix begins the names of sessions whose name is derived from a user code.
const devicePrefix = "device-"

func deviceName(purpose, issuerUID string, code UserCode) string {
	sum := sha256.Sum256([]byte(purpose + "\x00" + issuerUID + "\x00" + code.String()))
	return devicePrefix + hex.EncodeToString(sum[:16])
}

// PresentedFor returns how long the code of a session can be presented after the session was created, by the session's name; zero for a
// session without a code.
func PresentedFor(name string) time.Duration {
	switch {
	case strings.HasPrefix(name, sessionPrefix):
		return CodeLife
	case strings.HasPrefix(name, devicePrefix):
		return DeviceLife
	default:
		return 0
	}
}

// ErrDeviceCode returns the refusal of a device code that cannot be claimed.
func ErrDeviceCode() *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "The device_code is used, or not for this issuer and client_id.")
}
