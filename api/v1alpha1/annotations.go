package v1alpha1

import "strings"

// Annotations and labels that users set, or that the operator sets on the objects that it manages.
const (
	// AnnotationRotate on a JWTRefreshKey requests a new revision with overlap. Each new
	// value requests one revision; a timestamp is recommended.
	AnnotationRotate = Group + "/rotate"
	// AnnotationRotateNow on a JWTRefreshKey requests a new revision that retires every
	// earlier token at once, for use after a leak. Each new value requests one revision.
	AnnotationRotateNow = Group + "/rotate-now"
	// AnnotationRevocationNote on a JWTRefreshKey says why a person revoked it, for people. No decision depends on it.
	AnnotationRevocationNote = Group + "/revocation-note"
	// AnnotationDeviceApproval on the JWTRefreshKey of a device's sign-in (RFC 8628) is what the person decided, sealed by the
	// token service for this object. A copy on another object is of no use.
	AnnotationDeviceApproval = Group + "/device-approval"
	// AnnotationWithdrawKey on a JWTIssuer names the signing keys (kid, separated by commas)
	// to withdraw at once; the operator issues again all tokens that they signed.
	AnnotationWithdrawKey = Group + "/withdraw-key"
	// AnnotationRotateKeys on a JWTIssuer is a time (RFC 3339, or seconds since 1970). The next signing keys replace
	// those that began to sign before it, as soon as the next ones have been published for
	// spec.signing.prepublish. Tokens that the replaced keys signed stay valid.
	AnnotationRotateKeys = Group + "/rotate-keys"

	// AnnotationOwner on a Secret without ownerReference (deletionPolicy Retain) names the JWTRefreshKey
	// that it belongs to, as namespace/name/UID. Earlier versions wrote only the name.
	AnnotationOwner = Group + "/owner"
	// AnnotationMadeFor on a Secret with ownerReference (deletionPolicy Delete) names the JWTRefreshKey that
	// it was created for, as namespace/name/UID. The operator recognises the Secret by it if the ownerReference is lost.
	AnnotationMadeFor = Group + "/made-for"
	// AnnotationJTI on a Secret is the jti of the token in it.
	AnnotationJTI = Group + "/jti"
	// AnnotationRevision on a Secret is the revision of the token in it.
	AnnotationRevision = Group + "/revision"
	// AnnotationExpiresAt on a Secret is when the token in it expires (RFC 3339, UTC).
	AnnotationExpiresAt = Group + "/expires-at"
	// AnnotationAccessTokenExpiresAt on a Secret is when the access token in it expires (RFC 3339, UTC).
	AnnotationAccessTokenExpiresAt = Group + "/access-token-expires-at"
	// AnnotationAccessTokenKeyID on a Secret is the kid of the signing key of the access token in it.
	AnnotationAccessTokenKeyID = Group + "/access-token-key-id"
	// AnnotationSecretName on a Secret is the name that it was created under. A copy has another name
	// and the same annotation.
	AnnotationSecretName = Group + "/secret-name"
	// AnnotationAccessTokenHash on a Secret is the SHA-256 of the access token in it, in
	// lower-case hex. With it, the operator detects an edit.
	AnnotationAccessTokenHash = Group + "/access-token-hash"
	// AnnotationAdded on a Secret lists the labels and annotations that spec.secret added,
	// so that the operator can remove them and leave all others.
	AnnotationAdded = Group + "/added"

	// AnnotationPropagated on a Pod is the Secret that the operator last propagated to it, as
	// name/revision@resourceVersion. It is set only if the installation enables fast propagation.
	AnnotationPropagated = Group + "/propagated"
	// RestartPrefix begins the annotations, on workloads in spec.rolloutRestart and on their pod
	// templates, that record the refresh key and the token of the last restart.
	RestartPrefix = "restart." + Group + "/"

	// LabelSession on a JWTRefreshKey that a login created is the login method.
	LabelSession = Group + "/session"
	// LabelSessionOf on a JWTRefreshKey that a login created is a hash of the issuer and the subject. It
	// selects the sessions of one subject.
	LabelSessionOf = Group + "/session-of"

	// LabelManagedBy marks every Secret and ConfigMap that the operator creates, with the value ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// PublishedCA is the name of the ConfigMap with the CA bundle of the token service under `ca.crt`, in each namespace that the
	// operator serves, if the installation publishes it.
	PublishedCA = "refreshkeys-ca.crt"

	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "refreshkeys"
	// LabelSigningKeysOf marks the Secret with the signing keys; the value is the name of the JWTIssuer.
	LabelSigningKeysOf = Group + "/signing-keys-of"
)

// Keys of the data of a Secret that holds a refresh token.
const (
	// SecretToken is the key of the refresh token, in compact form.
	SecretToken = "token"
	// SecretTokenEndpoint is the key of the URL at which clients in the cluster exchange the token: below endpointURL of the
	// issuer, or below its url where it has none.
	SecretTokenEndpoint = "token-endpoint"
	// SecretPublicTokenEndpoint is the key of the URL at which clients outside the cluster exchange the token: below url of the
	// issuer.
	SecretPublicTokenEndpoint = "public-token-endpoint"
	// SecretIssuer is the key of the URL of the issuer: `iss` of the token, and where clients find the metadata (RFC 8414 §3).
	SecretIssuer = "issuer"
	// SecretCA is the key of the CA certificates that verify the token endpoint's serving certificate, in PEM. It is
	// absent if clients need only their system's CA certificates.
	SecretCA = "ca.crt"
	// SecretAccessToken is the key of the access token, if spec.secret.accessToken is true.
	SecretAccessToken = "access-token"
)

// WithdrawnKIDs returns the kids of the signing keys that AnnotationWithdrawKey of an issuer names, in their order. Commas
// or spaces separate them.
func WithdrawnKIDs(issuer *JWTIssuer) []string {
	return strings.FieldsFunc(issuer.Annotations[AnnotationWithdrawKey], func(r rune) bool { return r == ',' || r == ' ' })
}
