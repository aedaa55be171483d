package refreshkey

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestFingerprint checks that the fingerprint of a wanted Secret changes with each part of it, and with nothing else.
func TestFingerprint(t *testing.T) {
	base := func() wantedSecret {
		return wantedSecret{
			labels: map[string]string{"a": "1", "b": "2"}, annotations: map[string]string{"a": "1"}, data: map[string]string{"ca.crt": "1"},
			owners: []metav1.OwnerReference{{Name: "orders", UID: "uid-1"}},
		}
	}
	first, same := base(), base()
	if first.fingerprint() != same.fingerprint() {
		t.Error("the same content has two fingerprints")
	}
	for name, change := range map[string]func(*wantedSecret){
		"a label":         func(w *wantedSecret) { w.labels["a"] = "2" },
		"another label":   func(w *wantedSecret) { w.labels["c"] = "" },
		"an annotation":   func(w *wantedSecret) { w.annotations["a"] = "2" },
		"an entry":        func(w *wantedSecret) { w.data["ca.crt"] = "2" },
		"the owner's UID": func(w *wantedSecret) { w.owners[0].UID = "uid-2" },
		"no owner":        func(w *wantedSecret) { w.owners = nil },
	} {
		changed := base()
		change(&changed)
		if changed.fingerprint() == first.fingerprint() {
			t.Errorf("%s does not change the fingerprint", name)
		}
	}
}
