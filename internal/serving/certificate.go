package serving

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// certificateInterval is the interval of reading the serving certificate. A renewed certificate is served without a restart.
const certificateInterval = 10 * time.Second

// Source is where the serving certificate comes from: a Secret of type kubernetes.io/tls.
type Source struct {
	place string
	read  func(ctx context.Context) (chain, key []byte, err error)
}

// OfSecret reads the Secret from the API server.
func OfSecret(clients kubernetes.Interface, namespace, name string) Source {
	return Source{"Secret " + namespace + "/" + name, func(ctx context.Context) (chain, key []byte, err error) {
		secret, err := clients.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, nil, err
		}
		return secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], nil
	}}
}

// OfDirectory reads the Secret from the directory in which it is mounted, which needs no rights at the API server.
func OfDirectory(directory string) Source {
	return Source{"directory " + directory, func(context.Context) (chain, key []byte, err error) {
		// The kubelet replaces both files at once, by a link. A pair that was read across that does not match, and is read again.
		if chain, err = os.ReadFile(filepath.Join(directory, corev1.TLSCertKey)); err != nil { //nolint:gosec // the directory is a flag
			return nil, nil, err
		}
		key, err = os.ReadFile(filepath.Join(directory, corev1.TLSPrivateKeyKey)) //nolint:gosec // the directory is a flag
		return chain, key, err
	}}
}

// Certificate is a serving certificate that is renewed without a restart.
type Certificate struct {
	source Source
	clock  clock.WithTicker
	log    logr.Logger

	current atomic.Pointer[tls.Certificate]
}

// NewCertificate returns a Certificate, which is empty until Run has read its source.
func NewCertificate(source Source, clock clock.WithTicker, log logr.Logger) *Certificate {
	return &Certificate{source: source, clock: clock, log: log}
}

// Run reads the source periodically until ctx ends. If it cannot be read, the certificate stays.
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
	pem, key, err := c.source.read(ctx)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(pem, before) {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(pem, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.source.place, err)
	}
	if err := readable(&pair); err != nil {
		return nil, fmt.Errorf("%s: %w", c.source.place, err)
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
		return fmt.Errorf("the serving certificate of %s has expired", c.source.place)
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
