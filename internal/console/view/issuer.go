package view

import (
	"cmp"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/span"
)

// Defaults of spec.login, as the API documents them.
const (
	defaultSessionsPerSubject = 10
	defaultMaxSessions        = 10000
)

// pending is the state of a signing key that is published and does not sign yet.
const pending v1alpha1.KeyState = "Pending"

// IssuerDetail returns the detail of an issuer, which stored is as the API server has it, with its events or why they cannot be read.
func IssuerDetail(issuer *v1alpha1.JWTIssuer, stored *unstructured.Unstructured, events []eventsv1.Event, failure *wire.Failure) (wire.IssuerDetail, error) {
	detail := wire.IssuerDetail{
		Row: IssuerRow(issuer), TokenEndpoint: issuer.Status.TokenEndpoint, JWKSURI: issuer.Status.JWKSURI, EndpointURL: issuer.Spec.EndpointURL,
		Keys: signingKeys(issuer), Rules: Rules(issuer), HasPolicy: issuer.Spec.Policy != nil, Conditions: conditions(issuer.Status.Conditions),
		Events: eventsOf(events), EventsFailure: failure, Guidance: issuerGuidance(issuer), NextRotation: nextRotation(issuer), Facts: issuerFacts(issuer),
	}
	if login := issuer.Spec.Login; login != nil {
		detail.SessionsPerSubject, detail.MaxSessions = cmp.Or(int64(login.SessionsPerSubject), defaultSessionsPerSubject), cmp.Or(int64(login.MaxSessions), defaultMaxSessions)
	}
	var err error
	detail.Object, detail.YAML, err = object(stored)
	return detail, err
}

func signingKeys(issuer *v1alpha1.JWTIssuer) []wire.SigningKey {
	keys := []wire.SigningKey{}
	for _, key := range issuer.Status.Keys {
		keys = append(keys, wire.SigningKey{
			KID: key.KID, Ring: string(key.Use), Algorithm: string(key.Algorithm), State: string(key.State),
			CreatedAt: Stamp(key.CreatedAt.Time), ActiveAt: stamp(key.ActiveAt), RetireAt: stamp(key.RetireAt),
		})
	}
	return keys
}

// nextRotation returns when the next signing key of each ring begins to sign.
func nextRotation(issuer *v1alpha1.JWTIssuer) map[string]string {
	times := map[string]string{}
	for _, key := range issuer.Status.Keys {
		if key.State == pending && key.ActiveAt != nil {
			times[string(key.Use)] = stamp(key.ActiveAt)
		}
	}
	return times
}

// issuerFacts returns the settings of an issuer that hold for its keys.
func issuerFacts(issuer *v1alpha1.JWTIssuer) []wire.Fact {
	longest := policy.DefaultMaxAccessLifetime
	if at := issuer.Spec.AccessToken; at != nil && at.MaxLifetime != nil {
		longest = at.MaxLifetime.Duration
	}
	return []wire.Fact{
		{Name: "Access token lifetime", Value: span.Short(policy.AccessLifetime(&issuer.Spec)) + ", at most " + span.Short(longest)},
	}
}
