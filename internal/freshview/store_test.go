package freshview

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

func objectAt(version, uid string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", ResourceVersion: version, UID: types.UID(uid)}}
}

// TestStoreRemembers checks that an object that was read or written at the API server is visible before the watch
// reports it, and never replaces a later report.
func TestStoreRemembers(t *testing.T) {
	type step func(*store[*corev1.ConfigMap])
	update := func(version, uid string) step {
		return func(s *store[*corev1.ConfigMap]) {
			_ = s.Update(objectAt(version, uid))
			s.UpdateResourceVersion(version)
		}
	}
	remove := func(version, uid string) step {
		return func(s *store[*corev1.ConfigMap]) {
			_ = s.Delete(objectAt(version, uid))
			s.UpdateResourceVersion(version)
		}
	}
	remember := func(version, uid string) step {
		return func(s *store[*corev1.ConfigMap]) { s.remember(objectAt(version, uid)) }
	}
	relist := func(version string, objects ...*corev1.ConfigMap) step {
		return func(s *store[*corev1.ConfigMap]) {
			list := make([]any, len(objects))
			for i := range objects {
				list[i] = objects[i]
			}
			_ = s.Replace(list, version)
		}
	}
	bookmark := func(version string) step {
		return func(s *store[*corev1.ConfigMap]) { s.UpdateResourceVersion(version) }
	}
	cases := []struct {
		name  string
		steps []step
		// want is the known version; empty for none.
		want string
	}{
		{"nothing", []step{relist("5")}, ""},
		{"listed", []step{relist("5", objectAt("4", "a"))}, "4"},
		{"the watch continues", []step{relist("5", objectAt("4", "a")), update("9", "a")}, "9"},
		{"numbers, not texts, are compared", []step{relist("9", objectAt("9", "a")), update("10", "a")}, "10"},
		{"read ahead of the watch", []step{relist("5", objectAt("4", "a")), remember("7", "a")}, "7"},
		{"an older event follows", []step{relist("5", objectAt("4", "a")), remember("7", "a"), update("6", "a")}, "7"},
		{"the same event follows", []step{relist("5", objectAt("4", "a")), remember("7", "a"), update("7", "a")}, "7"},
		{"a later event follows", []step{relist("5", objectAt("4", "a")), remember("7", "a"), update("8", "a")}, "8"},
		{"read before it was deleted, remembered after", []step{relist("5", objectAt("4", "a")), remove("8", "a"), remember("7", "a")}, ""},
		{"read before another kind's event moved the watch on", []step{relist("5"), bookmark("8"), remember("7", "a")}, ""},
		{"deleted after it was read", []step{relist("5"), remember("7", "a"), remove("8", "a")}, ""},
		{"created again and read, before its deletion is reported", []step{relist("5", objectAt("4", "a")), remember("9", "b"), remove("8", "a")}, "9"},
		{"a list that is older than what was read", []step{relist("5"), remember("7", "a"), relist("6")}, "7"},
		{"a later list without it", []step{relist("5"), remember("7", "a"), relist("8")}, ""},
		{"before the first list nothing is remembered: the object may be deleted", []step{remember("7", "a")}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(&freshness{clock: clocktesting.NewFakePassiveClock(time.Now())}, func(*corev1.ConfigMap) {}, func() {})
			for _, step := range c.steps {
				step(s)
			}
			got := ""
			if object, found := s.get(types.NamespacedName{Namespace: "shop", Name: "orders"}); found {
				got = object.ResourceVersion
			}
			if got != c.want {
				t.Errorf("version %q is known, not %q", got, c.want)
			}
		})
	}
}
