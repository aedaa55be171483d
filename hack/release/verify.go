package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	securedsse "github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
)

// verifyFolder checks the signature of the checksums, each file that they list, and the signed provenance of each file.
func verifyFolder(dir, key string) error {
	verifier, err := readVerifier(key)
	if err != nil {
		return err
	}
	if err := verifySums(dir, verifier); err != nil {
		return err
	}
	envelope, err := os.ReadFile(filepath.Join(dir, provenanceName))
	if err != nil {
		return fmt.Errorf("the provenance has no signature: %w", err)
	}
	subjects, err := verifyProvenance(envelope, verifier)
	if err != nil {
		return err
	}
	files, err := digestsOf(dir, sumsName, signatureName, statementName, provenanceName)
	if err != nil {
		return err
	}
	for name, digest := range files {
		if subjects[name] != digest {
			return fmt.Errorf("%s is not what the provenance is about", name)
		}
	}
	return nil
}

// verifySums checks the signature of the checksums, and that the folder has exactly the files that they list.
func verifySums(dir string, verifier signature.Verifier) error {
	sums, err := os.ReadFile(filepath.Join(dir, sumsName))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, signatureName))
	if err != nil {
		return fmt.Errorf("the checksums have no signature: %w", err)
	}
	made, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s: %w", signatureName, err)
	}
	if err := verifier.VerifySignature(bytes.NewReader(made), bytes.NewReader(sums)); err != nil {
		return fmt.Errorf("%s is not signed by this key: %w", sumsName, err)
	}
	want, err := parseSums(string(sums))
	if err != nil {
		return err
	}
	found, err := digestsOf(dir, sumsName, signatureName, provenanceName)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if found[name] != want[name] {
			return fmt.Errorf("%s is missing, or is not what was released", name)
		}
		delete(found, name)
	}
	for name := range found {
		return fmt.Errorf("%s is not in %s", name, sumsName)
	}
	return nil
}

// verifyProvenance checks a signed statement, and returns the digests of what it is about, by name.
func verifyProvenance(envelope []byte, verifier signature.Verifier) (map[string]string, error) {
	if err := dsse.WrapVerifier(verifier).VerifySignature(bytes.NewReader(envelope), nil); err != nil {
		return nil, fmt.Errorf("the provenance is not signed by this key: %w", err)
	}
	text, err := payloadOf(envelope)
	if err != nil {
		return nil, err
	}
	whole, predicate, err := readStatement(text)
	if err != nil {
		return nil, err
	}
	if whole.PredicateType != predicateType || predicate.RunDetails.Builder.Id != builderID {
		return nil, fmt.Errorf("the provenance is a %s of %s", whole.PredicateType, predicate.RunDetails.Builder.Id)
	}
	subjects := map[string]string{}
	for _, subject := range whole.Subject {
		subjects[subject.Name] = subject.Digest["sha256"]
	}
	return subjects, nil
}

// payloadOf returns the statement in an envelope.
func payloadOf(envelope []byte) ([]byte, error) {
	parsed := securedsse.Envelope{}
	if err := json.Unmarshal(envelope, &parsed); err != nil {
		return nil, err
	}
	if parsed.PayloadType != payloadType {
		return nil, errors.New("the envelope holds no in-toto statement")
	}
	return parsed.DecodeB64Payload()
}

// readAll returns the content of a layer and closes it.
func readAll(content io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(content)
	return text, errors.Join(err, content.Close())
}
