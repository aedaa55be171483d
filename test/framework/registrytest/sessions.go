package registrytest

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// subject is a value of LabelSessionOf.
var subject = strings.Repeat("0123456789abcdef", 2)

// session returns the refresh key of a session that is not created yet.
func (e *env) session(name string) *v1alpha1.JWTRefreshKey {
	return &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, Name: name,
			Labels: map[string]string{v1alpha1.LabelSession: string(v1alpha1.LoginPassword), v1alpha1.LabelSessionOf: subject},
		},
		Spec: v1alpha1.JWTRefreshKeySpec{
			Audience: "https://orders.example.com", Subject: "jane", IssuerRef: &v1alpha1.IssuerReference{Name: e.Prefix},
			Rotation: &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}, Secret: &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone},
		},
	}
}

// created creates a session.
func (e *env) created(name string) *v1alpha1.JWTRefreshKey {
	e.Helper()
	key := e.session(name)
	if err := e.CreateSession(e.Context(), key); err != nil {
		e.Fatal(err)
	}
	return key
}

// begun creates a session and begins it.
func (e *env) begun() *v1alpha1.JWTRefreshKey {
	e.Helper()
	key := e.created("session-a")
	key.Status.TokenLine = lineOf(1)
	key.Status.Session = &v1alpha1.SessionStatus{Subject: "jane", Method: v1alpha1.LoginPassword, StartedAt: metav1.NewTime(time.Unix(1e9, 0))}
	if err := e.BeginSession(e.Context(), key); err != nil {
		e.Fatal(err)
	}
	return key
}

func sessionName(e *env) {
	first := e.created("session-a")
	if first.UID == "" || first.ResourceVersion == "" {
		e.Errorf("created with the UID %q at version %q", first.UID, first.ResourceVersion)
	}
	e.is(e.CreateSession(e.Context(), e.session("session-a")), registry.ErrLost, "a name that is taken")
	if got := e.Stored(e.name("session-a")); got.UID != first.UID || got.Status.Revision != 0 {
		e.Error("the first one is replaced")
	}
}

func sessionBegins(e *env) {
	if n := e.Sessions(e.Prefix); n != 0 {
		e.Fatalf("there are %d sessions", n)
	}
	key := e.begun()
	stored := e.Stored(e.name("session-a"))
	if stored.Status.Session == nil || stored.Status.Session.Subject != "jane" || stored.Status.JTI != "jti-1" {
		e.Errorf("stored is %+v", stored.Status)
	}
	if stored.ResourceVersion != key.ResourceVersion {
		e.Errorf("stored at %s, and known at %s", stored.ResourceVersion, key.ResourceVersion)
	}
	if got := e.Key(e.name("session-a")); got == nil || got.Status.JTI != "jti-1" {
		e.Error("the replica that began it does not know it")
	}
	e.waits("the session is not counted", func() bool { return e.Sessions(e.Prefix) == 1 })
	if n := e.Sessions(e.Prefix + "-other"); n != 0 {
		e.Errorf("another issuer has %d", n)
	}
}

func sessionEndedBeforeItBegins(e *env) {
	key := e.created("session-a")
	e.Delete(e.name("session-a"))
	key.Status.TokenLine = lineOf(1)
	e.is(e.BeginSession(e.Context(), key), registry.ErrLost, "one that was deleted")
	if e.Stored(e.name("session-a")) != nil {
		e.Error("it is created again")
	}
}

func sessionNow(e *env) {
	read := func() *v1alpha1.JWTRefreshKey {
		e.Helper()
		key, err := e.SessionNow(e.Context(), e.name("session-a"))
		if err != nil {
			e.Fatal(err)
		}
		return key
	}
	if read() != nil {
		e.Fatal("a session that does not exist is found")
	}
	key := e.session("session-a")
	key.Annotations = map[string]string{v1alpha1.AnnotationDeviceApproval: "sealed"}
	if err := e.CreateSession(e.Context(), key); err != nil {
		e.Fatal(err)
	}
	got := read()
	if got.Annotations[v1alpha1.AnnotationDeviceApproval] != "sealed" || got.Labels[v1alpha1.LabelSessionOf] != subject || got.UID != key.UID {
		e.Errorf("read is %+v", got.ObjectMeta)
	}
	if known := e.Key(e.name("session-a")); known == nil || len(known.Annotations) != 0 {
		e.Errorf("the view has %+v", known)
	}
	got.Status.TokenLine = lineOf(1)
	e.is(e.BeginSession(e.Context(), got), nil, "a begin of what was read")
	if got.Spec.Audience = "changed"; e.now("session-a").Spec.Audience == "changed" {
		e.Error("the result is the one of the view")
	}
	e.Away(true)
	_, err := e.SessionNow(e.Context(), e.name("session-a"))
	e.Away(false)
	e.is(err, upstream.ErrUnavailable, "a read while the API server is away")
}

func sessionsOfSubject(e *env) {
	e.begun()
	e.created("session-b")
	e.key("orders")
	all, err := e.SessionsOf(e.Context(), e.Namespace, subject)
	if err != nil || len(all) != 2 {
		e.Fatalf("%d sessions, %v", len(all), err)
	}
	for _, one := range all {
		if one.CreationTimestamp.IsZero() || one.Labels[v1alpha1.LabelSessionOf] != subject {
			e.Errorf("%s lacks its creation or its label", one.Name)
		}
	}
	for _, other := range [][2]string{{e.Namespace, "another"}, {"default", subject}} {
		if all, err := e.SessionsOf(e.Context(), other[0], other[1]); err != nil || len(all) != 0 {
			e.Errorf("%d sessions of %s, %v", len(all), other, err)
		}
	}
}

func sessionsKnown(e *env) {
	known := func(namespace, issuer, subject string) []*v1alpha1.JWTRefreshKey {
		e.Helper()
		all, err := e.SessionsKnown(namespace, issuer, subject)
		if err != nil {
			e.Fatal(err)
		}
		return all
	}
	begun := e.begun()
	e.created("session-b")
	e.key("orders")
	e.sees("session-b", func(key *v1alpha1.JWTRefreshKey) bool { return key != nil })
	all := known(e.Namespace, e.Prefix, "jane")
	if len(all) != 1 || all[0].UID != begun.UID {
		e.Fatalf("%d sessions are known", len(all))
	}
	if got := all[0]; got.Spec.Audience != begun.Spec.Audience || got.Status.ExpiresAt != begun.Status.ExpiresAt || got.Status.JTI != "jti-1" {
		e.Errorf("known is %+v", got)
	}
	for _, other := range [][3]string{{"default", e.Prefix, "jane"}, {e.Namespace, e.Prefix + "-other", "jane"}, {e.Namespace, e.Prefix, "jan"}} {
		if all := known(other[0], other[1], other[2]); len(all) != 0 {
			e.Errorf("%d sessions of %s", len(all), other)
		}
	}
	e.Edit(e.name("session-a"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Rotation.Mode = v1alpha1.RotationScheduled })
	e.waits("the view lacks the audience of a session that is not one-time", func() bool {
		all := known(e.Namespace, e.Prefix, "jane")
		return len(all) == 1 && !lifecycle.OneTime(all[0]) && all[0].Spec.Audience == begun.Spec.Audience
	})
	e.Delete(e.name("session-a"))
	e.waits("a deleted session is known", func() bool { return len(known(e.Namespace, e.Prefix, "jane")) == 0 })
}

func sessionChanged(e *env) {
	key := e.begun()
	e.Edit(e.name("session-a"), func(key *v1alpha1.JWTRefreshKey) { key.Status.LastUsedRevision = 1 })
	e.is(e.EndSession(e.Context(), key), registry.ErrLost, "one that was used since")
	if e.Stored(e.name("session-a")) == nil {
		e.Fatal("it is ended")
	}
	all, err := e.SessionsOf(e.Context(), e.Namespace, subject)
	if err != nil || len(all) != 1 {
		e.Fatalf("%d sessions, %v", len(all), err)
	}
	e.is(e.EndSession(e.Context(), &all[0]), nil, "as it is now")
	if e.Stored(e.name("session-a")) != nil {
		e.Error("it goes on")
	}
	e.is(e.EndSession(e.Context(), &all[0]), nil, "one that is ended")
}

func sessionOfAnother(e *env) {
	key := e.created("session-a")
	e.Delete(e.name("session-a"))
	e.created("session-a")
	remains := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: key.UID}}
	e.is(e.EndSession(e.Context(), remains), registry.ErrLost, "one whose name another has")
	if e.Stored(e.name("session-a")) == nil {
		e.Error("the other is ended")
	}
}

func account(e *env) {
	uid := func() string {
		uid, err := e.ServiceAccountUID(e.Context(), e.name("till"))
		if err != nil {
			e.Fatal(err)
		}
		return uid
	}
	if got := uid(); got != "" {
		e.Errorf("before it exists: %q", got)
	}
	first := e.PutAccount(e.name("till"))
	if got := uid(); got != string(first) {
		e.Errorf("%q, want %q", got, first)
	}
	e.DeleteAccount(e.name("till"))
	if got := uid(); got != "" {
		e.Errorf("deleted: %q", got)
	}
	if again := e.PutAccount(e.name("till")); again == first || uid() != string(again) {
		e.Errorf("one of the same name has %q, and the first had %q", again, first)
	}
}

func namespace(e *env) {
	e.waits("the namespace is not known", func() bool { _, known := e.NamespaceLabels(e.Namespace); return known })
	if labels, known := e.NamespaceLabels(e.Namespace + "-none"); known || labels != nil {
		e.Error("a namespace that does not exist is known")
	}
}
