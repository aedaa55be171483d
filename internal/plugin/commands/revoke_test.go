package commands

import (
	"net/url"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// refusing makes the token service refuse the tokens of a key from its revocation on.
func refusing(w *harness) {
	w.prepare = func(f *fakeCluster) {
		f.proxy = w.tokens
		f.operate = func(_ *fakeCluster, object client.Object) {
			if key, ok := object.(*v1alpha1.JWTRefreshKey); ok && key.Spec.Revoked {
				w.tokens.revoked = true
			}
		}
	}
}

// oneTime makes the key one for one-time use.
func oneTime(w *harness) {
	w.key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	w.key.Status.Previous = nil
}

// pod returns a pod of the token service.
func pod(name string, ready corev1.ConditionStatus, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "refreshkeys-system", Name: name, Labels: map[string]string{"app.kubernetes.io/component": "tokenserver"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "tokenserver", Ports: ports}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// outside adds the Service of a token service that runs outside the cluster.
func outside(w *harness) {
	at, err := url.Parse(w.tokens.URL)
	if err != nil {
		panic(err)
	}
	port, err := strconv.ParseInt(at.Port(), 10, 32)
	if err != nil {
		panic(err)
	}
	w.objects = append(w.objects, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "refreshkeys-system", Name: "outside", Labels: map[string]string{"app.kubernetes.io/component": "tokenserver"}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: at.Hostname(), Ports: []corev1.ServicePort{{Port: int32(port)}}},
	})
}

func all(changes ...func(*harness)) func(*harness) {
	return func(w *harness) {
		for _, change := range changes {
			change(w)
		}
	}
}

func TestRevoke(t *testing.T) {
	type key = v1alpha1.JWTRefreshKey
	pods := func(w *harness) {
		w.objects = append(w.objects, pod("tokenserver-1", corev1.ConditionTrue, corev1.ContainerPort{Name: "https", ContainerPort: 443}),
			pod("tokenserver-2", corev1.ConditionTrue), pod("tokenserver-3", corev1.ConditionFalse))
	}
	file := func(revision int64) func(*harness) {
		return func(w *harness) { w.write("token", w.tokens.refresh(revision)+"\n") }
	}
	may := func(w *harness) {
		prepare := w.prepare
		w.prepare = func(f *fakeCluster) {
			prepare(f)
			f.mayIntrospect = true
		}
	}
	const replica = " --replica $TOKENS --ca-file $DIR/ca.crt"
	play(t, "revoke", []row{
		{name: "revoked", args: "revoke orders", after: wantRevoked(true)},
		{name: "in YAML", args: "revoke orders -o yaml", with: changing(func(k *key) { k.Status = v1alpha1.JWTRefreshKeyStatus{} })},
		{name: "refused by a replica", args: "revoke orders --wait" + replica, with: refusing, after: wantProbed},
		{name: "refused by the pods", args: "revoke orders --wait", with: all(refusing, pods), after: wantProbed},
		{name: "a pod accepts", args: "revoke orders --wait --timeout 1s", with: all(refusing, pods, func(w *harness) {
			w.prepare = func(f *fakeCluster) { f.proxy = w.tokens }
		}), code: cli.ExitTimedOut, after: wantRevoked(true)},
		{name: "refused by replicas outside the cluster", args: "revoke jrk/orders --wait", with: all(refusing, outside), after: wantProbed},
		{name: "several, one of which does not exist", args: "revoke orders nothing jrk/fresh", with: several, code: cli.ExitNotFound, after: wantRevoked(true)},
		{name: "an issuer", args: "revoke jwtissuer/default", code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "a token for several", args: "revoke orders fresh --token-file -", with: several, code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "no name", args: "revoke", code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "no pods", args: "revoke orders --wait", with: refusing, code: cli.ExitUnverified, after: wantRevoked(true)},
		{name: "a replica that cannot be reached", args: "revoke orders --wait --timeout 1s --replica https://127.0.0.1:1", with: refusing, code: cli.ExitTimedOut},
		{name: "the token of a file", args: "revoke orders --wait --token-file $DIR/token" + replica, with: all(refusing, file(2)), after: wantProbed},
		{name: "the token of stdin", args: "revoke orders --wait --token-file -" + replica, with: all(refusing, func(w *harness) { w.stdin = w.tokens.refresh(2) })},
		{name: "a token that is not accepted", args: "revoke orders --wait --token-file $DIR/token" + replica, with: all(refusing, file(1)), code: cli.ExitUnverified, after: wantRevoked(true)},
		{name: "an expired token", args: "revoke orders --wait" + replica, with: all(refusing, func(w *harness) {
			w.hold(w.tokens.refresh(2, func(claims map[string]any) { claims["exp"] = noon.Unix() }))
		}), code: cli.ExitUnverified},
		{name: "a token of another key", args: "revoke orders --wait" + replica, with: all(refusing, changing(func(k *key) { k.UID = "other" })), code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "no token in the file", args: "revoke orders --wait --token-file $DIR/ca.crt" + replica, with: refusing, code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "an empty file", args: "revoke orders --wait --token-file -" + replica, with: refusing, code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "no file", args: "revoke orders --wait --token-file $DIR/none" + replica, with: refusing, code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "a CA file without a certificate", args: "revoke orders --wait --replica $TOKENS --ca-file $DIR/kubeconfig", with: refusing, code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "an empty Secret", args: "revoke orders --wait" + replica, with: all(refusing, func(w *harness) { delete(w.secret.Data, v1alpha1.SecretToken) }), code: cli.ExitUnverified},
		{name: "the Secret of another owner", args: "revoke orders --wait" + replica, with: all(refusing, func(w *harness) { w.secret.Labels = nil }), code: cli.ExitUnverified},
		{name: "no Secret", args: "revoke orders --wait" + replica, with: all(refusing, changing(func(k *key) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })), code: cli.ExitUnverified},
		{name: "a one-time token", args: "revoke orders --wait --introspect-as shop/till" + replica, with: all(oneTime, refusing, may), after: wantProbed},
		{name: "a one-time token, without an account", args: "revoke orders --wait" + replica, with: all(oneTime, refusing), code: cli.ExitUnverified},
		{name: "a one-time token, without a replica", args: "revoke orders --wait --introspect-as shop/till", with: all(oneTime, refusing, may), code: cli.ExitUnverified},
		{name: "an account without the right", args: "revoke orders --wait --introspect-as shop/till" + replica, with: all(oneTime, refusing), code: cli.ExitUnverified},
		{name: "an account that does not exist", args: "revoke orders --wait --introspect-as shop/nothing" + replica, with: all(oneTime, refusing), code: cli.ExitUnverified},
		{name: "an account without a namespace", args: "revoke orders --wait --introspect-as till" + replica, with: all(oneTime, refusing), code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "no such key", args: "revoke nothing --wait", code: cli.ExitNotFound},
		{name: "an unknown format", args: "revoke orders -o picture", code: cli.ExitUsage, after: wantRevoked(false)},
		{name: "no rights", args: "revoke orders --as guest", code: cli.ExitError, after: wantRevoked(false)},
	})
}

func wantRevoked(want bool) func(*testing.T, *harness) {
	return func(t *testing.T, w *harness) {
		t.Helper()
		key := &v1alpha1.JWTRefreshKey{}
		if err := w.cluster.Get(t.Context(), client.ObjectKeyFromObject(w.key), key); err != nil {
			t.Fatal(err)
		}
		if key.Spec.Revoked != want {
			t.Errorf("revoked: %v, want %v", key.Spec.Revoked, want)
		}
	}
}

// wantProbed checks that each request to the token service asked for what no key has, or introspected the token: neither
// uses the token up.
func wantProbed(t *testing.T, w *harness) {
	t.Helper()
	wantRevoked(true)(t, w)
	if len(w.tokens.forms) == 0 {
		t.Error("the token service was not asked")
	}
	for _, form := range w.tokens.forms {
		if form["grant_type"] != nil && form["resource"][0] != "urn:refreshkeys:probe:two" {
			t.Errorf("the request %v uses the token", form)
		}
	}
}
