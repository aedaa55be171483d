// Package authority is the private certificate authority of an installation that was given
// no certificate: it makes the token service's, and renews it and itself. All of it is pure
// but for the making of keys; whatever is kept is kept by the caller.
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
	// setBack allows for clocks that are behind.
	setBack = time.Hour
)

// Pair is a certificate and its private key, in PEM.
type Pair struct{ Certificate, Key []byte }

// Authority is one or two certificate authorities: the one that signs, and the one that
// follows it, which is published ahead so that every client trusts it before it is used.
type Authority struct{ Current, Next Pair }

// Bundle returns the certificates that clients trust, in PEM, and nothing else that is in the kept bundle.
func (a *Authority) Bundle() []byte {
	return Certificates(slices.Concat(a.Current.Certificate, []byte("\n"), a.Next.Certificate))
}

// Advance makes an authority where there is none, makes the next when two thirds of the
// current one's life are over, and goes over to it when five sixths are. It tells whether
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

// Issue makes a server's certificate for names, which are DNS names or IP addresses.
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

// Due tells whether a certificate is to be made anew: two thirds of its life are over, it is
// not for all the names, or another authority signs now.
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

// Issued tells whether this authority, or the one that follows it, signed a certificate in PEM.
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

// NextChange is when Advance or Due will say otherwise.
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

// sign makes a key and a certificate for it; one that signs itself where there is no parent.
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

// share is how much of a certificate's life is over.
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
