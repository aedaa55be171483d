package registry

import (
	"context"
	"errors"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/seal"
)

// Rereader reads the keys of an issuer again.
type Rereader interface {
	// IssuerReread returns the issuer with its keys as read from the API server, for a key id that is unknown.
	IssuerReread(ctx context.Context, issuer *Issuer, kid string) (*Issuer, error)
}

// Box returns what seals and opens values of an issuer.
func (i *Issuer) Box(purpose seal.Purpose, binding string) *seal.Box {
	return &seal.Box{Rings: i.Rings, Issuer: i.UID, Purpose: purpose, Binding: binding}
}

// OpenSealed opens a sealed value into v, and returns the issuer whose ring opened it. A key that this replica does not know is read
// again, since another replica may have sealed the value a moment ago. The other errors are those of seal: seal.ErrUnknownKey says that the
// API server does not have the key, either.
func OpenSealed(ctx context.Context, from Rereader, issuer *Issuer, purpose seal.Purpose, binding, text string, v any, now time.Time) (*Issuer, error) {
	err := issuer.Box(purpose, binding).Open(text, v, now)
	if errors.Is(err, seal.ErrUnknownKey) {
		if issuer, err = from.IssuerReread(ctx, issuer, seal.KeyID(text)); err != nil {
			return nil, err
		}
		err = issuer.Box(purpose, binding).Open(text, v, now)
	}
	return issuer, err
}
