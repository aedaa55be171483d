// Package seal encrypts what a sign-in carries from one step to the next, in a browser, in a code or in an object. The token
// service stores nothing before a person has signed in: every replica opens what another one sealed, since all of them have the
// issuer's seal ring.
package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Purpose separates values of one kind from those of all others: each has secrets of its own.
type Purpose string

// The errors of Open. ErrUnknownKey is no verdict on the value: the ring may have changed since it was read.
var (
	ErrUnknownKey = errors.New("seal: the value was sealed with a key that is not in the ring")
	ErrExpired    = errors.New("seal: the value has expired")
	ErrForeign    = errors.New("seal: the value was not sealed for this purpose")
)

// Box seals and opens values of one issuer, purpose and binding.
type Box struct {
	Rings *keyring.Rings
	// Issuer is the UID of the issuer: another one, with the same name or URL, opens nothing.
	Issuer  string
	Purpose Purpose
	// Binding is what the value belongs to, such as a browser or an object; empty for nothing. It is not part of the value: who
	// opens must know it.
	Binding string
}

// A sealed value is the thumbprint of its key, a nonce, and the encrypted end and JSON, in unpadded base64url.
const (
	thumbprintSize = 32
	header         = thumbprintSize + chacha20poly1305.NonceSizeX
	endSize        = 8
	// maxText bounds what Open decodes, above the longest value that the service seals.
	maxText = 16 << 10
)

// Seal returns v as JSON, encrypted with the active key of the ring (XChaCha20-Poly1305). It opens until end, in milliseconds.
// The error is keyring.ErrNoActiveKey if the issuer has no seal ring.
func (b *Box) Seal(v any, end time.Time) (string, error) {
	key, err := b.Rings.Signer(keyring.Seal)
	if err != nil {
		return "", err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(end.UnixMilli()))
	value := bytes.NewBuffer(plain)
	encoder := json.NewEncoder(value)
	// A query has many &, which would become six bytes each.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	aead, err := b.aead(key)
	if err != nil {
		return "", err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(key.ID)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	// It never fails (crypto/rand).
	_, _ = rand.Read(nonce)
	sealed = append(sealed, nonce...)
	sealed = aead.Seal(sealed, nonce, value.Bytes(), []byte(b.Binding))
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open decrypts a value into v, if it was sealed in an equal Box and has not expired.
func (b *Box) Open(text string, v any, now time.Time) error {
	if len(text) > maxText {
		return ErrForeign
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// The decoder skips line breaks.
	if err != nil || len(sealed) < header || strings.ContainsAny(text, "\r\n") {
		return ErrForeign
	}
	key, known := b.Rings.Lookup(keyring.Seal, base64.RawURLEncoding.EncodeToString(sealed[:thumbprintSize]))
	if !known {
		return ErrUnknownKey
	}
	aead, err := b.aead(key)
	if err != nil {
		return err
	}
	plain, err := aead.Open(nil, sealed[thumbprintSize:header], sealed[header:], []byte(b.Binding))
	if err != nil || len(plain) < endSize {
		return ErrForeign
	}
	if !now.Before(time.UnixMilli(int64(binary.BigEndian.Uint64(plain)))) { //nolint:gosec // Seal wrote it
		return ErrExpired
	}
	if err := json.Unmarshal(plain[endSize:], v); err != nil {
		// Another release sealed it.
		return ErrForeign
	}
	return nil
}

// KeyID returns the key that a sealed value names; empty if it names none. It does not open the value.
func KeyID(text string) string {
	if len(text) < base64.RawURLEncoding.EncodedLen(thumbprintSize) {
		return ""
	}
	// 43 characters hold 32 bytes and two bits of the nonce.
	raw, err := base64.RawURLEncoding.DecodeString(text[:base64.RawURLEncoding.EncodedLen(thumbprintSize)])
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (b *Box) aead(key *keyring.Key) (cipher.AEAD, error) {
	secret, err := key.Derive("seal/" + string(b.Purpose) + "/" + b.Issuer)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(secret)
}
