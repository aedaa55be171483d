package lifecycle

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// t0 is when the base key and its first token were created. Times in tables count from it.
var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const (
	// calmUID has almost no jitter, which makes times in tables easy to compute.
	calmUID = types.UID("0197e9c2-0000-7000-8000-000003985335")
	// earlyUID has the maximal jitter.
	earlyUID = types.UID("0197e9c2-0000-7000-8000-000000069143")

	issuerURL  = "https://tokens.example.com"
	audience   = "https://orders.example.com"
	subject    = "refreshkey:shop:orders"
	signingKey = "kid-1"
	thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

// situation is an Observed with helpers that change it step by step.
type situation struct{ Observed }

// settled returns a key at rest: its Secret holds its first token, created at t0 for 720h.
func settled() *situation {
	s := &situation{Observed{
		Key: &v1alpha1.JWTRefreshKey{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: "orders", UID: calmUID, Generation: 3, CreationTimestamp: metav1.Time{Time: t0},
				Annotations: map[string]string{},
			},
			Spec: v1alpha1.JWTRefreshKeySpec{
				Audience: audience,
				Secret:   &v1alpha1.SecretSpec{},
				Rotation: &v1alpha1.RotationSpec{},
			},
		},
		Namespace: Namespace{Labels: map[string]string{"team": "shop"}},
		Issuer: Issuer{
			Name: "default", Found: true, Ready: true, URL: issuerURL, AccessLifetime: 15 * time.Minute,
			KnowsHeldKey: true,
		},
		Secret: Secret{State: SecretOwn, Name: "orders", CreatedAt: t0, AsWanted: true},
	}}
	s.grant(v1alpha1.PolicyRule{
		Audiences: []string{"https://**"}, Scopes: []string{"orders:*"}, Claims: []string{"email", "tier"},
		Subjects: []string{"shop:*"}, MaxLifetime: &metav1.Duration{Duration: maxLifetime},
	})
	s.current(1, 0, 720*time.Hour)
	s.Secret.TokenHash = hashOf("token-1")
	s.Key.Status.Conditions, s.Key.Status.SecretName = readyConditions(&s.Observed), "orders"
	return s
}

// unissued returns a new key.
func unissued() *situation {
	s := settled()
	s.Key.Status = v1alpha1.JWTRefreshKeyStatus{}
	s.Held, s.Issuer.KnowsHeldKey = nil, false
	s.Secret = Secret{State: SecretMissing, Name: "orders"}
	return s
}

func (s *situation) grant(rules ...v1alpha1.PolicyRule) {
	compiled, err := policy.Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: rules}})
	if err != nil {
		panic(err)
	}
	s.Issuer.Policy = compiled
}

// current records a token as the current one. Its jti is token-<revision>.
func (s *situation) current(revision int64, from, to time.Duration) {
	jti := fmt.Sprint("token-", revision)
	s.Key.Status.TokenLine = v1alpha1.TokenLine{
		Revision: revision, JTI: jti, TokenHash: hashOf(jti), KeyID: signingKey,
		CreatedAt: &metav1.Time{Time: t0.Add(from)}, ExpiresAt: &metav1.Time{Time: t0.Add(to)},
		Content:  &apiextensionsv1.JSON{Raw: []byte(`{"jti":"` + jti + `"}`)},
		Previous: s.Key.Status.Previous,
	}
	s.Held = &Held{
		Terms:    Terms{Issuer: issuerURL, Audience: audience, Subject: subject},
		IssuedAt: t0.Add(from), ExpiresAt: t0.Add(to),
	}
}

// supersede records a later token, and keeps the current one for the overlap.
func (s *situation) supersede(from, to time.Duration) {
	line := &s.Key.Status.TokenLine
	line.Previous = append(line.Previous, v1alpha1.SupersededToken{
		JTI: line.JTI, Revision: line.Revision, TokenHash: line.TokenHash, CreatedAt: *line.CreatedAt, ExpiresAt: *line.ExpiresAt,
	})
	s.current(line.Revision+1, from, to)
	s.Secret.TokenHash = line.TokenHash
}

// usedOnce records a use of a one-time token.
func (s *situation) usedOnce(from, to time.Duration) {
	s.mode(v1alpha1.RotationOneTimeUse)
	used := s.Key.Status.Revision
	s.supersede(from, to)
	s.Key.Status.LastUsed, s.Key.Status.LastUsedRevision = &metav1.Time{Time: t0.Add(from)}, used
	s.Secret.TokenHash = ""
}

// twoSuperseded returns a key with the maximal number of superseded tokens.
func twoSuperseded() *situation {
	s := settled()
	s.supersede(time.Hour, 721*time.Hour)
	s.supersede(2*time.Hour, 722*time.Hour)
	return s
}

func (s *situation) revoke(reason v1alpha1.RevocationReason) {
	s.Key.Status.RevokedAt, s.Key.Status.RevocationReason = &metav1.Time{Time: t0.Add(30 * time.Minute)}, reason
	s.Key.Spec.Revoked = reason == v1alpha1.RevokedRequested
	s.Secret.TokenHash = ""
}

func (s *situation) mode(mode v1alpha1.RotationMode) { s.Key.Spec.Rotation.Mode = mode }

func (s *situation) rotate(value string)    { s.Key.Annotations[v1alpha1.AnnotationRotate] = value }
func (s *situation) rotateNow(value string) { s.Key.Annotations[v1alpha1.AnnotationRotateNow] = value }

// end sets spec.expiresAt.
func (s *situation) end(at time.Duration) {
	s.Key.Spec.ExpiresAt = &metav1.Time{Time: t0.Add(at)}
}

func (s *situation) overlapMax(d time.Duration) {
	s.Key.Spec.Rotation.Overlap = &v1alpha1.OverlapSpec{Max: duration(d)}
}

// lacksIssuer removes the issuer.
func (s *situation) lacksIssuer() { s.Issuer = Issuer{Name: "default"} }

// keepsAccess requests an access token in the Secret, which holds one that ends at the given time.
func (s *situation) keepsAccess(until time.Duration) {
	s.Key.Spec.Secret.AccessToken = true
	s.Secret.HoldsAccess, s.Secret.AccessExpiresAt = true, t0.Add(until)
}

// found adds an unrecorded first token to the Secret.
func (s *situation) found(from, to time.Duration) {
	s.Secret = Secret{State: SecretOwn, Name: "orders", CreatedAt: t0.Add(from), TokenHash: hashOf("token-1"), AsWanted: true}
	s.Secret.Adoptable = &Token{
		Revision: 1, JTI: "token-1", Hash: hashOf("token-1"), KeyID: signingKey, CreatedAt: t0.Add(from), ExpiresAt: t0.Add(to), Content: []byte(`{}`),
	}
}

func hashOf(jti string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(jti))) }

func duration(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

func raw(text string) apiextensionsv1.JSON { return apiextensionsv1.JSON{Raw: []byte(text)} }

// outcome is the part of a Plan that the tables compare, in a readable form.
type outcome struct {
	Check      string
	Ignore     bool
	Discard    bool
	KeepStatus bool
	Line       string
	Cause      Cause
	Detail     string
	Mint       string // "revision 2, 1h to 721h"
	Previous   string // jtis
	Revocation v1alpha1.RevocationReason
	Paced      bool
	Secret     string
	Access     string
	Remove     string
	Verdict    string // "ready Issued", "stalled Revoked", "waiting IssuerNotFound", "ready Issued, reconciling OverlapPending"
	Next       string // "480h"
}

var (
	lineNames   = map[LineStep]string{KeepLine: "", IssueFirst: "issue first", AdoptFound: "adopt", AdvanceLine: "advance", RetireSuperseded: "retire", RevokeLine: "revoke"}
	secretNames = map[SecretStep]string{KeepSecret: "", WriteSecret: "write", EmptySecret: "empty", OwnSecret: "own", DeleteSecret: "delete"}
	accessNames = map[AccessStep]string{NoAccess: "", KeepAccess: "keep", RenewAccess: "renew"}
)

func outcomeOf(p *Plan) outcome {
	o := outcome{
		Check: p.Check, Ignore: p.Ignore, Discard: p.Discard, KeepStatus: p.KeepStatus, Line: lineNames[p.Line], Cause: p.Cause, Detail: p.Detail,
		Revocation: p.Revocation, Paced: p.Paced, Secret: secretNames[p.Secret], Access: accessNames[p.Access],
		Remove: strings.Join(p.Remove, " "), Verdict: verdictText(p.Verdict), Next: sinceT0(p.Next),
	}
	if p.Mint != nil {
		o.Mint = fmt.Sprintf("revision %d, %s to %s", p.Mint.Revision, sinceT0(p.Mint.CreatedAt), sinceT0(p.Mint.ExpiresAt))
	}
	var jtis []string
	for _, token := range p.Previous {
		jtis = append(jtis, token.JTI)
	}
	o.Previous = strings.Join(jtis, " ")
	return o
}

func verdictText(v Verdict) string {
	switch {
	case v == Verdict{}:
		return ""
	case v.Ready && v.Reconciling != "":
		return "ready " + v.Reason + ", reconciling " + v.Reconciling
	case v.Ready:
		return "ready " + v.Reason
	case v.Stalled && v.Reconciling == "":
		return "stalled " + v.Reason
	case v.Reconciling == v.Reason && !v.Stalled:
		return "waiting " + v.Reason
	default:
		return fmt.Sprintf("%+v", v)
	}
}

// sinceT0 formats a time relative to t0, without zero minutes and seconds.
func sinceT0(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	text := t.Sub(t0).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Outcomes that many cases share.

func atRest(next string) outcome {
	return outcome{Check: "at rest", Verdict: "ready Issued", Next: next}
}

func writesSecret(next string) outcome {
	return outcome{Check: "secret differs from the wanted one", KeepStatus: true, Secret: "write", Next: next}
}

func issuesFirst(mint string) outcome {
	return outcome{Check: "no token yet", Line: "issue first", Mint: mint, Secret: "write", Verdict: "ready Issued"}
}

func advances(cause Cause, mint, previous string) outcome {
	return outcome{
		Check: "next token is due", Line: "advance", Cause: cause, Mint: mint, Previous: previous, Secret: "write", Verdict: "ready Issued",
	}
}

func advancesAtOnce(cause Cause, mint, previous string) outcome {
	o := advances(cause, mint, previous)
	// The token in the Secret is refused until the Secret is written.
	o.Check, o.Verdict = "tokens must end at once", "waiting Issuing"
	return o
}

// unready is an advance during which the Secret holds no accepted token.
func (o outcome) unready() outcome {
	o.Verdict = "waiting Issuing"
	return o
}

func (o outcome) but(change func(*outcome)) outcome {
	change(&o)
	return o
}

// TestUIDsOfTheTables checks the jitter of the two UIDs.
func TestUIDsOfTheTables(t *testing.T) {
	window := 48 * time.Hour
	if calm, early := jitter(string(calmUID), window), jitter(string(earlyUID), window); calm != 0 || early != window-time.Second {
		t.Errorf("jitter within %s: calm %s, early %s", window, calm, early)
	}
}
