package apiserver

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// AccountSigner returns the key with which the server signs ServiceAccount tokens, so that a test can
// create an old token. The key of an existing cluster is unavailable.
func (s *Server) AccountSigner() (*ecdsa.PrivateKey, error) {
	if s.Existing() {
		return nil, errors.New("the signing key of an existing cluster is not available")
	}
	raw, err := os.ReadFile(filepath.Join(s.environment.ControlPlane.GetAPIServer().CertDir, "sa-signer.key"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("the server's signing key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the server's signing key is a %T", parsed)
	}
	return key, nil
}
