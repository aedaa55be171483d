package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// The purposes of what the steps of a device seal.
const (
	sealedAddress  = "device address"
	sealedEntry    = "device code entry"
	sealedDecision = "device decision"
)

const (
	// addressLife is longer than any user code can be approved.
	addressLife = 15 * time.Minute
	// approvalLife is longer than any device code can be claimed after a decision, for clocks that differ.
	approvalLife = authorize.DeviceLife + 5*time.Minute
)

// The errors of a code that a person enters.
var (
	// ErrUserCode means that the service did not make the code, or made it too long ago.
	ErrUserCode = errors.New("the code is wrong or has expired")
	// ErrDecided means that the code was used before.
	ErrDecided = session.ErrDecided
)

// Device is what a device gets that begins to sign in (RFC 8628 §3.2).
type Device struct {
	DeviceCode, UserCode string
	// From is the sealed address of the device, for the link that the device shows.
	From string
}

// BeginDevice returns the codes of a device. Nothing is stored. If the device proved a key, the claim needs it, too.
func (s *Service) BeginDevice(issuer *registry.Issuer, clientID, scope, proven, address string) (*Device, error) {
	if _, err := s.gate.Pass(); err != nil {
		return nil, err
	}
	client, err := authorize.CheckDevice(issuer.Login.Clients, clientID, scope)
	if err != nil {
		return nil, err
	}
	if err := s.sessions.DeviceMayBegin(issuer); err != nil {
		return nil, err
	}
	key, err := issuer.Rings.Signer(keyring.Seal)
	if err != nil {
		return nil, noSealKey()
	}
	secret, err := userCodeSecret(issuer, key)
	if err != nil {
		return nil, err
	}
	made := authorize.NewUserCode(secret, issuer.UID, client, randomCharacters(), s.clock.Now())
	device := &Device{UserCode: made.String()}
	device.From, err = s.seal(issuer, sealedAddress, device.UserCode, address, addressLife)
	if err != nil {
		return nil, err
	}
	device.DeviceCode, err = s.seal(issuer, authorize.SealedDevice, "", &authorize.DeviceCode{
		Client: client.ID, Namespace: issuer.Login.SessionNamespace, UserCode: made, JWKThumbprint: proven,
	}, authorize.DeviceLife)
	return device, err
}

// randomCharacters returns the random characters of a user code.
func randomCharacters() string {
	const whole = 256 / len(authorize.Alphabet) * len(authorize.Alphabet)
	text := make([]byte, 0, authorize.UserCodeRandom)
	var one [1]byte
	for len(text) < authorize.UserCodeRandom {
		// It never fails (crypto/rand).
		_, _ = rand.Read(one[:])
		if int(one[0]) < whole {
			text = append(text, authorize.Alphabet[int(one[0])%len(authorize.Alphabet)])
		}
	}
	return string(text)
}

// BeginForDevice returns the page at which a person signs in to sign a device in. code and from are those of the device's link.
func (s *Service) BeginForDevice(issuer *registry.Issuer, code, from string, browser Browser) (*Ask, error) {
	if _, err := s.gate.Pass(); err != nil {
		return nil, err
	}
	return s.ask(issuer, &authorize.Request{Device: authorize.NewDeviceRequest(code, from)}, browser)
}

// Entry is the page that asks a person for the code of a device.
type Entry struct {
	// Typed is the code that the page proposes.
	Typed string
	// Step is sealed. The code is sent back with it.
	Step string
}

// entry is what the page for the code seals.
type entry struct {
	SignedIn authorize.SignedIn      `json:"person"`
	Device   authorize.DeviceRequest `json:"device"`
}

// enter returns the page that asks for the code, after the person signed in.
func (s *Service) enter(issuer *registry.Issuer, request *authorize.DeviceRequest, person authorize.SignedIn, browser Browser) (*Next, error) {
	step, err := s.seal(issuer, sealedEntry, browser.binding(), &entry{SignedIn: person, Device: *request}, StepLife)
	if err != nil {
		return nil, err
	}
	return &Next{Entry: &Entry{Typed: request.Code, Step: step}, Person: person}, nil
}

// Question is the page that asks a person about a device.
type Question struct {
	Client *v1alpha1.LoginClient
	// Approval is what the device would get.
	Approval *authorize.Approval
	UserCode string
	// Address is where the device began; empty if it is unknown.
	Address string
	// Step is sealed. The decision sends it back.
	Step string
}

// question is what the page about a device seals.
type question struct {
	Approval authorize.Approval `json:"approval"`
	Code     authorize.UserCode `json:"code"`
}

// EnterCode takes the code that a person typed, and returns the page about its device. A try costs no request to the API server. The
// errors are ErrUserCode, a refusal of the limits, and one of the policy.
func (s *Service) EnterCode(ctx context.Context, issuer *registry.Issuer, step string, browser Browser, typed, address string) (*Question, error) {
	entered := &entry{}
	issuer, err := s.open(ctx, issuer, sealedEntry, browser.binding(), step, entered)
	if err != nil {
		return nil, err
	}
	person := entered.SignedIn
	if err := s.sessions.MayTryCode(issuer, person.Subject, address); err != nil {
		return nil, err
	}
	code, client, err := s.made(issuer, typed)
	if err != nil {
		return nil, err
	}
	cluster, err := s.gate.Pass()
	if err != nil {
		return nil, err
	}
	approval := authorize.Approval{Client: client.ID, Audience: client.Audiences[0], Scopes: authorize.DeviceScopes(client), SignedIn: person}
	if err := s.sessions.Grants(cluster, issuer, approval.Code(issuer.Login.SessionNamespace)); err != nil {
		return nil, err
	}
	next, err := s.seal(issuer, sealedDecision, browser.binding(), &question{approval, code}, StepLife)
	if err != nil {
		return nil, err
	}
	shown := &Question{Client: client, Approval: &approval, UserCode: code.String(), Step: next}
	if from := entered.Device.From; from != "" && issuer.Box(sealedAddress, shown.UserCode).Open(from, &shown.Address, s.clock.Now()) != nil {
		shown.Address = ""
	}
	return shown, nil
}

// EntryAgain returns the page for the code once more, after a refusal. The time for the step does not begin again.
func (s *Service) EntryAgain(ctx context.Context, issuer *registry.Issuer, step string, browser Browser, typed string) (*Entry, error) {
	if _, err := s.open(ctx, issuer, sealedEntry, browser.binding(), step, &entry{}); err != nil {
		return nil, err
	}
	return &Entry{Typed: authorize.NewDeviceRequest(typed, "").Code, Step: step}, nil
}

// DecideDevice records the decision of a person about a device, and returns who decided. The same decision of the same person can be sent again: the
// answer may have been lost. The errors are ErrUserCode, ErrDecided and a refusal of the policy or of the limits.
func (s *Service) DecideDevice(ctx context.Context, issuer *registry.Issuer, step string, browser Browser, allowed bool) (*authorize.Approval, error) {
	asked := &question{}
	issuer, err := s.open(ctx, issuer, sealedDecision, browser.binding(), step, asked)
	if err != nil {
		return nil, err
	}
	approval := &asked.Approval
	if approval.StandsIn(issuer.Login.Clients) == nil {
		return approval, ErrStep
	}
	// The page can be older than the code.
	if _, client, err := s.made(issuer, asked.Code.String()); err != nil || client.ID != approval.Client {
		return approval, ErrUserCode
	}
	approval.Denied = !allowed
	name := asked.Code.SessionName(issuer.UID)
	sealed, err := s.seal(issuer, authorize.SealedApproval, authorize.ApprovalBinding(issuer.Login.SessionNamespace, name), approval, approvalLife)
	if err != nil {
		return approval, err
	}
	cluster, err := s.gate.Pass()
	if err != nil {
		return approval, err
	}
	err = s.sessions.RecordDecision(ctx, cluster, issuer, asked.Code, approval, sealed)
	if errors.Is(err, ErrDecided) {
		err = s.repeated(ctx, cluster, issuer, name, approval)
	}
	return approval, err
}

// repeated returns nil if the recorded decision with a name, as the API server has it, is the same one, and ErrDecided if it is not.
func (s *Service) repeated(ctx context.Context, cluster Registry, issuer *registry.Issuer, name string, approval *authorize.Approval) error {
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	at := types.NamespacedName{Namespace: issuer.Login.SessionNamespace, Name: name}
	decision, err := cluster.SessionNow(ctx, at)
	if err != nil {
		return err
	}
	if decision == nil {
		return ErrDecided
	}
	recorded := &authorize.Approval{}
	sealed := decision.Annotations[v1alpha1.AnnotationDeviceApproval]
	_, err = s.open(ctx, issuer, authorize.SealedApproval, authorize.ApprovalBinding(at.Namespace, at.Name), sealed, recorded)
	if errors.Is(err, ErrStep) || (err == nil && !sameDecision(recorded, approval)) {
		return ErrDecided
	}
	return err
}

// sameDecision reports whether two decisions are of one person, have one answer, and are about the same access.
func sameDecision(a, b *authorize.Approval) bool {
	return a.SignedIn.Subject == b.SignedIn.Subject && a.SignedIn.Method == b.SignedIn.Method && a.SignedIn.Provider == b.SignedIn.Provider &&
		a.Denied == b.Denied && a.Client == b.Client && a.Audience == b.Audience && slices.Equal(a.Scopes, b.Scopes)
}

// userCodeSecret returns what makes and checks the user codes of an issuer with a key of its seal ring.
func userCodeSecret(issuer *registry.Issuer, key *keyring.Key) ([]byte, error) {
	return key.Derive(authorize.UserCodeKey + issuer.UID)
}

// made returns a code that a person typed and the client that it names, if a key of the ring made it a short time ago.
func (s *Service) made(issuer *registry.Issuer, typed string) (authorize.UserCode, *v1alpha1.LoginClient, error) {
	code, formed := authorize.ParseUserCode(typed)
	client := code.FindPrefix(issuer.Login.Clients)
	if !formed || client == nil {
		return code, nil, ErrUserCode
	}
	keys := issuer.Rings.Keys()
	for i := range keys {
		if keys[i].Use != keyring.Seal {
			continue
		}
		secret, err := userCodeSecret(issuer, &keys[i])
		if err != nil {
			return code, nil, err
		}
		if code.Made(secret, issuer.UID, client, s.clock.Now()) {
			return code, client, nil
		}
	}
	return code, nil, ErrUserCode
}
