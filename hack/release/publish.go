package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// The formats of cosign for what it keeps in a registry beside an image, under the tags sha256-DIGEST.sig and .att.
const (
	simpleSigning       = types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json")
	envelopeMediaType   = types.MediaType("application/vnd.dsse.envelope.v1+json")
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// publish pushes the images and the chart of a signed release, their signatures, and the provenance of the images.
func publish(ctx context.Context, dir, registry, key string) error {
	signer, err := readSigner(key)
	if err != nil {
		return err
	}
	version, err := versionOf(dir)
	if err != nil {
		return err
	}
	envelope, err := os.ReadFile(filepath.Join(dir, provenanceName))
	if err != nil {
		return err
	}
	for _, image := range images {
		index, err := imageLayout(dir, image)
		if err != nil {
			return err
		}
		tag, err := name.NewTag(registry + "/" + image + ":" + version)
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(tag, index, options(ctx)...); err != nil {
			return err
		}
		digest, err := index.Digest()
		if err != nil {
			return err
		}
		if err := signRemote(ctx, tag.Context(), digest, signer); err != nil {
			return err
		}
		if err := attach(ctx, tag.Context(), digest, envelope); err != nil {
			return err
		}
	}
	digest, err := pushChart(ctx, dir, registry, version)
	if err != nil {
		return err
	}
	charts, err := name.NewRepository(chartRepository(registry))
	if err != nil {
		return err
	}
	return signRemote(ctx, charts, digest, signer)
}

func options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
}

// chartRepository keeps the chart apart from the images.
func chartRepository(registry string) string { return registry + "/charts/refreshkeys" }

// versionOf returns the version of the release in a folder.
func versionOf(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "refreshkeys-manager_*_oci.tar"))
	if err != nil || len(found) != 1 {
		return "", errors.Join(errNoFiles, err)
	}
	file := filepath.Base(found[0])
	return strings.TrimSuffix(strings.TrimPrefix(file, "refreshkeys-manager_"), "_oci.tar"), nil
}

// pushChart pushes the chart by Helm, and returns its digest.
func pushChart(ctx context.Context, dir, registry, version string) (v1.Hash, error) {
	helm := os.Getenv("HELM")
	if helm == "" {
		helm = "helm"
	}
	number := strings.TrimPrefix(version, "v")
	arguments := []string{"push", filepath.Join(dir, "refreshkeys-"+number+".tgz"), "oci://" + registry + "/charts"}
	repository, err := name.NewRepository(chartRepository(registry))
	if err != nil {
		return v1.Hash{}, err
	}
	// Such a registry is on this machine.
	if repository.Scheme() == "http" {
		arguments = append(arguments, "--plain-http")
	}
	if _, err := output(exec.CommandContext(ctx, helm, arguments...)); err != nil {
		return v1.Hash{}, err
	}
	pushed, err := remote.Head(repository.Tag(number), options(ctx)...)
	if err != nil {
		return v1.Hash{}, err
	}
	return pushed.Digest, nil
}

// beside returns the tag under which cosign keeps a signature (sig) or an attestation (att).
func beside(repository name.Repository, digest v1.Hash, kind string) name.Tag {
	return repository.Tag(digest.Algorithm + "-" + digest.Hex + "." + kind)
}

// signRemote signs the digest of an image or a chart, and pushes the signature.
func signRemote(ctx context.Context, repository name.Repository, digest v1.Hash, signer signature.Signer) error {
	text, err := payload.Cosign{Image: repository.Digest(digest.String())}.MarshalJSON()
	if err != nil {
		return err
	}
	made, err := signer.SignMessage(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return pushLayer(ctx, beside(repository, digest, "sig"), text, simpleSigning, map[string]string{
		signatureAnnotation: base64.StdEncoding.EncodeToString(made),
	})
}

// attach pushes the signed provenance of an image.
func attach(ctx context.Context, repository name.Repository, digest v1.Hash, envelope []byte) error {
	return pushLayer(ctx, beside(repository, digest, "att"), envelope, envelopeMediaType, map[string]string{
		signatureAnnotation: "", "predicateType": predicateType,
	})
}

// pushLayer pushes an image with one layer.
func pushLayer(ctx context.Context, tag name.Tag, content []byte, kind types.MediaType, annotations map[string]string) error {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: static.NewLayer(content, kind), Annotations: annotations, MediaType: kind})
	if err != nil {
		return err
	}
	return remote.Write(tag, image, options(ctx)...)
}

// verifyPublished checks that a registry has the images of a release, signed and with a signed provenance, and its chart, signed.
func verifyPublished(ctx context.Context, dir, registry, key string) error {
	verifier, err := readVerifier(key)
	if err != nil {
		return err
	}
	version, err := versionOf(dir)
	if err != nil {
		return err
	}
	for _, image := range images {
		repository, err := name.NewRepository(registry + "/" + image)
		if err != nil {
			return err
		}
		want, err := imageDigest(dir, image)
		if err != nil {
			return err
		}
		digest, err := verifyRemote(ctx, repository.Tag(version), verifier)
		if err != nil {
			return fmt.Errorf("%s: %w", image, err)
		}
		if digest.String() != want {
			return fmt.Errorf("%s is %s in the registry, want %s", image, digest, want)
		}
		if err := verifyAttached(ctx, repository, digest, image, verifier); err != nil {
			return fmt.Errorf("%s: %w", image, err)
		}
	}
	charts, err := name.NewRepository(chartRepository(registry))
	if err != nil {
		return err
	}
	_, err = verifyRemote(ctx, charts.Tag(strings.TrimPrefix(version, "v")), verifier)
	return err
}

// verifyRemote checks the signature of what has the tag, and returns its digest.
func verifyRemote(ctx context.Context, tag name.Tag, verifier signature.Verifier) (v1.Hash, error) {
	found, err := remote.Head(tag, options(ctx)...)
	if err != nil {
		return v1.Hash{}, err
	}
	text, annotations, err := pullLayer(ctx, beside(tag.Context(), found.Digest, "sig"))
	if err != nil {
		return v1.Hash{}, fmt.Errorf("it has no signature: %w", err)
	}
	made, err := base64.StdEncoding.DecodeString(annotations[signatureAnnotation])
	if err != nil {
		return v1.Hash{}, err
	}
	if err := verifier.VerifySignature(bytes.NewReader(made), bytes.NewReader(text)); err != nil {
		return v1.Hash{}, fmt.Errorf("it is not signed by this key: %w", err)
	}
	signed := payload.Cosign{}
	if err := signed.UnmarshalJSON(text); err != nil {
		return v1.Hash{}, err
	}
	if signed.Image.DigestStr() != found.Digest.String() {
		return v1.Hash{}, fmt.Errorf("the signature is that of %s", signed.Image)
	}
	return found.Digest, nil
}

// verifyAttached checks that the provenance beside an image is signed, and is about this image.
func verifyAttached(ctx context.Context, repository name.Repository, digest v1.Hash, image string, verifier signature.Verifier) error {
	envelope, _, err := pullLayer(ctx, beside(repository, digest, "att"))
	if err != nil {
		return fmt.Errorf("it has no provenance: %w", err)
	}
	subjects, err := verifyProvenance(envelope, verifier)
	if err != nil {
		return err
	}
	if subjects[imagePrefix+"/"+image] != digest.Hex {
		return errors.New("its provenance is about another image")
	}
	return nil
}

// pullLayer returns the only layer of an image, and its annotations.
func pullLayer(ctx context.Context, tag name.Tag) ([]byte, map[string]string, error) {
	image, err := remote.Image(tag, options(ctx)...)
	if err != nil {
		return nil, nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, nil, err
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		return nil, nil, fmt.Errorf("%s has %d layers: %w", tag, len(layers), err)
	}
	text, err := readAll(layers[0].Compressed())
	return text, manifest.Layers[0].Annotations, err
}
