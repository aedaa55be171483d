package tokenserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// certificateInterval is the interval of reading the Secret with the serving certificate. A renewed certificate is
// served without a restart.
const certificateInterval = 10 * time.Second

// Certificate is the serving certificate of a Secret of type kubernetes.io/tls.
type Certificate struct {
	clients         kubernetes.Interface
	namespace, name string
	clock           clock.WithTicker
	log             logr.Logger

	current atomic.Pointer[tls.Certificate]
}

// NewCertificate returns a Certificate, which is empty until Run has read the Secret.
func NewCertificate(clients kubernetes.Interface, namespace, name string, clock clock.WithTicker, log logr.Logger) *Certificate {
	return &Certificate{clients: clients, namespace: namespace, name: name, clock: clock, log: log}
}

// Run reads the Secret periodically until ctx ends. If it cannot be read, the certificate stays.
func (c *Certificate) Run(ctx context.Context) error {
	ticker := c.clock.NewTicker(certificateInterval)
	defer ticker.Stop()
	var pem []byte
	for {
		read, err := c.read(ctx, pem)
		if err != nil && ctx.Err() == nil {
			c.log.Error(err, "cannot read the serving certificate")
		}
		if read != nil {
			pem = read
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

func (c *Certificate) read(ctx context.Context, before []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, certificateInterval)
	defer cancel()
	secret, err := c.clients.CoreV1().Secrets(c.namespace).Get(ctx, c.name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pem := secret.Data[corev1.TLSCertKey]
	if bytes.Equal(pem, before) {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(pem, secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", c.namespace, c.name, err)
	}
	if err := readable(&pair); err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", c.namespace, c.name, err)
	}
	c.current.Store(&pair)
	c.log.Info("serving certificate loaded", "names", pair.Leaf.DNSNames, "until", pair.Leaf.NotAfter)
	return pem, nil
}

// longestChain is the longest chain that crypto/tls accepts in one handshake message.
const longestChain = 64 << 10

// readable checks the whole chain before it is served, since crypto/tls parses only the first certificate of a
// pair.
func readable(pair *tls.Certificate) error {
	size := 0
	for _, raw := range pair.Certificate {
		if _, err := x509.ParseCertificate(raw); err != nil {
			return errors.New("the chain in tls.crt holds a part that is not a certificate")
		}
		size += len(raw)
	}
	if size > longestChain {
		return fmt.Errorf("the chain in tls.crt is longer than %d KiB", longestChain>>10)
	}
	return nil
}

// Ready returns nil while there is a certificate that clients accept.
func (c *Certificate) Ready() error {
	_, end := c.Span()
	switch {
	case end.IsZero():
		return errors.New("the serving certificate is not loaded yet")
	case !c.clock.Now().Before(end):
		return fmt.Errorf("the serving certificate in Secret %s/%s has expired", c.namespace, c.name)
	default:
		return nil
	}
}

// Span returns the validity of the certificate; zero times if there is none.
func (c *Certificate) Span() (start, end time.Time) {
	current := c.current.Load()
	if current == nil {
		return time.Time{}, time.Time{}
	}
	return current.Leaf.NotBefore, current.Leaf.NotAfter
}

// Config returns the TLS configuration of a server with this certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			// An expired certificate is served, too: clients refuse it.
			if current := c.current.Load(); current != nil {
				return current, nil
			}
			return nil, c.Ready()
		},
	}
}
