package usage

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

var (
	noon = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	name = types.NamespacedName{Namespace: "shop", Name: "till"}
)

// patch is the body of one patch.
type patch struct {
	Metadata struct {
		UID, ResourceVersion string
	}
	Status map[string]any
}

// keys is a Keys with at most one refresh key. It records patches, and answers them with errs in their order.
type keys struct {
	key     *v1alpha1.JWTRefreshKey
	patches []patch
	errs    []error
}

func (k *keys) Key(types.NamespacedName) *v1alpha1.JWTRefreshKey { return k.key }

func (k *keys) PatchStatus(_ context.Context, key *v1alpha1.JWTRefreshKey, sent client.Patch) error {
	raw, err := sent.Data(key)
	if err != nil {
		return err
	}
	var one patch
	if err := json.Unmarshal(raw, &one); err != nil {
		return err
	}
	k.patches = append(k.patches, one)
	if len(k.errs) == 0 {
		return nil
	}
	err, k.errs = k.errs[0], k.errs[1:]
	return err
}

// recorder returns a Recorder that spreads reports over the whole period.
func recorder(known *keys) (*Recorder, *clocktesting.FakeClock) {
	clock := clocktesting.NewFakeClock(noon)
	return New(Options{Keys: known, Spread: func(most time.Duration) time.Duration { return most }, Clock: clock, Monotonic: clock}), clock
}

func ago(d time.Duration) *metav1.Time { return &metav1.Time{Time: noon.Add(-d)} }

func till(status v1alpha1.JWTRefreshKeyStatus) *v1alpha1.JWTRefreshKey {
	return &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, UID: "uid", ResourceVersion: "7"}, Status: status}
}

// TestWhenAUseIsWritten checks how long after a use it is written, by what status says at the use.
func TestWhenAUseIsWritten(t *testing.T) {
	used := func(revision int64, last *metav1.Time) v1alpha1.JWTRefreshKeyStatus {
		return v1alpha1.JWTRefreshKeyStatus{LastUsed: last, LastUsedRevision: revision}
	}
	for _, c := range []struct {
		name string
		key  *v1alpha1.JWTRefreshKey
		use  Use
		// want is 0 for a use that is not written, since the recorded one is recent.
		want time.Duration
	}{
		{"of an unknown key", nil, Use{Revision: 1}, reportSoon},
		{"the first", till(used(0, nil)), Use{Revision: 1}, reportSoon},
		{"the first of a new revision", till(used(1, ago(time.Minute))), Use{Revision: 2}, reportSoon},
		{"a minute after the recorded one", till(used(1, ago(time.Minute))), Use{Revision: 1}, 0},
		{"long after the recorded one", till(used(1, ago(time.Hour))), Use{Revision: 1}, reportSoon},
		{"a second after the recorded one, with an idleTimeout", till(used(1, ago(time.Second))), Use{Revision: 1, Prompt: true}, 0},
		{"a minute after the recorded one, with an idleTimeout", till(used(1, ago(time.Minute))), Use{Revision: 1, Prompt: true}, reportSoon},
		{"of a superseded token, the first", till(used(2, ago(time.Second))), Use{Revision: 1, Superseded: true}, reportSoon},
		{"of a superseded token, a second after the recorded one", till(v1alpha1.JWTRefreshKeyStatus{SupersededLastUsed: ago(time.Second)}), Use{Revision: 1, Superseded: true}, 0},
	} {
		known := &keys{key: c.key}
		u, clock := recorder(known)
		c.use.Key, c.use.UID, c.use.At = name, "uid", noon
		u.Used(&c.use)
		if c.want > 0 {
			clock.SetTime(noon.Add(c.want - time.Millisecond))
			if u.Report(t.Context()); len(known.patches) > 0 {
				t.Errorf("%s: written before %s", c.name, c.want)
			}
			clock.SetTime(noon.Add(c.want))
		} else {
			clock.SetTime(noon.Add(reportEvery + reportSoon))
		}
		if u.Report(t.Context()); len(known.patches) > 0 != (c.want > 0) {
			t.Errorf("%s: %d patches after %s", c.name, len(known.patches), c.want)
		}
		if len(u.reports) > 0 {
			t.Errorf("%s: it stays due", c.name)
		}
	}
}

// TestWhatIsWritten checks the patches of a use, after what the view shows when it is due, and that a use that is not
// written stays for the next time.
func TestWhatIsWritten(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{}, "till", errors.New("changed"))
	gone := apierrors.NewNotFound(schema.GroupResource{}, "till")
	oneTime := till(v1alpha1.JWTRefreshKeyStatus{})
	oneTime.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	reborn := till(v1alpha1.JWTRefreshKeyStatus{})
	reborn.UID = "another"
	fresh := till(v1alpha1.JWTRefreshKeyStatus{LastUsed: ago(time.Second), LastUsedRevision: 3})
	device := map[string]any{"userAgent": nil, "browser": nil, "os": nil, "id": "till-17", "ipAddress": nil}
	at := noon.Format(time.RFC3339)
	whole := map[string]any{"lastUsed": at, "lastUsedRevision": 3.0, "deviceInfo": device}
	use := map[string]any{"lastUsed": at, "deviceInfo": device}
	superseded := map[string]any{"supersededLastUsed": at, "deviceInfo": device}
	for _, c := range []struct {
		name string
		key  *v1alpha1.JWTRefreshKey
		use  Use
		errs []error
		// want are the written fields of status, one element a patch; guarded has the patches with a resourceVersion.
		want    []map[string]any
		guarded []bool
		kept    bool
	}{
		{"all", till(v1alpha1.JWTRefreshKeyStatus{}), Use{Revision: 3}, nil, []map[string]any{whole}, []bool{true}, false},
		{"the key is unknown", nil, Use{Revision: 3}, nil, []map[string]any{use}, []bool{false}, false},
		{"a one-time key", oneTime, Use{Revision: 3}, nil, []map[string]any{use}, []bool{false}, false},
		{"the revision is recorded", till(v1alpha1.JWTRefreshKeyStatus{LastUsedRevision: 3}), Use{Revision: 3}, nil, []map[string]any{use}, []bool{false}, false},
		{"a superseded token", till(v1alpha1.JWTRefreshKeyStatus{}), Use{Revision: 3, Superseded: true}, nil, []map[string]any{superseded}, []bool{false}, false},
		{"another replica has written it", fresh, Use{Revision: 3}, nil, nil, nil, false},
		{"the key was made again", reborn, Use{Revision: 3}, nil, nil, nil, false},
		{"the key was changed", till(v1alpha1.JWTRefreshKeyStatus{}), Use{Revision: 3}, []error{conflict}, []map[string]any{whole, use}, []bool{true, false}, true},
		{"the key is deleted", till(v1alpha1.JWTRefreshKeyStatus{}), Use{Revision: 3}, []error{gone}, []map[string]any{whole}, []bool{true}, false},
		{"no answer", till(v1alpha1.JWTRefreshKeyStatus{}), Use{Revision: 3}, []error{errors.New("no answer")}, []map[string]any{whole}, []bool{true}, true},
	} {
		known := &keys{errs: c.errs}
		u, clock := recorder(known)
		c.use.Key, c.use.UID, c.use.At, c.use.Seen.ID = name, "uid", noon, "till-17"
		u.Used(&c.use)
		known.key = c.key
		clock.SetTime(noon.Add(reportSoon))
		u.Report(t.Context())
		var got []map[string]any
		var guarded []bool
		for _, one := range known.patches {
			if one.Metadata.UID != "uid" {
				t.Errorf("%s: a patch of the UID %q", c.name, one.Metadata.UID)
			}
			got, guarded = append(got, one.Status), append(guarded, one.Metadata.ResourceVersion == "7")
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if diff := cmp.Diff(c.guarded, guarded); diff != "" {
			t.Errorf("%s: with a resourceVersion: %s", c.name, diff)
		}
		if kept := len(u.reports) > 0; kept != c.kept {
			t.Errorf("%s: kept is %v", c.name, kept)
		}
	}
}

// TestAnUnwrittenUseJoinsLaterOnes checks that a report that was put back and a later use make one report, with the
// latest times, unless the key was made again.
func TestAnUnwrittenUseJoinsLaterOnes(t *testing.T) {
	for uid, want := range map[types.UID]report{
		"uid":     {uid: "uid", due: noon.Add(reportSoon), urgent: true, lastUsed: noon.Add(time.Minute), revision: 3, superseded: noon},
		"another": {uid: "another", due: noon.Add(time.Minute + reportSoon), lastUsed: noon.Add(time.Minute), revision: 2},
	} {
		u, _ := recorder(&keys{})
		u.Used(&Use{Key: name, UID: "uid", At: noon, Revision: 3})
		u.Used(&Use{Key: name, UID: "uid", At: noon, Revision: 1, Superseded: true})
		failed := maps.Clone(u.reports)
		clear(u.reports)
		u.Used(&Use{Key: name, UID: uid, At: noon.Add(time.Minute), Revision: 2})
		u.putBack(name, failed[name])
		if got := *u.reports[name]; got != want {
			t.Errorf("a use of %s: %+v, want %+v", uid, got, want)
		}
	}
}

// TestUrgentReportsHaveNoLimit checks that a check takes at most reportsAtOnce reports, and all urgent ones.
func TestUrgentReportsHaveNoLimit(t *testing.T) {
	u, _ := recorder(&keys{})
	for i := range 3 * reportsAtOnce {
		u.Used(&Use{Key: types.NamespacedName{Namespace: "shop", Name: string(rune('a' + i))}, At: noon, Prompt: i%2 == 0})
	}
	taken := u.take(func(*report) bool { return true }, reportsAtOnce)
	if want := reportsAtOnce + 3*reportsAtOnce/2; len(taken) != want || len(u.reports) != 3*reportsAtOnce-want {
		t.Errorf("took %d and left %d, want %d taken", len(taken), len(u.reports), want)
	}
}

// TestTheEndOfRunWritesTheRest checks that Run writes reports that are not due when its context ends.
func TestTheEndOfRunWritesTheRest(t *testing.T) {
	known := &keys{}
	u, _ := recorder(known)
	u.Used(&Use{Key: name, UID: "uid", At: noon, Revision: 1})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	u.Run(ended)
	if len(known.patches) != 1 {
		t.Errorf("%d patches", len(known.patches))
	}
}
