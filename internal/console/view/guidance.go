package view

import (
	_ "embed"
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
)

// guidanceJSON has the rows of docs/troubleshooting.md; hack/guidance writes it.
//
//go:embed guidance.json
var guidanceJSON []byte

// guidance are the rows of docs/troubleshooting.md, by reason: of refresh keys, of revocations, and of issuers.
var guidance = func() (rows struct{ Keys, Revocations, Issuers map[string]wire.Guidance }) {
	if err := json.Unmarshal(guidanceJSON, &rows); err != nil {
		panic(err) // the file is part of the program
	}
	return rows
}()

// keyGuidance returns what the state of a key means and what to do; nil if nothing is known of its reason.
func keyGuidance(key *v1alpha1.JWTRefreshKey) *wire.Guidance {
	reason := outlook.ReadyReason(key)
	why, known := guidance.Revocations[string(key.Status.RevocationReason)]
	if reason != v1alpha1.ReasonRevoked || !known {
		return found(guidance.Keys, reason)
	}
	row := wire.Guidance{Means: "every token is refused: " + why.Means, Do: why.Do}
	if key.Status.Session != nil {
		row.Do = "sign in again: a session that a login created cannot be issued again"
	}
	return &row
}

// issuerGuidance returns what the state of an issuer means and what to do; nil if nothing is known of its reason.
func issuerGuidance(issuer *v1alpha1.JWTIssuer) *wire.Guidance {
	conditions := issuer.Status.Conditions
	if bundle := meta.FindStatusCondition(conditions, v1alpha1.ConditionTrustBundle); bundle != nil && bundle.Status == metav1.ConditionFalse {
		return found(guidance.Issuers, bundle.Reason)
	}
	if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		return found(guidance.Issuers, ready.Reason)
	}
	return nil
}

func found(rows map[string]wire.Guidance, reason string) *wire.Guidance {
	if row, known := rows[reason]; known {
		return &row
	}
	return nil
}
