package commands

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// several adds keys to the harness: one that expires, one that is revoked, a session, and one in another namespace.
func several(w *harness) {
	type key = v1alpha1.JWTRefreshKey
	named := func(namespace, name string, change func(*key)) {
		w.objects = append(w.objects, issued(func(k *key) {
			k.Namespace, k.Name, k.Status.Previous = namespace, name, nil
			change(k)
		}))
	}
	named("shop", "expires", func(k *key) {
		k.Status.ExpiresAt, k.Status.RenewalTime, k.Status.LastUsed = at(2*day), at(-day), at(-time.Hour)
		k.Labels = map[string]string{"team": "a"}
		k.Spec.Audience = "https://a-long-name-of-a-service.orders.example.com/path"
	})
	named("shop", "ended", func(k *key) {
		k.Status.ExpiresAt = at(-day)
		ready(k, metav1.ConditionFalse, v1alpha1.ReasonExpired)
	})
	named("shop", "denied", func(k *key) {
		k.Status = v1alpha1.JWTRefreshKeyStatus{}
		stalled(k, v1alpha1.ReasonPolicyDenied)
	})
	named("shop", "fresh", func(k *key) {
		k.CreationTimestamp, k.Status = *at(-time.Second), v1alpha1.JWTRefreshKeyStatus{}
	})
	named("shop", "revoked", revoked(v1alpha1.RevokedRequested))
	named("billing", "session-1", func(k *key) {
		k.Status.Session = &v1alpha1.SessionStatus{Subject: "system:serviceaccount:billing:a-robot-with-a-long-name", Method: "ServiceAccount", StartedAt: *at(-2 * day)}
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		k.Status.DeviceInfo = &v1alpha1.SeenDevice{ID: "robot"}
	})
	named("billing", "signin-2", func(k *key) {
		k.Status.Session = &v1alpha1.SessionStatus{Subject: "jane", Method: "Password", Client: "the-shop-of-the-company-and-its-branches", StartedAt: *at(-day)}
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	})
}

// watched makes a watch send the revocation of a key and the end of another.
func watched(w *harness) {
	gone := w.key.DeepCopy()
	gone.Name = "expires-later"
	ended := w.key.DeepCopy()
	revoked(v1alpha1.RevokedRequested)(ended)
	ended.ResourceVersion, gone.ResourceVersion = "2", "3"
	for _, one := range []*v1alpha1.JWTRefreshKey{ended, gone} {
		one.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(keyKind))
	}
	w.prepare = func(f *fakeCluster) {
		f.events = []watch.Event{{Type: watch.Modified, Object: ended}, {Type: watch.Deleted, Object: gone}}
	}
}

func TestList(t *testing.T) {
	play(t, "list", []row{
		{name: "a namespace", with: several, args: "list"},
		{name: "all namespaces", with: several, args: "ls -A"},
		{name: "wide", with: several, args: "list -A -o wide"},
		{name: "sessions", with: several, args: "list -A --sessions"},
		{name: "sessions, wide", with: several, args: "list -A --sessions -o wide"},
		{name: "that expire, the soonest first", with: several, args: "list --expiring-within 30d"},
		{name: "that are not used, the oldest first", with: several, args: "list --unused-for 1d"},
		{name: "by status, without a header", with: several, args: "list --status issued,Revoked --no-headers"},
		{name: "by label", with: several, args: "list -l team=a -o name"},
		{name: "none", with: several, args: "list -l team=b"},
		{name: "none anywhere", with: several, args: "list -A -l team=b"},
		{name: "another namespace", args: "list -n nowhere"},
		{name: "in JSON", args: "list -o json", with: changing(func(k *v1alpha1.JWTRefreshKey) { k.Status = v1alpha1.JWTRefreshKeyStatus{} })},
		{name: "a template", with: several, args: "list -o jsonpath={.items[*].metadata.name}"},
		{name: "an unknown status", args: "list --status Issued,Ready", code: cli.ExitUsage},
		{name: "changes, until the watch ends", with: all(several, watched), args: "list --watch", code: cli.ExitError},
		{name: "changes of a status, in names", with: all(several, watched), args: "list -w --status revoked -o name", code: cli.ExitError},
		{name: "a wrong selector", args: "list -l a,,b", code: cli.ExitUsage},
		{name: "a selector without parentheses", args: "list -l a%20in%20b", code: cli.ExitUsage},
		{name: "a wrong duration", args: "list --unused-for forever", code: cli.ExitUsage},
		{name: "an unknown flag", args: "list --nonsense", code: cli.ExitUsage},
		{name: "a wrong template", args: "list -o jsonpath={", code: cli.ExitUsage},
		{name: "an argument", args: "list orders", code: cli.ExitUsage},
		{name: "no rights", args: "list --as guest", code: cli.ExitError},
	})
}
