package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

var errAway = errors.New("the API server in memory is away")

// apiServer is a client.WithWatch to an API server in memory, as far as a Cluster asks it: one resourceVersion for all
// objects, UIDs, preconditions, selectors by label, and watches that begin with the stored objects. A request that it
// does not know panics.
type apiServer struct {
	client.WithWatch
	t      testing.TB
	scheme *runtime.Scheme

	mu            sync.Mutex
	version, made int64
	objects       map[stored]client.Object
	watches       map[*watching]bool
	away, held    bool
}

// stored is the name of an object.
type stored struct {
	kind string
	types.NamespacedName
}

// watching is an open watch. What happens while it is held is in late.
type watching struct {
	server  *apiServer
	kind    string
	options *client.ListOptions
	events  chan watch.Event
	late    []watch.Event
}

func newAPIServer(t testing.TB) *apiServer {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return &apiServer{t: t, scheme: scheme, objects: map[stored]client.Object{}, watches: map[*watching]bool{}}
}

// request runs do while no other request runs, and fails while the API server is away.
func (s *apiServer) request(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	return do()
}

func (s *apiServer) kindOf(object runtime.Object) schema.GroupVersionKind {
	kind, err := apiutil.GVKForObject(object, s.scheme)
	if err != nil {
		panic(err)
	}
	return kind
}

func (s *apiServer) nameOf(object client.Object) stored {
	return stored{s.kindOf(object).Kind, client.ObjectKeyFromObject(object)}
}

func resourceOf(name stored) schema.GroupResource { return schema.GroupResource{Resource: name.kind} }

// partial returns the metadata of an object.
func (s *apiServer) partial(object client.Object) *metav1.PartialObjectMetadata {
	made := &metav1.PartialObjectMetadata{}
	made.SetGroupVersionKind(s.kindOf(object))
	reflect.ValueOf(&made.ObjectMeta).Elem().Set(reflect.ValueOf(object.DeepCopyObject()).Elem().FieldByName("ObjectMeta"))
	return made
}

// write stores an object at the next version and tells the watches.
func (s *apiServer) write(object client.Object) {
	name := s.nameOf(object)
	event := watch.Modified
	if s.objects[name] == nil {
		s.made++
		event = watch.Added
		object.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", s.made)))
		object.SetCreationTimestamp(metav1.NewTime(time.Unix(1e9, 0)))
	}
	s.version++
	object.SetResourceVersion(strconv.FormatInt(s.version, 10))
	s.objects[name] = object.DeepCopyObject().(client.Object)
	s.tell(event, object)
}

func (s *apiServer) remove(name stored) {
	object := s.objects[name].DeepCopyObject().(client.Object)
	s.version++
	object.SetResourceVersion(strconv.FormatInt(s.version, 10))
	delete(s.objects, name)
	s.tell(watch.Deleted, object)
}

func (s *apiServer) tell(event watch.EventType, object client.Object) {
	for w := range s.watches {
		if w.kind == s.kindOf(object).Kind && selects(w.options, object) {
			w.late = append(w.late, watch.Event{Type: event, Object: object.DeepCopyObject()})
			w.deliver()
		}
	}
}

// deliver sends what has happened, unless the watches are held.
func (w *watching) deliver() {
	if w.server.held {
		return
	}
	for _, event := range w.late {
		select {
		case w.events <- event:
		default:
			w.server.t.Errorf("a watch of %s has too many events", w.kind)
		}
	}
	w.late = nil
}

func selects(options *client.ListOptions, object client.Object) bool {
	if options.Namespace != "" && options.Namespace != object.GetNamespace() {
		return false
	}
	return options.LabelSelector == nil || options.LabelSelector.Matches(labels.Set(object.GetLabels()))
}

// Get implements client.Reader.
func (s *apiServer) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	return s.request(func() error {
		name := stored{s.kindOf(into).Kind, key}
		object := s.objects[name]
		if object == nil {
			return apierrors.NewNotFound(resourceOf(name), key.Name)
		}
		if partial, ok := into.(*metav1.PartialObjectMetadata); ok {
			*partial = *s.partial(object)
			return nil
		}
		fill(into, object)
		return nil
	})
}

// List implements client.Reader. A list of metadata answers only the question for the version, except for namespaces.
func (s *apiServer) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	return s.request(func() error {
		asked := (&client.ListOptions{}).ApplyOptions(options)
		kind := s.kindOf(into).Kind
		var items []runtime.Object
		for _, object := range s.selected(kind[:len(kind)-len("List")], asked) {
			if _, ok := into.(*metav1.PartialObjectMetadataList); ok {
				object = s.partial(object)
			}
			items = append(items, object.DeepCopyObject())
		}
		into.SetResourceVersion(strconv.FormatInt(s.version, 10))
		return meta.SetList(into, items)
	})
}

// selected returns the stored objects that options select, in the order of their versions.
func (s *apiServer) selected(kind string, options *client.ListOptions) (found []client.Object) {
	for name, object := range s.objects {
		if name.kind == kind && selects(options, object) {
			found = append(found, object)
		}
	}
	slices.SortFunc(found, func(a, b client.Object) int { return int(versionOf(a) - versionOf(b)) })
	return found
}

func versionOf(object client.Object) int64 {
	version, err := strconv.ParseInt(object.GetResourceVersion(), 10, 64)
	if err != nil {
		panic(err)
	}
	return version
}

// Watch implements client.WithWatch.
func (s *apiServer) Watch(_ context.Context, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
	w := &watching{server: s, options: (&client.ListOptions{}).ApplyOptions(options), events: make(chan watch.Event, 10000)}
	kind := s.kindOf(list).Kind
	w.kind = kind[:len(kind)-len("List")]
	err := s.request(func() error {
		s.watches[w] = true
		// The bookmark ends the stored objects of a watch that asks for them.
		if asked := w.options.Raw; ptr.Deref(asked.SendInitialEvents, false) {
			for _, object := range s.selected(w.kind, w.options) {
				w.late = append(w.late, watch.Event{Type: watch.Added, Object: object.DeepCopyObject()})
			}
			end := &metav1.PartialObjectMetadata{}
			end.SetResourceVersion(strconv.FormatInt(s.version, 10))
			end.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
			w.late = append(w.late, watch.Event{Type: watch.Bookmark, Object: end})
		}
		w.deliver()
		return nil
	})
	return w, err
}

// ResultChan implements watch.Interface.
func (w *watching) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *watching) Stop() {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	delete(w.server.watches, w)
}

// Create implements client.Writer. Status is written by itself.
func (s *apiServer) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	return s.request(func() error {
		name := s.nameOf(object)
		if s.objects[name] != nil {
			return apierrors.NewAlreadyExists(resourceOf(name), name.Name)
		}
		if key, ok := object.(*v1alpha1.JWTRefreshKey); ok {
			key.Status = v1alpha1.JWTRefreshKeyStatus{}
		}
		s.write(object)
		return nil
	})
}

// current returns the stored object of a write, whose UID and resourceVersion must be as given; empty ones are any.
func (s *apiServer) current(name stored, uid types.UID, version string) (client.Object, error) {
	object := s.objects[name]
	if object == nil {
		return nil, apierrors.NewNotFound(resourceOf(name), name.Name)
	}
	if (uid != "" && uid != object.GetUID()) || (version != "" && version != object.GetResourceVersion()) {
		return nil, apierrors.NewConflict(resourceOf(name), name.Name, errors.New("the object is another, or was changed"))
	}
	return object.DeepCopyObject().(client.Object), nil
}

// Delete implements client.Writer.
func (s *apiServer) Delete(_ context.Context, object client.Object, options ...client.DeleteOption) error {
	return s.request(func() error {
		asked := (&client.DeleteOptions{}).ApplyOptions(options)
		if asked.Preconditions == nil {
			return fmt.Errorf("the deletion of %s has no preconditions", object.GetName())
		}
		_, err := s.current(s.nameOf(object), ptr.Deref(asked.Preconditions.UID, ""), ptr.Deref(asked.Preconditions.ResourceVersion, ""))
		if err == nil {
			s.remove(s.nameOf(object))
		}
		return err
	})
}

// Status implements client.StatusClient.
func (s *apiServer) Status() client.SubResourceWriter { return &statusWriter{server: s} }

// statusWriter writes the status of refresh keys.
type statusWriter struct {
	client.SubResourceWriter
	server *apiServer
}

// Update implements client.SubResourceWriter.
func (w *statusWriter) Update(_ context.Context, object client.Object, _ ...client.SubResourceUpdateOption) error {
	return w.server.request(func() error {
		key := object.(*v1alpha1.JWTRefreshKey)
		return w.change(key, key.UID, key.ResourceVersion, func(next *v1alpha1.JWTRefreshKey) error {
			next.Status = *key.Status.DeepCopy()
			return nil
		})
	})
}

// Patch implements client.SubResourceWriter, for merge patches.
func (w *statusWriter) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return w.server.request(func() error {
		body, err := patch.Data(object)
		if err != nil || patch.Type() != types.MergePatchType {
			return fmt.Errorf("a patch of type %s: %w", patch.Type(), err)
		}
		var asked struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
			Status   json.RawMessage   `json:"status"`
		}
		if err := json.Unmarshal(body, &asked); err != nil {
			return err
		}
		return w.change(object.(*v1alpha1.JWTRefreshKey), asked.Metadata.UID, asked.Metadata.ResourceVersion, func(next *v1alpha1.JWTRefreshKey) error {
			return json.Unmarshal(asked.Status, &next.Status)
		})
	})
}

// change stores a refresh key with another status, and returns it in key.
func (w *statusWriter) change(key *v1alpha1.JWTRefreshKey, uid types.UID, version string, change func(*v1alpha1.JWTRefreshKey) error) error {
	object, err := w.server.current(w.server.nameOf(key), uid, version)
	if err != nil {
		return err
	}
	next := object.(*v1alpha1.JWTRefreshKey)
	if err := change(next); err != nil {
		return err
	}
	w.server.write(next)
	fill(key, next)
	return nil
}

// fill copies an object of the same type.
func fill(into, object client.Object) {
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(object.DeepCopyObject()).Elem())
}
