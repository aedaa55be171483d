package authority

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// PublishedEntry is the entry of a published ConfigMap with the certificates, in PEM.
const PublishedEntry = "ca.crt"

// Published is the ConfigMap of one namespace, as it was read.
type Published struct {
	// Found is true if it exists, and Own if the operator made it.
	Found, Own bool
	// Digest is the PublishedDigest of the entry PublishedEntry; empty without one.
	Digest string
	// More is true if it has further entries.
	More bool
}

// PublishStep is what to do with the ConfigMap of one namespace.
type PublishStep int

// The steps.
const (
	// KeepPublished: it is as it must be.
	KeepPublished PublishStep = iota
	// CreatePublished: it does not exist.
	CreatePublished
	// UpdatePublished: it has other content.
	UpdatePublished
	// RemovePublished: clients need no private authority.
	RemovePublished
	// ForeignPublished: another client made it. The operator never changes it.
	ForeignPublished
)

// Step returns what to do with the ConfigMap, for the bundle that clients trust; an empty one if the certificate is publicly
// trusted.
func (p Published) Step(bundle []byte) PublishStep {
	switch {
	case !p.Found && len(bundle) == 0:
		return KeepPublished
	case !p.Found:
		return CreatePublished
	case !p.Own:
		return ForeignPublished
	case len(bundle) == 0:
		return RemovePublished
	case p.Digest != PublishedDigest(bundle) || p.More:
		return UpdatePublished
	default:
		return KeepPublished
	}
}

const digestPrefix = "sha256:"

// PublishedDigest returns the SHA-256 of a bundle. A digest is its own digest.
func PublishedDigest(bundle []byte) string {
	if strings.HasPrefix(string(bundle), digestPrefix) {
		return string(bundle)
	}
	sum := sha256.Sum256(bundle)
	return digestPrefix + hex.EncodeToString(sum[:])
}
