package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

const (
	serviceAccountTokenLifetime = 365 * 24 * time.Hour
	probeTimeout                = 5 * time.Second
)

// Config returns the administrator's configuration, without a limit on requests per second.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// ServiceAccountKubeconfig writes a kubeconfig that acts as the ServiceAccount,
// with a token that is valid for a year.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name, path string) error {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return err
	}
	seconds := int64(serviceAccountTokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	issued, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token for ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return c.writeKubeconfig(path, namespace, name, &clientcmdapi.AuthInfo{Token: issued.Status.Token})
}

func (c *Cluster) controllerManagerKubeconfig() string {
	return filepath.Join(string(c.pki()), "kube-controller-manager.kubeconfig")
}

// writeKubeconfigs writes the kubeconfigs that authenticate with certificates.
func (c *Cluster) writeKubeconfigs() error {
	for identity, path := range map[string]string{
		adminIdentity:             c.Kubeconfig(),
		controllerManagerIdentity: c.controllerManagerKubeconfig(),
	} {
		certificate, err := os.ReadFile(c.pki().certificate(identity))
		if err != nil {
			return err
		}
		key, err := os.ReadFile(c.pki().key(identity))
		if err != nil {
			return err
		}
		user := &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
		if err := c.writeKubeconfig(path, metav1.NamespaceDefault, identity, user); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) writeKubeconfig(path, namespace, user string, credentials *clientcmdapi.AuthInfo) error {
	server := c.joined
	if server == nil {
		authority, err := os.ReadFile(c.pki().certificate(authorityIdentity))
		if err != nil {
			return err
		}
		server = &clientcmdapi.Cluster{Server: c.url(apiServerName), CertificateAuthorityData: authority}
	}
	const name = "refreshkeys-local"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = server
	config.AuthInfos[user] = credentials
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user, Namespace: namespace}
	config.CurrentContext = name
	// WriteToFile creates the file with mode 0600.
	return clientcmd.WriteToFile(*config, path)
}

// readCredentials loads the credentials with which this process connects to the cluster.
func (c *Cluster) readCredentials() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return fmt.Errorf("credentials of the cluster in %s: %w", c.dir, err)
	}
	config = unthrottled.Config(config)
	c.config = config

	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM(config.CAData)
	client, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		return fmt.Errorf("credentials of the cluster in %s: %w", c.dir, err)
	}
	c.prober = &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{
				MinVersion:   tls.VersionTLS12,
				RootCAs:      authority,
				Certificates: []tls.Certificate{client},
			},
		},
	}
	return nil
}
