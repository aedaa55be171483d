package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// MaxBundle is the longest bundle that is handed on, in bytes: it stands in every key's Secret.
const MaxBundle = 64 << 10

const certificateBlock = "CERTIFICATE"

// blockBegins begins every block of PEM, those included that are cut off.
var blockBegins = []byte("-----BEGIN ")

// Verdict is what was found in a bundle that another party provides, and what is handed on for it.
type Verdict struct {
	// Bundle is what clients trust, in PEM: certificates and nothing else, of at most MaxBundle bytes. It is empty where the
	// certificate that is served is publicly trusted.
	Bundle []byte
	// Finding is what is wrong with what was provided.
	Finding Finding
	// New: the bundle was read from what was provided, and is to be kept.
	New bool
}

// Finding is what is wrong with a bundle that another party provides.
type Finding int

// What can be found.
const (
	// Sound: nothing is wrong.
	Sound Finding = iota
	// Empty: there is nothing in it, though clients need it.
	Empty
	// NoCertificate: none of its blocks is a certificate.
	NoCertificate
	// Expired: all of its certificates have expired.
	Expired
	// Mixed: it holds certificates beside blocks that are none, or that are cut off.
	Mixed
	// TooLarge: its certificates are more than MaxBundle bytes.
	TooLarge
)

// Judge decides what is handed on for a bundle that another party provides, for the certificate that is served and with the last
// bundle that was good. An empty one is sound where no bundle was ever needed, or where the one that was kept has nothing to do with
// the certificate that is served now.
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
		// Cut off anywhere, a bundle may lack the one certificate that matters: better none of it than a part, unless there is no other.
		if len(kept) > 0 && !bytes.Equal(kept, encode(read.certificates)) {
			return verdict
		}
	case read.leftOut:
		verdict.Finding = Mixed
	}
	verdict.Bundle, verdict.New = encode(read.certificates), true
	return verdict
}

// bundle is a bundle as it was read.
type bundle struct {
	// certificates are those that can be read, each once, as many as fit into MaxBundle bytes.
	certificates []*x509.Certificate
	// leftOut: there are blocks that are no certificates. What stands between blocks is a comment.
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

// Certificates are those that a text in PEM holds, and nothing else, in at most MaxBundle bytes.
func Certificates(text []byte) []byte { return encode(readBundle(text).certificates) }

// encode writes certificates anew, with nothing between them.
func encode(certificates []*x509.Certificate) []byte {
	var text bytes.Buffer
	for _, certificate := range certificates {
		// A buffer takes all that is written.
		_ = pem.Encode(&text, &pem.Block{Type: certificateBlock, Bytes: certificate.Raw})
	}
	return text.Bytes()
}

// signedBy tells whether one of the certificates that are served is in the bundle, or signed by one that is. A chain that cannot be
// read tells nothing, and may be.
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
