// Package secrets describes Secrets as the caches of the operator hold them: selected by a label, and with digests in the place
// of values.
package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Transform returns a cache transform that replaces the values of Secrets by their SHA-256, in stringData, which
// the API server never sends. It keeps the values of Secrets with signing keys in the operator's namespace.
func Transform(operatorNamespace string) toolscache.TransformFunc {
	return func(obj any) (any, error) {
		secret, ok := obj.(*corev1.Secret)
		if !ok {
			return obj, nil
		}
		secret.ManagedFields = nil
		delete(secret.Annotations, corev1.LastAppliedConfigAnnotation)
		if !HoldsSigningKeys(secret, operatorNamespace) {
			Digest(secret)
		}
		return secret, nil
	}
}

// Selected reports whether a Secret has the label by which the caches select. The operator gets no events for a Secret without it.
func Selected(secret *corev1.Secret) bool {
	return secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
}

// HoldsSigningKeys reports whether a Secret is one with signing keys, in the operator's namespace.
func HoldsSigningKeys(secret *corev1.Secret, operatorNamespace string) bool {
	return secret.Namespace == operatorNamespace && secret.Labels[v1alpha1.LabelSigningKeysOf] != ""
}

// Digest replaces the values of a Secret by their SHA-256, in stringData.
func Digest(secret *corev1.Secret) {
	if secret.Data == nil {
		return
	}
	secret.StringData = make(map[string]string, len(secret.Data))
	if access, err := token.Made(string(secret.Data[v1alpha1.SecretAccessToken])); err == nil {
		secret.StringData[AccessRevision] = strconv.FormatInt(access.Object.Revision, 10)
	}
	for name, value := range secret.Data {
		sum := sha256.Sum256(value)
		secret.StringData[name] = string(sum[:])
	}
	secret.Data = nil
}

// AccessRevision is the entry of a digested Secret with the revision that its access token was issued from. The name is
// not valid for an entry of a Secret.
const AccessRevision = "revision of the access token"

// AccessRevisionOf returns the revision of the access token in a digested Secret, 0 without one.
func AccessRevisionOf(secret *corev1.Secret) int64 {
	revision, err := strconv.ParseInt(secret.StringData[AccessRevision], 10, 64)
	if err != nil {
		return 0
	}
	return revision
}

// DigestOf returns the SHA-256 of a value of a digested Secret, in hex; empty if the Secret does not have the entry.
func DigestOf(secret *corev1.Secret, name string) string {
	return hex.EncodeToString([]byte(secret.StringData[name]))
}

// TokenHashOf returns the hash of the refresh token in a digested Secret, in the form of
// status.tokenHash; empty without one.
func TokenHashOf(secret *corev1.Secret) string {
	if sum := DigestOf(secret, v1alpha1.SecretToken); sum != "" && sum != emptyDigest {
		return token.HashPrefix + sum
	}
	return ""
}

// HeldHash returns the same for a Secret that may be digested or not.
func HeldHash(secret *corev1.Secret) string {
	if held := secret.Data[v1alpha1.SecretToken]; len(held) > 0 {
		return token.Hash(string(held))
	}
	return TokenHashOf(secret)
}

var emptyDigest = func() string {
	sum := sha256.Sum256(nil)
	return hex.EncodeToString(sum[:])
}()
