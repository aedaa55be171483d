package outlook

import (
	"slices"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestSettings checks what is said about a key's settings: the values in force, and nothing of those that are not set.
func TestSettings(t *testing.T) {
	span := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	for name, c := range map[string]struct {
		spec      v1alpha1.JWTRefreshKeySpec
		effective *v1alpha1.EffectiveValues
		want      []Fact
	}{
		"all defaults, before the operator has seen it": {
			spec: v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"},
			want: []Fact{
				{"Audience", "https://orders.example.com"}, {"Issuer", "default"}, {"Subject", "refreshkey:shop:orders"},
				{"Rotation", "Scheduled"}, {"Secret", "orders"},
			},
		},
		"all set": {
			spec: v1alpha1.JWTRefreshKeySpec{
				Audience: "https://orders.example.com", Subject: "till-17", Scopes: []string{"orders:read", "orders:write"},
				IssuerRef: &v1alpha1.IssuerReference{Name: "partners"}, Rotation: &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever},
				Binding: &v1alpha1.BindingSpec{ServiceAccountName: "till", JWKThumbprint: "thumbprint"},
				Secret:  &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone},
			},
			effective: &v1alpha1.EffectiveValues{Lifetime: span(720 * time.Hour), RenewBefore: span(240 * time.Hour), AccessTokenLifetime: span(15 * time.Minute)},
			want: []Fact{
				{"Audience", "https://orders.example.com"}, {"Issuer", "partners"}, {"Subject", "till-17"}, {"Scopes", "orders:read orders:write"},
				{"Rotation", "Never, token lifetime 720h, renewed 240h before expiry, access token lifetime 15m"},
				{"Bound to", "ServiceAccount till and DPoP key thumbprint"}, {"Secret", "none"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"}, Spec: c.spec}
			key.Status.Effective = c.effective
			if got := Settings(key); !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

// TestRevisions checks the states of the tokens on record, and their order.
func TestRevisions(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	hour := metav1.NewTime(now.Add(time.Hour))
	past := metav1.NewTime(now.Add(-time.Hour))
	line := func(ends metav1.Time, change func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
		key := &v1alpha1.JWTRefreshKey{}
		key.Status.Revision, key.Status.JTI, key.Status.CreatedAt, key.Status.ExpiresAt = 3, "jti-3", &past, &ends
		key.Status.Previous = []v1alpha1.SupersededToken{{Revision: 1, JTI: "jti-1", ExpiresAt: hour}, {Revision: 2, JTI: "jti-2", ExpiresAt: hour}}
		change(key)
		return key
	}
	same := func(*v1alpha1.JWTRefreshKey) {}
	for name, c := range map[string]struct {
		key  *v1alpha1.JWTRefreshKey
		want []State
	}{
		"no line":                      {&v1alpha1.JWTRefreshKey{}, nil},
		"current, and two superseded":  {line(hour, same), []State{Current, Superseded, Superseded}},
		"expired":                      {line(past, same), []State{Ended, Superseded, Superseded}},
		"revoked by its spec":          {line(hour, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }), []State{Revoked, Superseded, Superseded}},
		"revoked, and then it expired": {line(past, func(k *v1alpha1.JWTRefreshKey) { k.Status.RevokedAt = &past }), []State{Revoked, Superseded, Superseded}},
	} {
		t.Run(name, func(t *testing.T) {
			revisions := Revisions(c.key, now)
			if len(revisions) != len(c.want) {
				t.Fatalf("got %d revisions, want %d", len(revisions), len(c.want))
			}
			for i, one := range revisions {
				if one.State != c.want[i] || one.Number != int64(3-i) || one.JTI == "" || one.ExpiresAt == nil {
					t.Errorf("place %d: %+v, want revision %d, %s", i, one, 3-i, c.want[i])
				}
			}
		})
	}
}

// TestTones checks how each kind of status looks.
func TestTones(t *testing.T) {
	for status, want := range map[string]Tone{
		v1alpha1.ReasonIssued: Good, "Pending": Wait, v1alpha1.ReasonIssuing: Wait, v1alpha1.ReasonOverlapPending: Wait,
		v1alpha1.ReasonWaitingForSecret: Wait, v1alpha1.ReasonRevoked: Off, v1alpha1.ReasonExpired: Off, "Deleting": Off,
		v1alpha1.ReasonPolicyDenied: Bad, v1alpha1.ReasonSecretConflict: Bad, "AReasonOfALaterVersion": Bad,
	} {
		if got := ToneOf(status); got != want {
			t.Errorf("%s is %s, want %s", status, got, want)
		}
	}
}

// TestSortEvents checks that the last occurrence of an event counts, in each of the forms that clients write.
func TestSortEvents(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 1, 12, minute, 0, 0, time.UTC) }
	events := []eventsv1.Event{
		{Note: "series", EventTime: metav1.NewMicroTime(at(0)), Series: &eventsv1.EventSeries{LastObservedTime: metav1.NewMicroTime(at(3))}},
		{Note: "once", EventTime: metav1.NewMicroTime(at(2))},
		{Note: "core", ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(at(1))}},
	}
	SortEvents(events)
	var notes []string
	for i := range events {
		notes = append(notes, events[i].Note)
	}
	if want := []string{"core", "once", "series"}; !slices.Equal(notes, want) {
		t.Errorf("got %v, want %v", notes, want)
	}
}
