package cluster

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Authority returns the path of the cluster's CA certificate.
func (c *Cluster) Authority() string { return c.pki().certificate(authorityIdentity) }

// CertificateKubeconfig writes a kubeconfig for a user with a name and groups, as a
// component of Kubernetes has.
func (c *Cluster) CertificateKubeconfig(path, user string, groups ...string) error {
	certificate, key, err := c.ClientCertificate(user, groups...)
	if err != nil {
		return err
	}
	credentials := &clientcmdapi.AuthInfo{}
	if credentials.ClientCertificateData, err = os.ReadFile(certificate); err != nil {
		return err
	}
	if credentials.ClientKeyData, err = os.ReadFile(key); err != nil {
		return err
	}
	return c.writeKubeconfig(path, metav1.NamespaceDefault, user, credentials)
}

// ClientCertificate creates a certificate for a user with a name and groups, and returns
// the paths of the certificate and its key.
func (c *Cluster) ClientCertificate(user string, groups ...string) (certificate, key string, err error) {
	return c.issue(user, x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// ServingCertificate creates a serving certificate for names and addresses, and
// returns the paths of the certificate and its key.
func (c *Cluster) ServingCertificate(name string, hosts ...string) (certificate, key string, err error) {
	template := x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return c.issue(name, template)
}

// ServingSecret creates a serving certificate for names and addresses, and returns a folder as of a mounted Secret of type
// kubernetes.io/tls.
func (c *Cluster) ServingSecret(name string, hosts ...string) (string, error) {
	certificate, key, err := c.ServingCertificate(name, hosts...)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(c.Dir(), name+"-tls")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	for from, to := range map[string]string{certificate: "tls.crt", key: "tls.key"} {
		content, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(folder, to), content, 0o600); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func (c *Cluster) issue(name string, template x509.Certificate) (certificate, key string, err error) {
	pki := c.pki()
	ca, err := pki.readAuthority()
	if err != nil {
		return "", "", err
	}
	der, private, err := ca.issue(template)
	if err != nil {
		return "", "", fmt.Errorf("certificate of %s: %w", name, err)
	}
	return pki.certificate(name), pki.key(name), pki.write(name, der, private)
}

func (p pki) readAuthority() (*authority, error) {
	pair, err := tls.LoadX509KeyPair(p.certificate(authorityIdentity), p.key(authorityIdentity))
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key of the cluster's CA is not an ECDSA key")
	}
	return &authority{certificate: pair.Leaf, key: key}, nil
}
