package view

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
)

// KeyRow returns the row of a refresh key.
func KeyRow(key *v1alpha1.JWTRefreshKey) wire.KeyRow {
	status := &key.Status
	word := outlook.Status(key)
	row := wire.KeyRow{
		UID: string(key.UID), Version: key.ResourceVersion, Namespace: key.Namespace, Name: key.Name,
		Audience: key.Spec.Audience, Issuer: lifecycle.IssuerName(key), Subject: key.Spec.Subject,
		Status: word, Tone: string(outlook.ToneOf(word)), Mode: string(lifecycle.Mode(key)),
		Revision: status.Revision, Overlap: len(status.Previous),
		CreatedAt: stamp(status.CreatedAt), ExpiresAt: stamp(status.ExpiresAt), RenewalTime: stamp(status.RenewalTime),
		LastUsed: stamp(status.LastUsed), SupersededLastUsed: stamp(status.SupersededLastUsed),
		RevokedAt: stamp(status.RevokedAt), RevocationReason: string(status.RevocationReason), Revoked: key.Spec.Revoked,
		JTI: status.JTI, TokenHash: status.TokenHash, KeyID: status.KeyID,
		Device: seen(status.DeviceInfo), Session: session(status.Session), GitOps: GitOps(key),
		MadeAt: Stamp(key.CreationTimestamp.Time),
	}
	row.Message, row.Since = readyOf(status.Conditions)
	if waits := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReconciling); waits != nil {
		row.Waits, row.WaitsFor, row.WaitsSince = waits.Message, waits.Reason, Stamp(waits.LastTransitionTime.Time)
	}
	return row
}

// readyOf returns the message of the condition Ready, and since when it has its status.
func readyOf(conditions []metav1.Condition) (message, since string) {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return "", ""
	}
	return ready.Message, Stamp(ready.LastTransitionTime.Time)
}

func session(login *v1alpha1.SessionStatus) *wire.Session {
	if login == nil {
		return nil
	}
	return &wire.Session{
		Subject: login.Subject, Client: login.Client, Method: string(login.Method), Provider: login.Provider, StartedAt: Stamp(login.StartedAt.Time),
	}
}

// IssuerRow returns the row of an issuer.
func IssuerRow(issuer *v1alpha1.JWTIssuer) wire.IssuerRow {
	row := wire.IssuerRow{
		UID: string(issuer.UID), Version: issuer.ResourceVersion, Name: issuer.Name, URL: issuer.Spec.URL, Algorithm: string(v1alpha1.ES256),
		MadeAt: Stamp(issuer.CreationTimestamp.Time),
	}
	row.Status, row.Tone = issuerStatus(issuer)
	row.Message, _ = readyOf(issuer.Status.Conditions)
	if signing := issuer.Spec.Signing; signing != nil && signing.Algorithm != "" {
		row.Algorithm = string(signing.Algorithm)
	}
	if login := issuer.Spec.Login; login != nil {
		row.SessionNamespace = login.SessionNamespace
	}
	return row
}

// issuerStatus returns the status of an issuer in one word, and its tone.
func issuerStatus(issuer *v1alpha1.JWTIssuer) (word, tone string) {
	ready := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case issuer.DeletionTimestamp != nil:
		return "Deleting", string(outlook.Off)
	case ready == nil:
		return "Pending", string(outlook.Wait)
	case ready.Reason == v1alpha1.ReasonKeyPending:
		return ready.Reason, string(outlook.Wait)
	case ready.Status == metav1.ConditionTrue:
		return ready.Reason, string(outlook.Good)
	default:
		return ready.Reason, string(outlook.Bad)
	}
}
