package registry_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/usage"
	"github.com/refreshkeys/refreshkeys/test/framework/signing"
)

// rush is a Cluster that many callers ask at once, while its objects change.
type rush struct {
	*registry.Cluster
	admin
	t *testing.T
	// advanced counts the advances of each refresh key that succeeded, and sessions those that live.
	advanced [8]atomic.Int64
	sessions atomic.Int64
	names    atomic.Int64
}

const rushIssuer, rushURL = "tokens", "https://tokens.example.com/a"

// TestConcurrentRequests asks a Cluster at once for all that the token service asks it, while refresh keys, an issuer and
// its signing keys change and the watches hang. With the race detector it shows that no two requests share what one of them
// changes. No write that succeeds is lost, and the views end as what is stored.
func TestConcurrentRequests(t *testing.T) {
	const callers, requests = 8, 150
	cluster, server := newCluster(t, registry.Options{LiveReads: 1e6})
	awaitFresh(t, cluster)
	r := &rush{Cluster: cluster, admin: admin{server}, t: t}
	rings := signing.Next(t, nil, time.Unix(1e9, 0))
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: rushIssuer}, Spec: v1alpha1.JWTIssuerSpec{URL: rushURL}}
	r.PutIssuer(issuer, rings)
	for i := range r.advanced {
		r.Put(r.key(i))
	}
	eventually(t, "the views do not follow", func() bool {
		at := r.At("/a", "tokens.example.com")
		return r.Cluster.Key(r.name(len(r.advanced)-1)) != nil && at.Named(rushURL) != nil && at.Named(rushURL).Rings != nil
	})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range requests {
				r.ask(rand.IntN(len(r.advanced)))
			}
		})
	}
	all.Go(func() {
		for i := range requests {
			r.Hold(i%2 == 0)
			r.Edit(r.name(i%len(r.advanced)), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Audience = fmt.Sprintf("https://%d.example.com", i) })
			r.PutRings(rushIssuer, rings)
		}
		r.Hold(false)
	})
	all.Wait()
	r.ReportUses(t.Context())
	r.check()
}

func (r *rush) name(i int) types.NamespacedName {
	return types.NamespacedName{Namespace: shop, Name: fmt.Sprint("key-", i)}
}

func (r *rush) key(i int) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: r.name(i).Name}}
	if i%2 == 0 {
		key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	}
	key.Status.TokenLine = v1alpha1.TokenLine{Revision: 1, JTI: "jti-1"}
	return key
}

// ask makes one request of each kind.
func (r *rush) ask(i int) {
	ctx, name := r.t.Context(), r.name(i)
	if key := r.Cluster.Key(name); key == nil || key.DeepCopy().Status.Revision == 0 {
		r.t.Errorf("the view lost %s", name)
	}
	read, err := r.KeyLive(ctx, name, fmt.Sprint("jti-", i))
	r.expect("KeyLive", err)
	r.Used(&usage.Use{Key: name, UID: read.UID, At: time.Unix(2e9, 0), Revision: read.Status.Revision, Seen: v1alpha1.SeenDevice{ID: "phone"}})
	now, err := r.KeyNow(ctx, name)
	r.expect("KeyNow", err)
	line := v1alpha1.TokenLine{Revision: now.Status.Revision + 1, JTI: fmt.Sprint("jti-", now.Status.Revision+1)}
	switch err := r.Advance(ctx, now, &line, &usage.Use{At: time.Unix(2e9, 0), Revision: now.Status.Revision}); {
	case err == nil:
		r.advanced[i].Add(1)
	case !errors.Is(err, registry.ErrLost):
		r.t.Errorf("Advance: %v", err)
	}
	r.expect("Revoke", r.Revoke(ctx, name, v1alpha1.RevokedLogout, func(key *v1alpha1.JWTRefreshKey) bool { return key.Status.Revision == 0 }))
	r.expect("IssuersNow", r.IssuersNow(ctx, rushURL, "kid"))
	at := r.At("/a", "tokens.example.com")
	known := at.Named(rushURL)
	again, err := r.IssuerReread(ctx, known, "kid")
	if r.expect("IssuerReread", err); len(again.Rings.Keys()) == 0 || r.ServiceOf(rushURL, "kid") != registry.Served {
		r.t.Error("the issuer lost its signing keys")
	}
	_, _ = r.NamespaceLabels(shop)
	_, err = r.ServiceAccountUID(ctx, name)
	r.expect("ServiceAccountUID", err)
	r.session()
}

// session begins a session, and ends every second one.
func (r *rush) session() {
	ctx, n := r.t.Context(), r.names.Add(1)
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{
		Namespace: shop, Name: fmt.Sprint("session-", n), Labels: map[string]string{v1alpha1.LabelSessionOf: fmt.Sprint("subject-", n)},
	}}
	key.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: rushIssuer}
	r.expect("CreateSession", r.CreateSession(ctx, key))
	key.Status.Session = &v1alpha1.SessionStatus{Subject: "jane"}
	r.expect("BeginSession", r.BeginSession(ctx, key.DeepCopy()))
	if n%2 == 0 {
		key.ResourceVersion = ""
		r.expect("EndSession", r.EndSession(ctx, key))
		return
	}
	r.sessions.Add(1)
	if all, err := r.SessionsOf(ctx, shop, fmt.Sprint("subject-", n)); err != nil || len(all) != 1 {
		r.t.Errorf("SessionsOf: %d sessions, %v", len(all), err)
	}
}

func (r *rush) expect(what string, err error) {
	if err != nil {
		r.t.Errorf("%s: %v", what, err)
	}
}

// check compares what is stored with the requests that succeeded, and the views with what is stored.
func (r *rush) check() {
	for i := range r.advanced {
		kept := r.Stored(r.name(i))
		if want := 1 + r.advanced[i].Load(); kept.Status.Revision != want || want == 1 {
			r.t.Errorf("%s: revision %d is stored after %d advances", kept.Name, kept.Status.Revision, want-1)
		}
		if kept.Status.DeviceInfo == nil || kept.Status.RevokedAt != nil {
			r.t.Errorf("%s: used by %+v, and revoked at %v", kept.Name, kept.Status.DeviceInfo, kept.Status.RevokedAt)
		}
		eventually(r.t, "the view of "+kept.Name+" does not follow", func() bool {
			return r.Cluster.Key(r.name(i)).ResourceVersion == kept.ResourceVersion
		})
	}
	eventually(r.t, "the sessions are not counted", func() bool { return int64(r.Sessions(rushIssuer)) == r.sessions.Load() })
}
