package freshview

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var errDown = errors.New("the API server is down")

// apiServer is a client.WithWatch with ConfigMaps. It ends a watch with a bookmark, as kube-apiserver does.
type apiServer struct {
	client.WithWatch

	mu      sync.Mutex
	version string
	objects map[string]*corev1.ConfigMap
	// watches are those that are open and not hung.
	watches map[*watch.FakeWatcher]bool
	// down fails all requests. With hung, open and new watches stay silent, and do not end.
	down, hung bool
}

// set stores an object at a version, and tells the watches.
func (s *apiServer) set(version, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object := configMap(version, name)
	s.version, s.objects[name] = version, object
	for events := range s.watches {
		if !events.IsStopped() {
			events.Modify(object.DeepCopy())
		}
	}
}

func (s *apiServer) state(down, hung bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down, s.hung = down, hung; hung {
		clear(s.watches)
	}
}

func (s *apiServer) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	list.SetResourceVersion(s.version)
	if all, ok := list.(*corev1.ConfigMapList); ok {
		for _, object := range s.objects {
			all.Items = append(all.Items, *object.DeepCopy())
		}
	}
	return nil
}

func (s *apiServer) Watch(ctx context.Context, _ client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errDown
	}
	asked := (&client.ListOptions{}).ApplyOptions(options).Raw
	events := watch.NewFakeWithChanSize(100, false)
	context.AfterFunc(ctx, events.Stop)
	if s.hung {
		return events, nil
	}
	s.watches[events] = true
	initial := ptr.Deref(asked.SendInitialEvents, false)
	for _, object := range s.objects {
		if initial || newer(object.ResourceVersion, asked.ResourceVersion) {
			events.Modify(object.DeepCopy())
		}
	}
	if initial {
		end := configMap(s.version, "")
		end.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		events.Action(watch.Bookmark, end)
	}
	time.AfterFunc(time.Duration(*asked.TimeoutSeconds)*time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.watches[events] && !events.IsStopped() {
			delete(s.watches, events)
			events.Action(watch.Bookmark, configMap(s.version, ""))
			events.Stop()
		}
	})
	return events, nil
}

func configMap(version, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: version, ManagedFields: []metav1.ManagedFieldsEntry{{}}},
	}
}

// TestView checks that a view follows the API server, and is proven exactly while its watch does.
func TestView(t *testing.T) { synctest.Test(t, testView) }

func testView(t *testing.T) {
	const most = proveEvery + watchFor
	server := &apiServer{version: "10", objects: map[string]*corev1.ConfigMap{"a": configMap("9", "a")}, watches: map[*watch.FakeWatcher]bool{}}
	changes := make(chan struct{}, 1000)
	view := New(Source[*corev1.ConfigMap]{
		Kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), List: func() client.ObjectList { return &corev1.ConfigMapList{} },
		Slim: func(object *corev1.ConfigMap) { object.ManagedFields = nil }, Changed: func() { changes <- struct{}{} },
	}, clock.RealClock{})
	if _, proven := view.Age(); proven {
		t.Error("proven before Run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { view.Run(ctx, server) })
	expect := func(when string, pass time.Duration, fresh bool, version map[string]string) {
		t.Helper()
		time.Sleep(pass)
		synctest.Wait()
		if age, proven := view.Age(); !proven || age <= most != fresh {
			t.Errorf("%s: the view was proven %s ago (%v)", when, age, proven)
		}
		for name, want := range version {
			object, found := view.Get(types.NamespacedName{Namespace: "shop", Name: name})
			switch {
			case found != (want != ""):
				t.Errorf("%s: %s is found: %v", when, name, found)
			case found && (object.ResourceVersion != want || object.ManagedFields != nil):
				t.Errorf("%s: %s has the version %s and %d managed fields", when, name, object.ResourceVersion, len(object.ManagedFields))
			}
		}
	}
	expect("at first", time.Millisecond, true, map[string]string{"a": "9", "b": ""})
	server.set("11", "b")
	expect("after an event", time.Millisecond, true, map[string]string{"a": "9", "b": "11"})
	if len(changes) == 0 {
		t.Error("Changed was not called")
	}
	expect("after ten minutes without an event", 10*time.Minute, true, nil)
	server.state(false, true)
	server.set("30", "a")
	expect("five minutes after the watch hangs", 5*time.Minute, false, map[string]string{"a": "9"})
	server.state(false, false)
	expect("after the watch answers again", time.Minute, true, map[string]string{"a": "30", "b": "11"})
	server.state(true, false)
	expect("five minutes after the API server is down", 5*time.Minute, false, map[string]string{"a": "30"})
	server.state(false, false)
	expect("after the API server is up again", time.Minute, true, nil)
	view.Remember(configMap("40", "c"))
	expect("after an object is read ahead of the watch", 0, true, map[string]string{"c": "40"})
	if all, counted := len(view.All()), view.Count(func(object *corev1.ConfigMap) bool { return object.Name != "a" }); all != 3 || counted != 2 {
		t.Errorf("%d objects, and %d counted", all, counted)
	}
	cancel()
	running.Wait()
}
