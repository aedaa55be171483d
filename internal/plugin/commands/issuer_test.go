package commands

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func TestIssuerKeys(t *testing.T) {
	retiring := func(w *harness) {
		w.issuer.Status.Keys = append(w.issuer.Status.Keys, v1alpha1.SigningKeyStatus{
			KID: "old", Use: "refresh", Algorithm: v1alpha1.RS256, State: "Retiring", CreatedAt: *at(-90 * day), ActiveAt: at(-80 * day), RetireAt: at(3 * day),
		})
	}
	play(t, "issuer-keys", []row{
		{name: "as text", args: "issuer keys", with: retiring},
		{name: "in JSON", args: "issuer keys default -o json", with: func(w *harness) { w.issuer.Status.Keys = w.issuer.Status.Keys[:1] }},
		{name: "in YAML", args: "issuer keys -o yaml", with: func(w *harness) { w.issuer.Status.Keys = w.issuer.Status.Keys[:1] }},
		{name: "their names", args: "issuer keys -o name", with: retiring},
		{name: "none", args: "issuer keys", with: func(w *harness) { w.issuer.Status.Keys = nil }},
		{name: "no such issuer", args: "issuer keys nothing", code: cli.ExitNotFound},
		{name: "an unknown format", args: "issuer keys -o wide", code: cli.ExitUsage},
		{name: "several, one of which does not exist", args: "issuer keys jwtissuer/default nothing", code: cli.ExitNotFound},
		{name: "no rights", args: "issuer keys --as guest", code: cli.ExitError},
	})
}

func TestIssuerRotate(t *testing.T) {
	// sign makes the next signing keys sign.
	sign := func(uses ...v1alpha1.KeyUse) func(*fakeCluster, client.Object) {
		return func(f *fakeCluster, object client.Object) {
			issuer, ok := object.(*v1alpha1.JWTIssuer)
			if !ok {
				return
			}
			f.change(issuer, func() {
				for i := range issuer.Status.Keys {
					key := &issuer.Status.Keys[i]
					next := map[v1alpha1.KeyState]v1alpha1.KeyState{"Active": "Retiring", "Pending": "Active"}
					if slices.Contains(uses, key.Use) {
						key.State = next[key.State]
					}
				}
			})
		}
	}
	play(t, "issuer-rotate", []row{
		{name: "requested", args: "issuer rotate", after: func(t *testing.T, w *harness) {
			wantAnnotation(t, w, v1alpha1.AnnotationRotateKeys, "2026-05-01T12:00:01Z")
		}},
		{name: "until the next keys sign", args: "issuer rotate default --wait", with: operated(sign("access", "refresh"))},
		{name: "the access ring waits", args: "issuer rotate --wait --timeout 1s", with: operated(sign("refresh")), code: cli.ExitTimedOut},
		{name: "the next key does not exist yet", args: "issuer rotate --wait --timeout 1s", with: func(w *harness) { w.issuer.Status.Keys = nil }, code: cli.ExitTimedOut},
		{name: "no such issuer", args: "issuer rotate nothing", code: cli.ExitNotFound},
		{name: "several, one of which does not exist", args: "issuer rotate nothing jwtiss/default", code: cli.ExitNotFound},
		{name: "no rights", args: "issuer rotate --as guest", code: cli.ExitError},
	})
}

func wantAnnotation(t *testing.T, w *harness, name, want string) {
	t.Helper()
	issuer := &v1alpha1.JWTIssuer{}
	if err := w.cluster.Get(t.Context(), client.ObjectKeyFromObject(w.issuer), issuer); err != nil {
		t.Fatal(err)
	}
	if got := issuer.Annotations[name]; got != want {
		t.Errorf("the annotation %s is %q, want %q", name, got, want)
	}
}

func TestIssuerWithdraw(t *testing.T) {
	withdrawn := func(want string) func(*testing.T, *harness) {
		return func(t *testing.T, w *harness) {
			t.Helper()
			wantAnnotation(t, w, v1alpha1.AnnotationWithdrawKey, want)
		}
	}
	// remove removes the withdrawn keys, and with reissue also what they signed.
	remove := func(reissue bool) func(*fakeCluster, client.Object) {
		return func(f *fakeCluster, object client.Object) {
			issuer, ok := object.(*v1alpha1.JWTIssuer)
			if !ok {
				return
			}
			f.change(issuer, func() {
				issuer.Status.Keys = slices.DeleteFunc(issuer.Status.Keys, func(key v1alpha1.SigningKeyStatus) bool {
					return strings.Contains(issuer.Annotations[v1alpha1.AnnotationWithdrawKey], key.KID)
				})
			})
			if key := issued(); reissue {
				f.change(key, func() { key.Status.KeyID = "other" })
			}
		}
	}
	// access makes the next access key as old as made says, and adds a seal key.
	access := func(made time.Duration) func(*harness) {
		return func(w *harness) {
			keys := slices.DeleteFunc(w.issuer.Status.Keys, func(key v1alpha1.SigningKeyStatus) bool { return key.Use == "access" && key.State == "Pending" })
			keys = append(keys,
				v1alpha1.SigningKeyStatus{KID: "next", Use: "access", Algorithm: v1alpha1.ES256, State: "Pending", CreatedAt: *at(made)},
				v1alpha1.SigningKeyStatus{KID: "seal", Use: "seal", Algorithm: v1alpha1.EdDSA, State: "Active", CreatedAt: *at(-day)})
			w.issuer.Status.Keys = keys
		}
	}
	answer := func(text string) func(*harness) { return func(w *harness) { w.stdin = text } }
	earlier := func(w *harness) { w.issuer.Annotations = map[string]string{v1alpha1.AnnotationWithdrawKey: "one, two"} }
	play(t, "issuer-withdraw", []row{
		{name: "confirmed", args: "issuer withdraw --kid refresh", with: answer("yes\n"), after: withdrawn("refresh")},
		{name: "confirmed, without a line end", args: "issuer withdraw --kid refresh", with: answer("yes"), after: withdrawn("refresh")},
		{name: "an access key, the next one is young", args: "issuer withdraw jwtissuer/default --kid access", with: all(access(-time.Minute), answer("yes\n")), after: withdrawn("access")},
		{name: "an access key, the next one is published", args: "issuer withdraw --kid access", with: all(access(-day), answer("yes\n")), after: withdrawn("access")},
		{name: "an access key, unasked", args: "issuer withdraw --kid access -y", with: access(-time.Minute), after: withdrawn("access")},
		{name: "a seal key", args: "issuer withdraw --kid seal", with: all(access(-day), answer("no\n")), code: cli.ExitError, after: withdrawn("")},
		{name: "declined", args: "issuer withdraw --kid refresh", with: answer("no\n"), code: cli.ExitError, after: withdrawn("")},
		{name: "no answer", args: "issuer withdraw --kid refresh", code: cli.ExitError, after: withdrawn("")},
		{name: "after others", args: "issuer withdraw --kid refresh,access --yes", with: earlier, after: withdrawn("one,two,refresh,access")},
		{name: "once more", args: "issuer withdraw --kid two -y", with: earlier, after: withdrawn("one,two")},
		{name: "by its earlier name", args: "issuer revoke default --kid refresh --yes", after: withdrawn("refresh")},
		{name: "until all is issued again", args: "issuer withdraw --kid refresh --yes --wait", with: operated(remove(true))},
		{name: "a key waits", args: "issuer withdraw --kid refresh --yes --wait --timeout 1s", with: operated(remove(false)), code: cli.ExitTimedOut},
		{name: "without a manager", args: "issuer withdraw --kid refresh --yes --wait --timeout 1s", code: cli.ExitTimedOut},
		{name: "no kid", args: "issuer withdraw", code: cli.ExitUsage},
		{name: "an unknown kid", args: "issuer withdraw --kid nothing --yes", code: cli.ExitNotFound},
		{name: "no such issuer", args: "issuer withdraw nothing --kid refresh", code: cli.ExitNotFound},
		{name: "no rights", args: "issuer withdraw --kid refresh --yes --as guest", code: cli.ExitError},
	})
}
