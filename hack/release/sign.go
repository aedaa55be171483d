package main

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"

	"encoding/pem"
)

// payloadType is that of in-toto statements in an envelope (DSSE).
const payloadType = "application/vnd.in-toto+json"

// readSigner returns a signer with the key in a file: one that `cosign generate-key-pair` makes, with the password in
// COSIGN_PASSWORD, or PKCS #8.
func readSigner(file string) (signature.SignerVerifier, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no private key in PEM", file)
	}
	der := block.Bytes
	if block.Type == "ENCRYPTED SIGSTORE PRIVATE KEY" || block.Type == "ENCRYPTED COSIGN PRIVATE KEY" {
		if der, err = encrypted.Decrypt(der, []byte(os.Getenv("COSIGN_PASSWORD"))); err != nil {
			return nil, fmt.Errorf("%s cannot be decrypted by COSIGN_PASSWORD: %w", file, err)
		}
	}
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), cryptoutils.SkipPassword)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signature.LoadSignerVerifier(key, crypto.SHA256)
}

// readVerifier returns a verifier with the public key in a file.
func readVerifier(file string) (signature.Verifier, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signature.LoadVerifier(key, crypto.SHA256)
}

// signFolder signs the statement about a release, adds the signed statement to the checksums, and signs these.
func signFolder(dir, key string) error {
	signer, err := readSigner(key)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, statementName))
	if err != nil {
		return fmt.Errorf("%w: %w", errNoFiles, err)
	}
	envelope, err := dsse.WrapSigner(signer, payloadType).SignMessage(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, provenanceName), envelope, 0o644); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(dir, sumsName))
	if err != nil {
		return err
	}
	made, err := signer.SignMessage(bytes.NewReader(sums))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, signatureName), []byte(base64.StdEncoding.EncodeToString(made)+"\n"), 0o644)
}
