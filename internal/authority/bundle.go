package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// MaxBundle is the size limit of a bundle, in bytes: the bundle is in every key's Secret.
const MaxBundle = 64 << 10

const certificateBlock = "CERTIFICATE"

// blockBegins is the beginning of every PEM block, complete or not.
var blockBegins = []byte("-----BEGIN ")

// Verdict is the result of Judge: the bundle for clients, and the fault of the provided one.
type Verdict struct {
	// Bundle is the bundle that clients trust, in PEM: only certificates, at most MaxBundle bytes. It is empty if the
	// certificate that is served is publicly trusted.
	Bundle []byte
	// Finding is the fault of the provided bundle.
	Finding Finding
	// New is true if Bundle comes from the provided one and must be stored.
	New bool
}

// Finding is the fault of a bundle that another party provides.
type Finding int

// The findings.
const (
	// Sound: nothing is wrong.
	Sound Finding = iota
	// Empty: it is empty, though clients need it.
	Empty
	// NoCertificate: none of its blocks is a certificate.
	NoCertificate
	// Expired: all of its certificates have expired.
	Expired
	// Mixed: it holds certificates, and blocks that are not certificates or are incomplete.
	Mixed
	// TooLarge: its certificates are more than MaxBundle bytes.
	TooLarge
)

// Judge returns the bundle for clients, from a bundle that another party provides, the serving certificate and the last
// sound bundle. An empty bundle is sound if no bundle was ever needed, or if the stored one does not verify the current
// serving certificate.
func Judge(provided, served, kept []byte, now time.Time) Verdict {
	read := readBundle(provided)
	verdict := Verdict{Bundle: kept}
	switch {
	case len(bytes.TrimSpace(provided)) == 0:
		if len(kept) > 0 && signedBy(served, kept) {
			verdict.Finding = Empty
		} else {
			verdict.Bundle = nil
		}
		return verdict
	case len(read.certificates) == 0:
		verdict.Finding = NoCertificate
		return verdict
	case !slices.ContainsFunc(read.certificates, func(c *x509.Certificate) bool { return now.Before(c.NotAfter) }):
		verdict.Finding = Expired
		return verdict
	case read.tooLarge:
		verdict.Finding = TooLarge
		// A part of the new bundle can lack the required certificate, so the stored bundle is preferred.
		if len(kept) > 0 && !bytes.Equal(kept, encode(read.certificates)) {
			return verdict
		}
	case read.leftOut:
		verdict.Finding = Mixed
	}
	verdict.Bundle, verdict.New = encode(read.certificates), true
	return verdict
}

// bundle is a parsed bundle.
type bundle struct {
	// certificates are the valid certificates, each once, up to MaxBundle bytes.
	certificates []*x509.Certificate
	// leftOut is true if there are blocks that are not certificates. Text between blocks is a comment.
	leftOut  bool
	tooLarge bool
}

func readBundle(provided []byte) (read bundle) {
	begun, decoded, size := bytes.Count(provided, blockBegins), 0, 0
	for block, rest := pem.Decode(provided); block != nil; block, rest = pem.Decode(rest) {
		decoded++
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != certificateBlock {
			read.leftOut = true
			continue
		}
		if slices.ContainsFunc(read.certificates, certificate.Equal) {
			continue
		}
		if size += len(encode([]*x509.Certificate{certificate})); size > MaxBundle {
			read.tooLarge = true
			break
		}
		read.certificates = append(read.certificates, certificate)
	}
	read.leftOut = read.leftOut || (decoded < begun && !read.tooLarge)
	return read
}

// Certificates returns only the certificates of a PEM text, in at most MaxBundle bytes.
func Certificates(text []byte) []byte { return encode(readBundle(text).certificates) }

// encode writes certificates in PEM, with nothing between them.
func encode(certificates []*x509.Certificate) []byte {
	var text bytes.Buffer
	for _, certificate := range certificates {
		// A write to a buffer cannot fail.
		_ = pem.Encode(&text, &pem.Block{Type: certificateBlock, Bytes: certificate.Raw})
	}
	return text.Bytes()
}

// signedBy reports whether a certificate of the served chain is in the bundle, or signed by one in the bundle. For a chain
// that cannot be parsed it returns true.
func signedBy(served, bundle []byte) bool {
	chain := readBundle(served).certificates
	for _, authority := range readBundle(bundle).certificates {
		for _, certificate := range chain {
			if certificate.Equal(authority) || certificate.CheckSignatureFrom(authority) == nil {
				return true
			}
		}
	}
	return len(chain) == 0
}
