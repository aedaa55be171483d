package keyring

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// metadataEntry is the entry of the Secret that describes the keys, without their private halves.
	metadataEntry   = "rings.json"
	metadataVersion = 1
	pemSuffix       = ".pem"
	pemType         = "PRIVATE KEY"

	// The bounds of the entries, well above what MaxKeysPerRing and RSA of 8192 bits need.
	maxMetadataBytes = 256 << 10
	maxPEMBytes      = 16 << 10
)

// DamagedError is the error of a Secret that differs from what Encode wrote. It contains no key material and
// no content of an entry, so a status can show it.
type DamagedError struct {
	// Entry is the name of the entry of the Secret, truncated to 80 bytes.
	Entry string
	// Problem says what is wrong with it, as the rest of a sentence that begins with the entry.
	Problem string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("signing keys are damaged: entry %q %s", e.Entry, e.Problem)
}

func damaged(entry, problem string, args ...any) *DamagedError {
	const longest = 80
	if len(entry) > longest {
		entry = entry[:longest]
	}
	return &DamagedError{Entry: entry, Problem: fmt.Sprintf(problem, args...)}
}

// document is the content of the metadata entry.
type document struct {
	Version int           `json:"version"`
	Keys    []description `json:"keys"`
}

// description is the public description of a key. Times are strings, so that parse errors do not quote them.
type description struct {
	ID        string    `json:"kid"`
	Use       Use       `json:"use"`
	Algorithm Algorithm `json:"algorithm"`
	State     State     `json:"state"`
	CreatedAt string    `json:"createdAt"`
	ActiveAt  string    `json:"activeAt,omitempty"`
	RetireAt  string    `json:"retireAt,omitempty"`
}

func describe(k Key) description {
	text := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	return description{
		ID: k.ID, Use: k.Use, Algorithm: k.Algorithm, State: k.State,
		CreatedAt: text(k.CreatedAt), ActiveAt: text(k.ActiveAt), RetireAt: text(k.RetireAt),
	}
}

// Encode returns the data of the Secret: for each key "<kid>.pem", a PKCS #8 private key (RFC 5958) in PEM
// (RFC 7468 §10), and "rings.json", the public description of all of them. Equal rings give equal bytes.
//
// Only Encode returns private keys: send the result only to the API server.
// It returns an error for rings that Decode would refuse, such as nil.
func Encode(r *Rings) (map[string][]byte, error) {
	if damage := checkRings(r.all()); damage != nil {
		return nil, fmt.Errorf("keyring: encode: %s %s", damage.Entry, damage.Problem)
	}
	data := map[string][]byte{}
	content := document{Version: metadataVersion}
	for _, key := range r.all() {
		content.Keys = append(content.Keys, describe(key))
		der, err := x509.MarshalPKCS8PrivateKey(key.private())
		if err != nil {
			// The cause is dropped on purpose: errors contain nothing of a private key.
			return nil, fmt.Errorf("keyring: encode: %s has no PKCS #8 form", key)
		}
		data[key.ID+pemSuffix] = pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	}
	metadata, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("keyring: encode: %w", err)
	}
	data[metadataEntry] = append(metadata, '\n')
	return data, nil
}

// Decode reads the data of the Secret. Every error is a *DamagedError: an entry that is missing, too many
// or malformed, a private key that is not the one its name says or does not fit its algorithm, or a
// description that Advance cannot produce. It never repairs, because a guess could sign with the wrong key.
func Decode(data map[string][]byte) (*Rings, error) {
	descriptions, damage := decodeMetadata(data)
	if damage != nil {
		return nil, damage
	}
	keys := make([]Key, 0, len(descriptions))
	known := map[string]bool{metadataEntry: true}
	for _, d := range descriptions {
		key, damage := decodeKey(d, data)
		if damage != nil {
			return nil, damage
		}
		known[d.ID+pemSuffix] = true
		keys = append(keys, key)
	}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if !known[name] {
			return nil, damaged(name, "is not described in %s", metadataEntry)
		}
	}
	if damage := checkRings(keys); damage != nil {
		return nil, damage
	}
	return newRings(keys), nil
}

func decodeMetadata(data map[string][]byte) ([]description, *DamagedError) {
	content, found := data[metadataEntry]
	if !found {
		return nil, damaged(metadataEntry, "is missing")
	}
	if len(content) > maxMetadataBytes {
		return nil, damaged(metadataEntry, "is longer than %d bytes", maxMetadataBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var metadata document
	if err := decoder.Decode(&metadata); err != nil {
		return nil, damaged(metadataEntry, "%s", jsonProblem(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, damaged(metadataEntry, "has something after its end")
	}
	if metadata.Version != metadataVersion {
		return nil, damaged(metadataEntry, "has version %d, and this release reads %d", metadata.Version, metadataVersion)
	}
	if len(metadata.Keys) > MaxKeys {
		return nil, damaged(metadataEntry, "describes more than %d keys", MaxKeys)
	}
	return metadata.Keys, nil
}

// jsonProblem returns where the JSON is invalid, without quoting it.
func jsonProblem(err error) string {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("is not JSON, at byte %d", syntax.Offset)
	case errors.As(err, &mismatch):
		return fmt.Sprintf("has a value of the wrong type, at byte %d", mismatch.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "ends too early"
	}
	return "has a field that this release does not know"
}

// decodeKey combines a description with its private key, and checks that they match.
func decodeKey(d description, data map[string][]byte) (Key, *DamagedError) {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(d.ID)
	if err != nil || len(sum) != crypto.SHA256.Size() {
		return Key{}, damaged(metadataEntry, "has a kid that is not a SHA-256 thumbprint")
	}
	entry := d.ID + pemSuffix
	if !d.Algorithm.Valid() {
		return Key{}, damaged(metadataEntry, "has an unknown algorithm for key %s", d.ID)
	}
	content, found := data[entry]
	if !found {
		return Key{}, damaged(entry, "is missing")
	}
	signer, problem := parsePrivate(content)
	if problem != "" {
		return Key{}, damaged(entry, "%s", problem)
	}
	key, err := newKey(d.Use, d.Algorithm, signer)
	if err != nil {
		return Key{}, damaged(entry, "%s", err)
	}
	if key.ID != d.ID {
		return Key{}, damaged(entry, "holds another key than its name says")
	}
	key.State = d.State
	for _, field := range []struct {
		name, text string
		into       *time.Time
	}{{"createdAt", d.CreatedAt, &key.CreatedAt}, {"activeAt", d.ActiveAt, &key.ActiveAt}, {"retireAt", d.RetireAt, &key.RetireAt}} {
		if *field.into, err = parseTime(field.text); err != nil {
			return Key{}, damaged(metadataEntry, "has a bad %s for key %s", field.name, d.ID)
		}
	}
	return key, nil
}

// parsePrivate parses exactly one PKCS #8 key in PEM. It drops the parsers' own errors, which
// contain parts of the input.
func parsePrivate(content []byte) (signer crypto.Signer, problem string) {
	if len(content) > maxPEMBytes {
		return nil, fmt.Sprintf("is longer than %d bytes", maxPEMBytes)
	}
	block, rest := pem.Decode(content)
	if block == nil || block.Type != pemType || len(block.Headers) > 0 || !bytes.HasPrefix(content, []byte("-----BEGIN ")) {
		return nil, "is not a private key in PEM"
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, "has something after the private key"
	}
	// x509 ignores trailing data.
	if rest, err := asn1.Unmarshal(block.Bytes, new(asn1.RawValue)); err != nil || len(rest) > 0 {
		return nil, "is not a PKCS #8 private key"
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, "is not a PKCS #8 private key"
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, "is a private key that cannot sign"
	}
	return signer, ""
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	// Only the format that describe writes: UTC, whole seconds, an upper-case Z.
	if err != nil || t.UTC().Format(time.RFC3339) != text {
		return time.Time{}, errors.New("not a time in UTC and whole seconds")
	}
	return t.UTC(), nil
}

// saneTime reports whether RFC 3339 and the API's schema can represent the year.
func saneTime(t time.Time) bool { return t.Unix() >= 0 && t.Year() <= 9999 }

// checkRings checks the invariants that Advance guarantees.
func checkRings(keys []Key) *DamagedError {
	seen := map[string]bool{}
	counts := map[string]int{}
	for _, key := range keys {
		if !key.Use.Valid() {
			return damaged(metadataEntry, "has an unknown use for key %s", key.ID)
		}
		if key.Use == Seal && key.Algorithm != EdDSA {
			return damaged(metadataEntry, "has a seal key %s that is not an %s key", key.ID, EdDSA)
		}
		if seen[key.ID] {
			return damaged(metadataEntry, "describes key %s twice", key.ID)
		}
		if problem := checkTimes(key); problem != "" {
			return damaged(metadataEntry, "has %s for key %s", problem, key.ID)
		}
		seen[key.ID] = true
		counts[string(key.Use)]++
		counts[string(key.Use)+string(key.State)]++
	}
	for _, use := range uses {
		// An issuer without browser sign-in has no seal ring.
		if n := counts[string(use)]; (n == 0 && use != Seal) || n > most(use) {
			return damaged(metadataEntry, "describes %d %s keys, not 1 to %d", n, use, most(use))
		}
		for _, state := range []State{Active, Pending} {
			if n := counts[string(use)+string(state)]; n > 1 {
				return damaged(metadataEntry, "describes %d %s keys that are %s, not one", n, use, strings.ToLower(string(state)))
			}
		}
	}
	return nil
}

func checkTimes(key Key) string {
	switch {
	case key.State != Pending && key.State != Active && key.State != Retiring:
		return "an unknown state"
	case !saneTime(key.CreatedAt):
		return "no sane createdAt"
	case !saneTime(key.ActiveAt) || key.ActiveAt.Before(key.CreatedAt):
		return "no sane activeAt"
	case key.State == Retiring && (!saneTime(key.RetireAt) || key.RetireAt.Before(key.ActiveAt)):
		return "no sane retireAt"
	case key.State != Retiring && !key.RetireAt.IsZero():
		return "a retireAt without retiring"
	}
	return ""
}
