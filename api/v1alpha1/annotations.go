package v1alpha1

// Annotations and labels that users set, or that the operator sets on the Secrets it makes.
const (
	// AnnotationRotate on a JWTRefreshKey asks for a new revision with overlap. Any new
	// value asks once; best is a timestamp.
	AnnotationRotate = Group + "/rotate"
	// AnnotationRotateNow on a JWTRefreshKey asks for a new revision that retires every
	// earlier token at once, as after a leak. Any new value asks once.
	AnnotationRotateNow = Group + "/rotate-now"
	// AnnotationWithdrawKey on a JWTIssuer names the signing keys (kid, separated by commas)
	// to withdraw at once; everything they signed is issued again.
	AnnotationWithdrawKey = Group + "/withdraw-key"
	// AnnotationRotateKeys on a JWTIssuer is a time (RFC 3339, or seconds since 1970): signing keys that began to
	// sign before it are followed by the next ones, as soon as those have been published for
	// spec.signing.prepublish. What they signed stays good.
	AnnotationRotateKeys = Group + "/rotate-keys"

	// AnnotationOwner on a Secret without ownerReference (deletionPolicy Retain) names the JWTRefreshKey
	// that it belongs to, as namespace/name/UID. Earlier versions wrote the name alone.
	AnnotationOwner = Group + "/owner"
	// AnnotationMadeFor on a Secret with ownerReference (deletionPolicy Delete) names the JWTRefreshKey that
	// it was made for, as namespace/name/UID. The operator recognises the Secret by it if the ownerReference is lost.
	AnnotationMadeFor = Group + "/made-for"
	// AnnotationJTI on a Secret is the jti of the token in it.
	AnnotationJTI = Group + "/jti"
	// AnnotationRevision on a Secret is the revision of the token in it.
	AnnotationRevision = Group + "/revision"
	// AnnotationExpiresAt on a Secret is the end of the token in it (RFC 3339, UTC).
	AnnotationExpiresAt = Group + "/expires-at"
	// AnnotationAccessTokenExpiresAt on a Secret is the end of the access token in it (RFC 3339, UTC).
	AnnotationAccessTokenExpiresAt = Group + "/access-token-expires-at"
	// AnnotationAccessTokenKeyID on a Secret is the kid of the key that signed the access token in it.
	AnnotationAccessTokenKeyID = Group + "/access-token-key-id"
	// AnnotationSecretName on a Secret is the name it was made under, by which a copy under another
	// name is told from it.
	AnnotationSecretName = Group + "/secret-name"
	// AnnotationAccessTokenHash on a Secret is the SHA-256 of the access token in it, in
	// lower-case hex, by which an edit is noticed.
	AnnotationAccessTokenHash = Group + "/access-token-hash"
	// AnnotationAdded on a Secret lists the labels and annotations that spec.secret put
	// there, so that they can be taken away again without touching anybody else's.
	AnnotationAdded = Group + "/added"

	// AnnotationPropagated on a Pod tells which state of which Secret it was last made to read, as
	// name/revision@resourceVersion. It is set where the installation switched fast propagation on.
	AnnotationPropagated = Group + "/propagated"
	// RestartPrefix begins the annotations, on workloads that spec.rolloutRestart names and on their
	// pod templates, that tell for which token of which key they were last restarted.
	RestartPrefix = "restart." + Group + "/"

	// LabelSession on a JWTRefreshKey that a login made is the method of the login.
	LabelSession = Group + "/session"
	// LabelSessionOf on the same is a hash of the issuer and the subject, by which the sessions of one
	// subject are found.
	LabelSessionOf = Group + "/session-of"

	// LabelManagedBy marks every Secret the operator makes, with the value ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "refreshkeys"
	// LabelSigningKeysOf marks the Secret with the signing keys of the JWTIssuer it names.
	LabelSigningKeysOf = Group + "/signing-keys-of"
)

// Keys of the data of a Secret that holds a refresh token.
const (
	// SecretToken is the refresh token, in compact form.
	SecretToken = "token"
	// SecretTokenEndpoint is the URL at which the token is exchanged.
	SecretTokenEndpoint = "token-endpoint"
	// SecretCA is what a client of the token endpoint has to trust, in PEM, where that is not one
	// of the authorities that everybody trusts.
	SecretCA = "ca.crt"
	// SecretAccessToken is an access token, when spec.secret.accessToken asks for one.
	SecretAccessToken = "access-token"
)
