package registrytest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/internal/usage"
)

func notFound(e *env) {
	if key := e.Key(e.name("none")); key != nil {
		e.Error("the view has it")
	}
	key, err := e.KeyNow(e.Context(), e.name("none"))
	if key != nil || err != nil {
		e.Errorf("KeyNow: %v, %v", key, err)
	}
	key, err = e.KeyLive(e.Context(), e.name("none"), "jti")
	if key != nil || err != nil {
		e.Errorf("KeyLive: %v, %v", key, err)
	}
}

func away(e *env) {
	key := e.key("orders")
	known := e.now("orders")
	e.Away(true)
	defer e.Away(false)
	ctx := e.Context()
	_, err := e.KeyNow(ctx, e.name("orders"))
	e.is(err, upstream.ErrUnavailable, "KeyNow")
	_, err = e.KeyLive(ctx, e.name("orders"), "jti")
	e.is(err, upstream.ErrUnavailable, "KeyLive")
	next := lineOf(2)
	e.is(e.Advance(ctx, known, &next, &usage.Use{At: time.Unix(1e9, 0)}), upstream.ErrUnavailable, "Advance")
	always := func(*v1alpha1.JWTRefreshKey) bool { return true }
	e.is(e.Revoke(ctx, e.name("orders"), v1alpha1.RevokedLogout, always), upstream.ErrUnavailable, "Revoke")
	_, err = e.SessionsOf(ctx, e.Namespace, "subject")
	e.is(err, upstream.ErrUnavailable, "SessionsOf")
	e.is(e.CreateSession(ctx, e.session("till")), upstream.ErrUnavailable, "CreateSession")
	e.is(e.BeginSession(ctx, known.DeepCopy()), upstream.ErrUnavailable, "BeginSession")
	e.is(e.EndSession(ctx, key), upstream.ErrUnavailable, "EndSession")
	_, err = e.ServiceAccountUID(ctx, e.name("till"))
	e.is(err, upstream.ErrUnavailable, "ServiceAccountUID")
	e.is(e.IssuersNow(ctx, "https://nowhere.example.com", "kid"), upstream.ErrUnavailable, "IssuersNow")
	_, err = e.IssuerReread(ctx, &registry.Issuer{Name: e.Prefix, URL: "https://nowhere.example.com"}, "kid")
	e.is(err, upstream.ErrUnavailable, "IssuerReread")
	if e.Key(e.name("orders")) == nil {
		e.Error("the view lost the key")
	}
}

func viewFollows(e *env) {
	key := e.key("orders")
	if err := e.Fresh(); err != nil {
		e.Error(err)
	}
	if age := e.KeysProven(e.Namespace); age > time.Minute {
		e.Errorf("the view was proven %s ago", age)
	}
	if got := e.Key(e.name("orders")); got.UID != key.UID || got.Status.JTI != "jti-1" {
		e.Errorf("the view has %s of %s", got.Status.JTI, got.UID)
	}
	e.Edit(e.name("orders"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
	e.sees("orders", func(key *v1alpha1.JWTRefreshKey) bool { return key.Spec.Revoked })
	e.Delete(e.name("orders"))
	e.sees("orders", func(key *v1alpha1.JWTRefreshKey) bool { return key == nil })
	if key := e.now("orders"); key != nil {
		e.Error("the deleted key is read")
	}
}

func liveRead(e *env) {
	e.key("orders")
	e.Hold(true)
	defer e.Hold(false)
	e.Edit(e.name("orders"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
	if e.Key(e.name("orders")).Spec.Revoked {
		e.Error("the view is not held")
	}
	if !e.now("orders").Spec.Revoked {
		e.Error("KeyNow reads the view")
	}
	if !e.Key(e.name("orders")).Spec.Revoked {
		e.Error("what was read is not in the view")
	}
}

func rememberedRead(e *env) {
	e.key("orders")
	e.Hold(true)
	defer e.Hold(false)
	read := func(jti string) *v1alpha1.JWTRefreshKey {
		key, err := e.KeyLive(e.Context(), e.name("orders"), jti)
		if err != nil {
			e.Fatal(err)
		}
		return key
	}
	if read("one").Spec.Revoked {
		e.Error("it is revoked")
	}
	e.Edit(e.name("orders"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
	if !read("two").Spec.Revoked {
		e.Error("the read for one token answers for another")
	}
	if !e.now("orders").Spec.Revoked {
		e.Error("KeyNow answers from memory")
	}
}

func createdAgain(e *env) {
	first := e.key("orders")
	e.Delete(e.name("orders"))
	e.sees("orders", func(key *v1alpha1.JWTRefreshKey) bool { return key == nil })
	e.key("orders")
	if again := e.now("orders"); again.UID == first.UID {
		e.Errorf("both have the UID %s", again.UID)
	}
}

func advance(e *env) {
	e.key("device", oneTime)
	before := e.now("device")
	use := &usage.Use{Key: e.name("device"), UID: before.UID, At: time.Unix(1e9, 0), Revision: 1, Seen: v1alpha1.SeenDevice{ID: "phone"}}
	next := lineOf(2)
	e.is(e.Advance(e.Context(), before, &next, use), nil, "the first")
	if got := e.Key(e.name("device")); got.Status.Revision != 2 {
		e.Errorf("the view of the writer has revision %d", got.Status.Revision)
	}
	stored := e.Stored(e.name("device"))
	status := &stored.Status
	if status.Revision != 2 || status.JTI != "jti-2" || status.LastUsedRevision != 1 || !status.LastUsed.Time.Equal(use.At) || status.DeviceInfo.ID != "phone" {
		e.Errorf("stored is %+v", status)
	}
	if before.Status.Revision != 1 {
		e.Error("the key that was read is changed")
	}
	other := lineOf(3)
	e.is(e.Advance(e.Context(), before, &other, use), registry.ErrLost, "on what was read before")
	if got := e.Stored(e.name("device")); got.ResourceVersion != stored.ResourceVersion {
		e.Error("the lost advance is stored")
	}
	e.is(e.Advance(e.Context(), e.now("device"), &other, use), nil, "on what is read now")
}

func advanceAtOnce(e *env) {
	const holders = 8
	e.key("device", oneTime)
	before := e.now("device")
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for range holders {
		all.Go(func() {
			next := lineOf(2)
			if err := e.Advance(e.Context(), before, &next, &usage.Use{At: time.Unix(1e9, 0), Revision: 1}); err != nil {
				e.is(err, registry.ErrLost, "a loser")
				lost.Add(1)
				return
			}
			won.Add(1)
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != holders-1 {
		e.Errorf("%d won and %d lost", won.Load(), lost.Load())
	}
}

func advanceOfDeleted(e *env) {
	e.key("device", oneTime)
	before, next := e.now("device"), lineOf(2)
	e.Delete(e.name("device"))
	e.is(e.Advance(e.Context(), before, &next, &usage.Use{At: time.Unix(1e9, 0)}), registry.ErrLost, "of a deleted key")
	e.key("device", oneTime)
	e.is(e.Advance(e.Context(), before, &next, &usage.Use{At: time.Unix(1e9, 0)}), registry.ErrLost, "of one that was created again")
	if got := e.Stored(e.name("device")); got.Status.Revision != 1 {
		e.Error("the later key is advanced")
	}
}

func revoke(e *env) {
	e.key("till", func(key *v1alpha1.JWTRefreshKey) {
		key.Annotations = map[string]string{v1alpha1.AnnotationRotate: "hygiene"}
		key.Status.TokenLine = lineOf(2)
		key.Status.Previous = []v1alpha1.SupersededToken{superseded(1)}
	})
	e.Hold(true)
	defer e.Hold(false)
	e.Edit(e.name("till"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Audience = "https://billing.example.com" })
	asked := 0
	err := e.Revoke(e.Context(), e.name("till"), v1alpha1.RevokedLogout, func(key *v1alpha1.JWTRefreshKey) bool {
		asked++
		return key.Spec.Audience == "https://billing.example.com"
	})
	e.is(err, nil, "the revocation")
	status := &e.Stored(e.name("till")).Status
	if status.RevokedAt == nil || status.RevocationReason != v1alpha1.RevokedLogout || len(status.Previous) > 0 || status.JTI != "jti-2" {
		e.Errorf("stored is %+v", status)
	}
	if status.LastHandledRotate == "" {
		e.Error("the earlier request for a rotation would restore it")
	}
	if e.Key(e.name("till")).Status.RevokedAt == nil {
		e.Error("the replica that revoked still accepts it")
	}
	err = e.Revoke(e.Context(), e.name("till"), v1alpha1.RevokedReuseDetected, func(*v1alpha1.JWTRefreshKey) bool { asked++; return true })
	e.is(err, nil, "the second revocation")
	if got := e.Stored(e.name("till")); asked != 1 || got.Status.RevocationReason != v1alpha1.RevokedLogout {
		e.Errorf("a revoked key is revoked for %s, decided %d times", got.Status.RevocationReason, asked)
	}
}

func revokeNotDue(e *env) {
	e.key("till")
	before := e.Stored(e.name("till"))
	err := e.Revoke(e.Context(), e.name("till"), v1alpha1.RevokedLogout, func(*v1alpha1.JWTRefreshKey) bool { return false })
	e.is(err, nil, "one that is not due")
	if got := e.Stored(e.name("till")); got.ResourceVersion != before.ResourceVersion {
		e.Error("it is written")
	}
	err = e.Revoke(e.Context(), e.name("none"), v1alpha1.RevokedLogout, func(*v1alpha1.JWTRefreshKey) bool { return true })
	e.is(err, nil, "of a key that does not exist")
}

func revokeAfterConflict(e *env) {
	e.key("till")
	asked := 0
	err := e.Revoke(e.Context(), e.name("till"), v1alpha1.RevokedLogout, func(key *v1alpha1.JWTRefreshKey) bool {
		if asked++; asked == 1 {
			e.Edit(e.name("till"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Audience = "https://billing.example.com" })
		}
		return true
	})
	e.is(err, nil, "with another writer")
	if got := e.Stored(e.name("till")); got.Status.RevokedAt == nil || got.Spec.Audience != "https://billing.example.com" || asked != 2 {
		e.Errorf("revoked at %v after %d decisions", got.Status.RevokedAt, asked)
	}
}

func useRecorded(e *env) {
	key := e.key("orders")
	at := time.Unix(1e9, 0)
	e.Used(&usage.Use{Key: e.name("orders"), UID: key.UID, At: at, Revision: 1, Seen: v1alpha1.SeenDevice{ID: "till-17", Browser: "Chrome"}})
	e.Report()
	status := &e.Stored(e.name("orders")).Status
	if status.LastUsed == nil || !status.LastUsed.Time.Equal(at) || status.LastUsedRevision != 1 || status.SupersededLastUsed != nil {
		e.Errorf("used at %v, revision %d; superseded used at %v", status.LastUsed, status.LastUsedRevision, status.SupersededLastUsed)
	}
	if status.DeviceInfo == nil || status.DeviceInfo.ID != "till-17" || status.DeviceInfo.Browser != "Chrome" {
		e.Errorf("used by %+v", status.DeviceInfo)
	}
	if status.JTI != "jti-1" {
		e.Error("the line is changed")
	}
}

func supersededUse(e *env) {
	key := e.key("orders", func(key *v1alpha1.JWTRefreshKey) {
		key.Status.TokenLine = lineOf(2)
		key.Status.Previous = []v1alpha1.SupersededToken{superseded(1)}
	})
	e.Used(&usage.Use{Key: e.name("orders"), UID: key.UID, At: time.Unix(1e9, 0), Revision: 1, Superseded: true})
	e.Report()
	if status := &e.Stored(e.name("orders")).Status; status.SupersededLastUsed == nil || status.LastUsed != nil || status.LastUsedRevision != 0 {
		e.Errorf("superseded used at %v, used at %v, revision %d", status.SupersededLastUsed, status.LastUsed, status.LastUsedRevision)
	}
}

func useOfAnother(e *env) {
	first := e.key("orders")
	e.Delete(e.name("orders"))
	e.sees("orders", func(key *v1alpha1.JWTRefreshKey) bool { return key == nil })
	e.key("orders")
	e.Used(&usage.Use{Key: e.name("orders"), UID: first.UID, At: time.Unix(1e9, 0), Revision: 1})
	e.Report()
	if status := &e.Stored(e.name("orders")).Status; status.LastUsed != nil {
		e.Error("the use of the deleted key is recorded")
	}
}
