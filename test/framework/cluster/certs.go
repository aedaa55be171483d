package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The certificates of a cluster that `down --keep` keeps must not expire.
const certificateLifetime = 10 * 365 * 24 * time.Hour

// pki is the folder of a cluster's keys and certificates.
type pki string

func (p pki) certificate(name string) string { return filepath.Join(string(p), name+".crt") }
func (p pki) key(name string) string         { return filepath.Join(string(p), name+".key") }

// The identities that a control plane needs.
const (
	authorityIdentity         = "ca"
	servingIdentity           = "serving"
	etcdClientIdentity        = "etcd-client"
	adminIdentity             = "admin"
	controllerManagerIdentity = "kube-controller-manager"
	serviceAccountKey         = "service-account"
)

// generate creates a CA, the certificates that it signs, and the key that signs
// ServiceAccount tokens.
func (p pki) generate(now time.Time) error {
	if err := os.MkdirAll(string(p), 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(now)
	if err != nil {
		return err
	}
	if err := p.write(authorityIdentity, ca.certificate.Raw, ca.key); err != nil {
		return err
	}
	for name, template := range leafTemplates() {
		certificate, key, err := ca.issue(template)
		if err != nil {
			return fmt.Errorf("certificate of %s: %w", name, err)
		}
		if err := p.write(name, certificate, key); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return p.writeKey(serviceAccountKey, key)
}

func leafTemplates() map[string]x509.Certificate {
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return map[string]x509.Certificate{
		servingIdentity: {
			Subject:     pkix.Name{CommonName: "localhost"},
			DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		},
		etcdClientIdentity:        {Subject: pkix.Name{CommonName: "kube-apiserver-etcd-client"}, ExtKeyUsage: client},
		adminIdentity:             {Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, ExtKeyUsage: client},
		controllerManagerIdentity: {Subject: pkix.Name{CommonName: "system:kube-controller-manager"}, ExtKeyUsage: client},
	}
}

// authority is a certificate authority for one cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "refreshkeys local cluster"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certificateLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, nil
}

// issue signs a certificate for a new key, valid as long as the authority is.
func (a *authority) issue(template x509.Certificate) (der []byte, key *ecdsa.PrivateKey, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.NotBefore = a.certificate.NotBefore
	template.NotAfter = a.certificate.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err = x509.CreateCertificate(rand.Reader, &template, a.certificate, key.Public(), a.key)
	return der, key, err
}

func (p pki) write(name string, certificate []byte, key *ecdsa.PrivateKey) error {
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	if err := os.WriteFile(p.certificate(name), block, 0o600); err != nil {
		return err
	}
	return p.writeKey(name, key)
}

func (p pki) writeKey(name string, key *ecdsa.PrivateKey) error {
	// SEC 1, not PKCS #8: the API server reads the public key only from this form.
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return os.WriteFile(p.key(name), block, 0o600)
}
