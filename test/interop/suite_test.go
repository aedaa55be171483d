// Package interop tests the token service with unmodified third-party clients and verifiers, which get only the
// issuer's URL and do not use Kubernetes. The other parts are real, too: an API server, a manager, and a token
// service with TLS.
package interop

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

const (
	patience = 20 * time.Second
	// host is the address of the token service, the only one of its certificate.
	host = "127.0.0.1"
	// certificateName is the Secret with the token service's certificate.
	certificateName = "interop-tls"
)

// suite is shared by all tests.
var suite struct {
	server *apiserver.Server
	// trustedFile and trusted are the authority of the token service's certificate.
	trustedFile string
	trusted     *x509.CertPool
	// pair and bundle are the certificate of the token service, and its authority in PEM.
	pair   authority.Pair
	bundle []byte
	// clusterPort, peoplePort and pluginPort are the ports of the issuers that the API server trusts, and providerPort that of the provider.
	clusterPort, peoplePort, pluginPort, providerPort int
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code, err := run(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "interop: %v\n", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	scratch, err := os.MkdirTemp("", "interop-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(scratch)
	pair, bundle, err := newCertificate(host)
	if err != nil {
		return 1, err
	}
	suite.trusted = x509.NewCertPool()
	suite.trusted.AppendCertsFromPEM(bundle)
	suite.trustedFile = filepath.Join(scratch, "ca.crt")
	if err := os.WriteFile(suite.trustedFile, bundle, 0o600); err != nil {
		return 1, err
	}
	suite.pair, suite.bundle = pair, bundle
	for _, port := range []*int{&suite.clusterPort, &suite.peoplePort, &suite.pluginPort, &suite.providerPort} {
		if *port, err = freePort(); err != nil {
			return 1, err
		}
	}
	trust := filepath.Join(scratch, "authentication.yaml")
	trusted, err := authenticationConfiguration(string(bundle))
	if err != nil {
		return 1, err
	}
	if err := os.WriteFile(trust, trusted, 0o600); err != nil {
		return 1, err
	}
	suite.server, err = apiserver.Start(apiserver.Options{Flags: map[string]string{"authentication-config": trust}})
	if err != nil {
		return 1, err
	}
	defer func() {
		if stopped := suite.server.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := storeCertificate(pair); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// newCertificate makes a certificate for hosts, with an authority such as an installation makes by default.
func newCertificate(hosts ...string) (authority.Pair, []byte, error) {
	owner := &authority.Authority{}
	if _, err := owner.Advance(time.Now()); err != nil {
		return authority.Pair{}, nil, err
	}
	pair, err := owner.Issue(hosts, time.Now())
	return pair, owner.Bundle(), err
}

func storeCertificate(pair authority.Pair) error {
	admin, err := client.New(suite.server.Admin, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: certificateName}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key},
	}
	if !suite.server.Existing() {
		return admin.Create(ctx, secret)
	}
	if err := admin.Delete(ctx, secret.DeepCopy()); client.IgnoreNotFound(err) != nil {
		return err
	}
	return admin.Create(ctx, secret)
}

// freePort returns an unused port. The API server is configured with it before the token service listens.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
