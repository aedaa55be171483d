package registry

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func keyAt(version, uid string) *v1alpha1.JWTRefreshKey {
	return &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", ResourceVersion: version, UID: types.UID(uid)}}
}

// TestViewRemembers checks that an object that was read or written at the API server is visible before the watch
// reports it, and never replaces a later report.
func TestViewRemembers(t *testing.T) {
	type step func(*view[*v1alpha1.JWTRefreshKey])
	update := func(version, uid string) step {
		return func(v *view[*v1alpha1.JWTRefreshKey]) {
			_ = v.Update(keyAt(version, uid))
			v.UpdateResourceVersion(version)
		}
	}
	remove := func(version, uid string) step {
		return func(v *view[*v1alpha1.JWTRefreshKey]) {
			_ = v.Delete(keyAt(version, uid))
			v.UpdateResourceVersion(version)
		}
	}
	remember := func(version, uid string) step {
		return func(v *view[*v1alpha1.JWTRefreshKey]) { v.remember(keyAt(version, uid)) }
	}
	relist := func(version string, keys ...*v1alpha1.JWTRefreshKey) step {
		return func(v *view[*v1alpha1.JWTRefreshKey]) {
			list := make([]any, len(keys))
			for i := range keys {
				list[i] = keys[i]
			}
			_ = v.Replace(list, version)
		}
	}
	bookmark := func(version string) step {
		return func(v *view[*v1alpha1.JWTRefreshKey]) { v.UpdateResourceVersion(version) }
	}
	cases := []struct {
		name  string
		steps []step
		// want is the known version; empty for none.
		want string
	}{
		{"nothing", []step{relist("5")}, ""},
		{"listed", []step{relist("5", keyAt("4", "a"))}, "4"},
		{"the watch continues", []step{relist("5", keyAt("4", "a")), update("9", "a")}, "9"},
		{"numbers, not texts, are compared", []step{relist("9", keyAt("9", "a")), update("10", "a")}, "10"},
		{"read ahead of the watch", []step{relist("5", keyAt("4", "a")), remember("7", "a")}, "7"},
		{"an older event follows", []step{relist("5", keyAt("4", "a")), remember("7", "a"), update("6", "a")}, "7"},
		{"the same event follows", []step{relist("5", keyAt("4", "a")), remember("7", "a"), update("7", "a")}, "7"},
		{"a later event follows", []step{relist("5", keyAt("4", "a")), remember("7", "a"), update("8", "a")}, "8"},
		{"read before it was deleted, remembered after", []step{relist("5", keyAt("4", "a")), remove("8", "a"), remember("7", "a")}, ""},
		{"read before another kind's event moved the watch on", []step{relist("5"), bookmark("8"), remember("7", "a")}, ""},
		{"deleted after it was read", []step{relist("5"), remember("7", "a"), remove("8", "a")}, ""},
		{"created again and read, before its deletion is reported", []step{relist("5", keyAt("4", "a")), remember("9", "b"), remove("8", "a")}, "9"},
		{"a list that is older than what was read", []step{relist("5"), remember("7", "a"), relist("6")}, "7"},
		{"a later list without it", []step{relist("5"), remember("7", "a"), relist("8")}, ""},
		{"before the first list nothing is remembered: the object may be deleted", []step{remember("7", "a")}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := newView(&freshness{clock: clocktesting.NewFakePassiveClock(day0)}, slimKey, func() {})
			for _, step := range c.steps {
				step(v)
			}
			got := ""
			if key, found := v.get(types.NamespacedName{Namespace: "shop", Name: "orders"}); found {
				got = key.ResourceVersion
			}
			if got != c.want {
				t.Errorf("version %q is known, not %q", got, c.want)
			}
		})
	}
}
