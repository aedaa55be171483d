package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestExcess(t *testing.T) {
	noon := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	at := func(minute int) metav1.Time { return metav1.NewTime(noon.Add(time.Duration(minute) * time.Minute)) }
	session := func(name string, made, used int, over bool) v1alpha1.JWTRefreshKey {
		key := v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: at(made)}}
		if name[0] != '?' && name != "begun" {
			key.Status.Session = &v1alpha1.SessionStatus{Subject: "jane"}
		}
		if used > 0 {
			last := at(used)
			key.Status.LastUsed, key.Status.LastUsedRevision = &last, int64(used)
		}
		if over {
			revoked := at(made + 1)
			key.Status.RevokedAt = &revoked
		}
		return key
	}
	begun := session("begun", 60, 0, false)
	for _, c := range []struct {
		name     string
		sessions []v1alpha1.JWTRefreshKey
		most     int
		want     string
	}{
		{"none but the new one", nil, 1, ""},
		{"as many as may be", []v1alpha1.JWTRefreshKey{session("a", 1, 0, false)}, 2, ""},
		{"the oldest first", []v1alpha1.JWTRefreshKey{session("b", 2, 0, false), session("a", 1, 0, false)}, 2, "a"},
		{"one that is used is young", []v1alpha1.JWTRefreshKey{session("a", 1, 30, false), session("b", 2, 0, false)}, 2, "b"},
		{"of one second the unused", []v1alpha1.JWTRefreshKey{session("a", 1, 2, false), session("b", 2, 0, false)}, 2, "b"},
		{"those that are over before all others", []v1alpha1.JWTRefreshKey{session("a", 1, 0, false), session("b", 2, 50, true)}, 2, "b"},
		{"several", []v1alpha1.JWTRefreshKey{session("a", 1, 0, false), session("b", 2, 0, true), session("c", 3, 0, false)}, 1, "b a c"},
		{"a recorded session is ended before the new one", []v1alpha1.JWTRefreshKey{session("later", 61, 0, false)}, 1, "later"},
		{"of two that sign in, the later stays", []v1alpha1.JWTRefreshKey{session("?a", 119, 0, false)}, 1, "begun"},
		{"a login under way is not ended for another", []v1alpha1.JWTRefreshKey{session("?a", 119, 0, false), session("a", 118, 119, false)}, 2, "a"},
		{"a failed login counts as ended", []v1alpha1.JWTRefreshKey{session("?a", 110, 0, false), session("a", 1, 0, false)}, 2, "?a"},
	} {
		var names []string
		for _, key := range excess(append(c.sessions, begun), begun.UID, c.most, noon.Add(2*time.Hour)) {
			names = append(names, key.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %q are ended, want %q", c.name, got, c.want)
		}
	}
	if got := fmt.Sprint(lastActive(&begun).Sub(noon)); got != "1h0m0s" {
		t.Errorf("a session that was never used counts as last active at its creation: %s", got)
	}
}
