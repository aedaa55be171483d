package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// actions are what users, the token service and time do. The weight is how often.
var actions = []struct {
	weight int
	name   string
	do     func(*simulation)
}{
	{30, "the clock goes on", (*simulation).forward},
	{2, "the clock is set back", (*simulation).backward},
	{24, "spec is edited", (*simulation).editSpec},
	{7, "rotate", func(w *simulation) { w.annotate(v1alpha1.AnnotationRotate) }},
	{3, "rotate-now", func(w *simulation) { w.annotate(v1alpha1.AnnotationRotateNow) }},
	{2, "revoked is set", func(w *simulation) { w.edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }) }},
	{10, "revoked is taken back", func(w *simulation) { w.edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false }) }},
	{2, "the token service revokes", (*simulation).serviceRevokes},
	{3, "the token service reports use", (*simulation).serviceReports},
	{9, "a client uses a one-time token", (*simulation).use},
	{4, "a claim under way arrives", (*simulation).claimArrives},
	{9, "the Secret is touched", (*simulation).touchSecret},
	{7, "a Secret is repaired", (*simulation).repairSecret},
	{3, "the garbage collector runs", (*simulation).collectGarbage},
	{4, "an issuer changes", (*simulation).changeIssuer},
	{8, "an issuer is repaired", (*simulation).repairIssuers},
	{4, "signing keys change", (*simulation).changeRing},
	{3, "the namespace changes", (*simulation).changeNamespace},
	{1, "an enrolment is lost with its issuer", (*simulation).loseEnrolment},
	{1, "the key is deleted and made again", (*simulation).createKey},
	{2, "status is forged", (*simulation).forge},
}

var actionWeights = func() (sum int) {
	for _, a := range actions {
		sum += a.weight
	}
	return sum
}()

// act applies one action to the simulation.
func (w *simulation) act() {
	n := w.random.IntN(actionWeights)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			a.do(w)
			w.note("%s: it is %s, spec of generation %d, secrets %s", a.name, sinceT0(w.now), w.key.Generation, w.secretsText())
			return
		}
	}
}

func pick[T any](w *simulation, from ...T) T { return from[w.random.IntN(len(from))] }

func (w *simulation) forward() {
	switch w.random.IntN(6) {
	case 0:
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(minute))))
	case 1:
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(hour))))
	case 2:
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(50 * hour))))
	case 3:
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(900 * hour))))
	default:
		if w.next.After(w.now) {
			w.now = w.next.Add(pick(w, -1, 0, 0, 0, time.Millisecond))
		}
	}
}

func (w *simulation) backward() {
	w.now = w.now.Add(-time.Duration(w.random.Int64N(int64(pick(w, minute, hour, 50*hour)))))
}

func (w *simulation) annotate(annotation string) {
	value := pick(w, "", "v1", "v2", "v3", longValue, "now:v1", fmt.Sprint("at-", w.random.Uint32()))
	w.edit(func(k *v1alpha1.JWTRefreshKey) { k.Annotations[annotation] = value })
}

func maybe(w *simulation, d ...time.Duration) *metav1.Duration {
	if v := pick(w, append(d, -1)...); v >= 0 {
		return duration(v)
	}
	return nil
}

// specEdits change one field each. Most values are valid, some are not, and each value changes again.
var specEdits = []func(*simulation, *v1alpha1.JWTRefreshKeySpec){
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Audience = pick(w, audience, "https://other.example.com")
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Lifetime = maybe(w, 100*time.Second, hour, 10*hour, 100*hour, 720*hour, pick(w, 10*time.Second, 720*hour))
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Lifetime = maybe(w, 2000*hour, hour+500*time.Millisecond)
		if s.Lifetime != nil {
			s.Lifetime.Duration = s.Lifetime.Truncate(time.Second)
		}
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) { s.Subject = pick(w, "", subject, "shop:till") },
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Scopes = pick(w, nil, []string{"orders:read"}, []string{"orders:read", "orders:write"}, pick(w, nil, []string{"a b"}))
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		name := pick(w, "email", "email", "tier", "tier", "iss")
		s.Claims = maps.Clone(s.Claims)
		delete(s.Claims, "iss")
		if _, there := s.Claims[name]; there {
			delete(s.Claims, name)
			return
		}
		if s.Claims == nil {
			s.Claims = map[string]apiextensionsv1.JSON{}
		}
		s.Claims[name] = raw(pick(w, `"a"`, `"b"`, `1`, `["a","b"]`))
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.IssuerRef = pick(w, nil, &v1alpha1.IssuerReference{}, &v1alpha1.IssuerReference{Name: "other"}, &v1alpha1.IssuerReference{Name: pick(w, "default", "missing")})
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Binding = pick(w, nil, nil, &v1alpha1.BindingSpec{ServiceAccountName: "orders"}, &v1alpha1.BindingSpec{JWKThumbprint: thumbprint})
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.DeviceInfo = &v1alpha1.DeviceInfo{ID: fmt.Sprint(w.random.IntN(9))}
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Secret.Labels = pick(w, nil, map[string]v1alpha1.LabelValue{"team": "shop"})
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Secret.Mode = pick(w, "", v1alpha1.SecretWrite, v1alpha1.SecretWrite, v1alpha1.SecretNone)
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Secret.Name = pick(w, "", "orders", "orders-2", "orders-3")
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Secret.DeletionPolicy = pick(w, "", v1alpha1.DeletionDelete, v1alpha1.DeletionRetain)
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Secret.AccessToken = !s.Secret.AccessToken
		if s.Secret.AccessToken && w.random.IntN(8) > 0 {
			s.Binding, s.IdleTimeout = nil, nil
		}
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: maybe(w, 4*minute, 10*minute, 30*minute, 500*time.Second)}
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Rotation.RenewBefore = maybe(w, time.Second, 30*time.Second, 5*hour, -1, -1)
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Rotation.Overlap = &v1alpha1.OverlapSpec{Quiet: maybe(w, 0, hour), Max: maybe(w, 0, minute, hour, 50*hour, -1, -1)}
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.Rotation.RetryGrace = maybe(w, 0, time.Second, 10*minute)
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) { s.IdleTimeout = maybe(w, 168*hour, -1, -1) },
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: fmt.Sprint(w.random.IntN(9))}}
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		s.ExpiresAt = nil
		if w.random.IntN(3) == 0 {
			s.ExpiresAt = &metav1.Time{Time: w.now.Add(time.Duration(w.random.Int64N(int64(1000*hour))) - 20*hour)}
		}
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		if w.device && w.random.IntN(4) > 0 {
			s.Rotation.Mode = v1alpha1.RotationOneTimeUse
			return
		}
		s.Rotation.Mode = pick(w, "", v1alpha1.RotationScheduled, v1alpha1.RotationScheduled, v1alpha1.RotationNever, v1alpha1.RotationOneTimeUse)
	},
	func(w *simulation, s *v1alpha1.JWTRefreshKeySpec) {
		if w.random.IntN(4) == 0 {
			s.Rotation.Mode = "Often"
		}
	},
}

// editSpec changes one or two fields, so that several changes happen at once, and repairs a spec that stays invalid.
func (w *simulation) editSpec() {
	w.edit(func(k *v1alpha1.JWTRefreshKey) {
		for range 1 + w.random.IntN(2) {
			specEdits[w.random.IntN(len(specEdits))](w, &k.Spec)
		}
	})
	if w.invalid() && w.random.IntN(2) == 0 {
		w.edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec = w.madeGood().Spec })
	}
}

// serviceRevokes is a patch without a resourceVersion; the controller empties status.previous.
func (w *simulation) serviceRevokes() {
	if w.key.Status.RevokedAt != nil || w.key.Status.Revision == 0 {
		return
	}
	w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) {
		s.RevokedAt, s.RevocationReason = &metav1.Time{Time: w.now.Truncate(time.Second)}, pick(w, otherReasons[:3]...)
	})
}

// serviceReports records a use of a token. For a one-time token, see use.
func (w *simulation) serviceReports() {
	if w.key.Status.Revision == 0 || w.mode() == v1alpha1.RotationOneTimeUse {
		return
	}
	now := &metav1.Time{Time: w.now.Truncate(time.Second)}
	w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) {
		if w.random.IntN(3) == 0 && len(s.Previous) > 0 {
			s.SupersededLastUsed = now
			return
		}
		s.LastUsed, s.LastUsedRevision = now, s.Revision
	})
}

func (w *simulation) patchStatus(change func(*v1alpha1.JWTRefreshKeyStatus)) {
	w.key = w.key.DeepCopy()
	revoked := w.key.Status.RevokedAt != nil
	change(&w.key.Status)
	w.version++
	if !revoked && w.key.Status.RevokedAt != nil {
		w.bury("")
	}
	w.checkBuried()
}

// forge changes the line like a client other than the operator.
func (w *simulation) forge() {
	if w.key.Status.Revision == 0 || w.key.Status.Content == nil || w.key.Status.CreatedAt == nil || w.key.Status.ExpiresAt == nil {
		return
	}
	w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) {
		switch w.random.IntN(7) {
		case 0:
			s.JTI = "forged"
		case 1:
			s.Content = nil
		case 2:
			s.ExpiresAt = &metav1.Time{Time: s.ExpiresAt.Add(hour)}
		case 3:
			s.CreatedAt = nil
		case 4:
			token := w.byJTI[pick(w, slices.Sorted(maps.Keys(w.byJTI))...)]
			s.Content = &apiextensionsv1.JSON{Raw: token.Content}
		case 5:
			s.JTI = ""
		case 6:
			s.FirstRevision = s.Revision + 1 + w.random.Int64N(3)
		}
	})
	o := &observation{}
	o.Key = w.key
	w.observeLine(o)
	w.forged = o.Distrust != "" || w.key.Status.FirstRevision > w.key.Status.Revision
}

// loseEnrolment moves a device to another issuer, and deletes the earlier issuer and the Secret.
func (w *simulation) loseEnrolment() {
	if !w.device || w.key.Status.Revision == 0 {
		return
	}
	earlier := IssuerName(w.key)
	w.edit(func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: map[string]string{"default": "other"}[earlier]}
	})
	if issuer := w.issuers[earlier]; issuer != nil {
		issuer.found = false
	}
	delete(w.secrets, SecretName(w.key))
}

func (w *simulation) changeNamespace() {
	w.namespace.Labels = pick(w, map[string]string{"team": "shop"}, map[string]string{"team": "bank"})
	w.namespace.Terminating = w.random.IntN(20) == 0
}

func (w *simulation) secretsText() (text string) {
	for _, name := range slices.Sorted(maps.Keys(w.secrets)) {
		s := w.secrets[name]
		jti := "-"
		if token := w.tokens[s.token]; token != nil {
			jti = token.JTI
		}
		text += fmt.Sprintf("%s(%s %d immutable=%v) ", name, jti, s.stateFor(w.key), s.immutable)
	}
	return text
}
