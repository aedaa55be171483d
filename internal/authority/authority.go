// Package authority is the private certificate authority of an installation without a provided
// certificate: it issues and renews the serving certificate of the token service, and renews itself.
// It is pure except for the generation of keys; the caller stores the result.
package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 90 * 24 * time.Hour
	// setBack is how much earlier notBefore is, for clients with a slow clock.
	setBack = time.Hour
)

// Pair is a certificate and its private key, in PEM.
type Pair struct{ Certificate, Key []byte }

// Authority is one or two certificate authorities: the one that signs, and the next one,
// which is published before it signs, so that every client trusts it in time.
type Authority struct{ Current, Next Pair }

// Bundle returns the certificates that clients trust, in PEM, without other content of the stored bundle.
func (a *Authority) Bundle() []byte {
	return Certificates(slices.Concat(a.Current.Certificate, []byte("\n"), a.Next.Certificate))
}

// Advance creates an authority if there is none, creates the next one after two thirds of the
// current one's lifetime, and switches to it after five sixths. It reports whether
// anything changed.
func (a *Authority) Advance(now time.Time) (changed bool, err error) {
	if len(a.Current.Certificate) == 0 {
		a.Current, err = newAuthority(now)
		return true, err
	}
	current, err := parse(a.Current)
	if err != nil {
		return false, err
	}
	if len(a.Next.Certificate) == 0 && share(current.Leaf, now) >= 2.0/3 {
		a.Next, err = newAuthority(now)
		return true, err
	}
	if len(a.Next.Certificate) > 0 && share(current.Leaf, now) >= 5.0/6 {
		a.Current, a.Next = a.Next, Pair{}
		return true, nil
	}
	return false, nil
}

// Issue returns a serving certificate for names, which are DNS names or IP addresses.
func (a *Authority) Issue(names []string, now time.Time) (Pair, error) {
	parent, err := parse(a.Current)
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "refreshkeys-tokenserver"},
		NotBefore:   now.Add(-setBack),
		NotAfter:    earlier(now.Add(certificateLife), parent.Leaf.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return sign(template, parent.Leaf, parent.PrivateKey)
}

// Due reports whether a certificate must be renewed: two thirds of its lifetime have passed, it
// does not contain all the names, or another authority signs now.
func (a *Authority) Due(certificate Pair, names []string, now time.Time) bool {
	held, err := parse(certificate)
	if err != nil || share(held.Leaf, now) >= 2.0/3 {
		return true
	}
	parent, err := parse(a.Current)
	if err != nil || !bytes.Equal(held.Leaf.AuthorityKeyId, parent.Leaf.SubjectKeyId) {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool { return held.Leaf.VerifyHostname(name) != nil })
}

// Issued reports whether this authority, or the next one, signed a certificate in PEM.
func (a *Authority) Issued(certificate []byte) bool {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return false
	}
	held, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false
	}
	return slices.ContainsFunc([]Pair{a.Current, a.Next}, func(pair Pair) bool {
		signer, err := parse(pair)
		return err == nil && held.CheckSignatureFrom(signer.Leaf) == nil
	})
}

// NextChange returns the next time at which the result of Advance or Due changes.
func (a *Authority) NextChange(certificate Pair) (time.Time, error) {
	held, err := parse(certificate)
	if err != nil {
		return time.Time{}, err
	}
	parent, err := parse(a.Current)
	if err != nil {
		return time.Time{}, err
	}
	part := 2.0 / 3
	if len(a.Next.Certificate) > 0 {
		part = 5.0 / 6
	}
	return earlier(at(held.Leaf, 2.0/3), at(parent.Leaf, part)), nil
}

func newAuthority(now time.Time) (Pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "refreshkeys " + now.UTC().Format(time.DateOnly)},
		NotBefore:             now.Add(-setBack),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	return sign(template, nil, nil)
}

// sign returns a new key and its certificate, which is self-signed without a parent.
func sign(template, parent *x509.Certificate, parentKey crypto.PrivateKey) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return Pair{}, err
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey}),
	}, err
}

func parse(pair Pair) (tls.Certificate, error) {
	parsed, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return parsed, fmt.Errorf("authority: %w", err)
	}
	return parsed, nil
}

// share returns the part of a certificate's lifetime that has passed.
func share(certificate *x509.Certificate, now time.Time) float64 {
	return float64(now.Sub(certificate.NotBefore)) / float64(certificate.NotAfter.Sub(certificate.NotBefore))
}

func at(certificate *x509.Certificate, share float64) time.Time {
	return certificate.NotBefore.Add(time.Duration(share * float64(certificate.NotAfter.Sub(certificate.NotBefore))))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
