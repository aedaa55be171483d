package registry

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// slowGets is an API server that takes a second for each read, and counts the reads.
type slowGets struct {
	client.WithWatch
	gets atomic.Int64
}

func (s *slowGets) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	s.gets.Add(1)
	time.Sleep(time.Second)
	object.SetUID("uid")
	return nil
}

// TestServiceAccountUIDIsAskedForOnce checks that concurrent calls share reads: the holder of one session can
// present its token often.
func TestServiceAccountUIDIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowGets{}
		c := &Cluster{client: slow, options: Options{Monotonic: clock.RealClock{}}}
		const callers = 50
		uids := make(chan string, callers)
		for range callers {
			go func() {
				uid, _ := c.ServiceAccountUID(t.Context(), types.NamespacedName{Namespace: "shop", Name: "till"})
				uids <- uid
			}()
		}
		for range callers {
			if uid := <-uids; uid != "uid" {
				t.Fatalf("the UID is %q", uid)
			}
		}
		if gets := slow.gets.Load(); gets > 2 {
			t.Errorf("%d concurrent callers cost %d reads, want at most 2", callers, gets)
		}
	})
}
