package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// digestSecrets returns a cache transform that replaces the values of Secrets by their SHA-256, in stringData, which
// the API server never sends. It keeps the values of Secrets with signing keys in the operator's namespace.
func digestSecrets(operatorNamespace string) toolscache.TransformFunc {
	return func(obj any) (any, error) {
		secret, ok := obj.(*corev1.Secret)
		if !ok {
			return obj, nil
		}
		secret.ManagedFields = nil
		delete(secret.Annotations, corev1.LastAppliedConfigAnnotation)
		if !holdsSigningKeys(secret, operatorNamespace) {
			digest(secret)
		}
		return secret, nil
	}
}

func holdsSigningKeys(secret *corev1.Secret, operatorNamespace string) bool {
	return secret.Namespace == operatorNamespace && secret.Labels[v1alpha1.LabelSigningKeysOf] != ""
}

func digest(secret *corev1.Secret) {
	if secret.Data == nil {
		return
	}
	secret.StringData = make(map[string]string, len(secret.Data))
	if access, err := token.Made(string(secret.Data[v1alpha1.SecretAccessToken])); err == nil {
		secret.StringData[accessRevision] = strconv.FormatInt(access.Object.Revision, 10)
	}
	for name, value := range secret.Data {
		sum := sha256.Sum256(value)
		secret.StringData[name] = string(sum[:])
	}
	secret.Data = nil
}

// accessRevision is the entry of a digested Secret with the revision that its access token was issued from. The name is
// not valid for an entry of a Secret.
const accessRevision = "revision of the access token"

// accessRevisionOf returns the revision of the access token in a digested Secret, 0 without one.
func accessRevisionOf(secret *corev1.Secret) int64 {
	revision, err := strconv.ParseInt(secret.StringData[accessRevision], 10, 64)
	if err != nil {
		return 0
	}
	return revision
}

// digestOf returns the SHA-256 of a value of a digested Secret, in hex; empty if the Secret does not have the entry.
func digestOf(secret *corev1.Secret, name string) string {
	return hex.EncodeToString([]byte(secret.StringData[name]))
}

// tokenHashOf returns the hash of the refresh token in a digested Secret, in the form of
// status.tokenHash; empty without one.
func tokenHashOf(secret *corev1.Secret) string {
	if sum := digestOf(secret, v1alpha1.SecretToken); sum != "" && sum != emptyDigest {
		return token.HashPrefix + sum
	}
	return ""
}

// heldHash returns the same for a Secret that may be digested or not.
func heldHash(secret *corev1.Secret) string {
	if held := secret.Data[v1alpha1.SecretToken]; len(held) > 0 {
		return token.Hash(string(held))
	}
	return tokenHashOf(secret)
}

var emptyDigest = func() string {
	sum := sha256.Sum256(nil)
	return hex.EncodeToString(sum[:])
}()
