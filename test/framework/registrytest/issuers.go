package registrytest

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

var (
	schedule = keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: 24 * time.Hour, Prepublish: time.Hour, RefreshKeep: 24 * time.Hour, AccessKeep: time.Hour}
	start    = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
)

// rings returns signing keys that are a step later than the given ones; nil for the first ones.
func (e *env) rings(before *keyring.Rings, at time.Time) *keyring.Rings {
	e.Helper()
	next, err := keyring.Advance(before, schedule, nil, nil, at, keyring.Generate)
	if err != nil {
		e.Fatal(err)
	}
	return next
}

// issuer creates an issuer with a URL of its own and the given signing keys.
func (e *env) issuer(name string, rings *keyring.Rings) *v1alpha1.JWTIssuer {
	issuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: e.Prefix + name},
		Spec:       v1alpha1.JWTIssuerSpec{URL: "https://" + e.Prefix + name + ".example.com/a"},
	}
	e.PutIssuer(issuer, rings)
	return issuer
}

func kidOf(rings *keyring.Rings) string { return rings.Keys()[0].ID }

func place(e *env) {
	rings := e.rings(nil, start)
	issuer := e.issuer("", rings)
	host := e.Prefix + ".example.com"
	e.waits("the issuer has no place", func() bool {
		at := e.At("/a", host)
		found := at.Named(issuer.Spec.URL)
		return found != nil && found.Rings != nil
	})
	at := e.At("/a", host)
	if found := at.Owner(); found == nil || found.Name != issuer.Name || found.Rings.Keys()[0].ID != kidOf(rings) {
		e.Errorf("it is owned by %+v", found)
	}
	if at := e.At("/"+e.Prefix, host); len(at.Issuers()) != 0 {
		e.Error("another path has an issuer")
	}
	if got := e.ServiceOf(issuer.Spec.URL, kidOf(rings)); got != registry.Served {
		e.Errorf("its service is %d", got)
	}
	if got := e.ServiceOf("https://nowhere."+e.Prefix+".example.com", "kid"); got != registry.Unknown {
		e.Errorf("an unknown one's is %d", got)
	}
}

func issuerLive(e *env) {
	e.Hold(true)
	defer e.Hold(false)
	issuer := e.issuer("", e.rings(nil, start))
	if got := e.ServiceOf(issuer.Spec.URL, "kid"); got != registry.Unknown {
		e.Errorf("the view is not held: %d", got)
	}
	e.is(e.IssuersNow(e.Context(), issuer.Spec.URL, "kid"), nil, "IssuersNow")
	at := e.At("/a", e.Prefix+".example.com")
	if found := at.Named(issuer.Spec.URL); found == nil {
		e.Error("it is not found")
	}
}

func ringsLive(e *env) {
	first := e.rings(nil, start)
	issuer := e.issuer("", first)
	find := func() *registry.Issuer {
		at := e.At("/a", e.Prefix+".example.com")
		return at.Named(issuer.Spec.URL)
	}
	e.waits("the issuer has no signing keys", func() bool { return find() != nil && find().Rings != nil })
	e.Hold(true)
	defer e.Hold(false)
	known := find()
	next := e.rings(first, start.Add(25*time.Hour))
	e.PutRings(issuer.Name, next)
	kid := next.Keys()[len(next.Keys())-1].ID
	if _, has := known.Rings.Lookup(keyring.Refresh, kid); has {
		e.Fatal("the view is not held")
	}
	again, err := e.IssuerReread(e.Context(), known, kid)
	e.is(err, nil, "IssuerReread")
	_, refresh := again.Rings.Lookup(keyring.Refresh, kid)
	if _, access := again.Rings.Lookup(keyring.Access, kid); !refresh && !access {
		e.Error("the signing key is not found")
	}
	_, refresh = known.Rings.Lookup(keyring.Refresh, kid)
	if _, access := known.Rings.Lookup(keyring.Access, kid); refresh || access {
		e.Error("the issuer that was read before is changed")
	}
}
