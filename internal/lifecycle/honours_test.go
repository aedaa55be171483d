package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestHonours(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	type status = v1alpha1.JWTRefreshKeyStatus
	line := func(revision, first int64) status {
		return status{TokenLine: v1alpha1.TokenLine{Revision: revision, JTI: "current"}, FirstRevision: first}
	}
	revoked := func(s status) status { s.RevokedAt = &metav1.Time{Time: now}; return s }
	for _, c := range []struct {
		name     string
		status   status
		uid      string
		revision int64
		want     bool
	}{
		{name: "of the current revision", status: line(5, 0), revision: 5, want: true},
		{name: "of a revision that is superseded or retired", status: line(5, 0), revision: 1, want: true},
		{name: "of a revision that is not known yet", status: line(5, 0), revision: 6},
		{name: "of the first revision", status: line(5, 4), revision: 4, want: true},
		{name: "of a revision between the first and the current one", status: line(6, 4), revision: 5, want: true},
		{name: "below the first revision", status: line(5, 4), revision: 3},
		{name: "of the first and current revision", status: line(5, 5), revision: 5, want: true},
		{name: "without a revision, and no line was ended", status: line(5, 0), want: true},
		{name: "without a revision, and a line was ended", status: line(5, 2)},
		{name: "of a first token that is not on record", status: line(0, 0), revision: 1, want: true},
		{name: "of a later token of a key without a line", status: line(0, 0), revision: 2},
		{name: "of a first token that is not on record, of a key with an ended line", status: line(0, 2), revision: 1},
		{name: "of a key that is revoked", status: revoked(line(5, 0)), revision: 5},
		{name: "of an earlier key of the same name", status: line(5, 0), uid: "dead", revision: 5},
	} {
		key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{UID: "uid"}, Status: c.status}
		if c.uid == "" {
			c.uid = "uid"
		}
		if got := Honours(key, c.uid, c.revision, now); got != c.want {
			t.Errorf("an access token %s: Honours returns %v", c.name, got)
		}
	}
}
