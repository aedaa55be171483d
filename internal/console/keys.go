package console

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/view"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// mostEvents is how many events about an object the console reads.
const mostEvents = 200

// keyDetail answers GET api/keys/{ns}/{name}.
func (s *Server) keyDetail(ctx context.Context, p *person, r *http.Request) (any, error) {
	key := &v1alpha1.JWTRefreshKey{}
	stored, err := p.stored(ctx, view.KeyKind, key, right{"get", keyResource, r.PathValue("ns"), r.PathValue("name")})
	if err != nil {
		return nil, err
	}
	events, failure := p.events(ctx, key, key.Namespace)
	return view.KeyDetail(key, stored, events, failure, s.clock.Now())
}

// key reads the key of a path.
func (p *person) key(ctx context.Context, r *http.Request) (*v1alpha1.JWTRefreshKey, error) {
	at := client.ObjectKey{Namespace: r.PathValue("ns"), Name: r.PathValue("name")}
	key := &v1alpha1.JWTRefreshKey{}
	err := p.Get(ctx, at, key)
	return key, explain(err, right{"get", keyResource, at.Namespace, at.Name})
}

// stored reads an object, and returns it as the API server has it: a type of Go writes a duration of 20m as 20m0s.
func (p *person) stored(ctx context.Context, kind schema.GroupVersionKind, into client.Object, needs right) (*unstructured.Unstructured, error) {
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(kind)
	if err := p.Get(ctx, client.ObjectKey{Namespace: needs.namespace, Name: needs.name}, stored); err != nil {
		return nil, explain(err, needs)
	}
	return stored, runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, into)
}

// events reads the events about an object; of an object without a namespace, they are in default.
func (p *person) events(ctx context.Context, about client.Object, namespace string) ([]eventsv1.Event, *wire.Failure) {
	var list eventsv1.EventList
	err := p.List(ctx, &list, client.InNamespace(namespace), client.Limit(mostEvents),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("regarding.uid", string(about.GetUID()))})
	return list.Items, failureFrom(err, right{"list", "events.events.k8s.io", namespace, ""})
}

// createKey answers POST api/keys/{ns}.
func (s *Server) createKey(ctx context.Context, p *person, r *http.Request) (any, error) {
	key, err := manifestOf(r)
	if err != nil {
		return nil, err
	}
	err = p.Create(ctx, key, client.FieldOwner(fieldManager), client.FieldValidation(metav1.FieldValidationStrict))
	if err != nil {
		return nil, explain(err, right{"create", keyResource, key.GetNamespace(), ""})
	}
	return changedKey(key)
}

// manifestOf reads the manifest that a request has, for the namespace of the path.
func manifestOf(r *http.Request) (*unstructured.Unstructured, error) {
	var body wire.Preview
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	key, err := view.Manifest(body.Manifest, r.PathValue("ns"))
	if err != nil {
		return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "%s", err)
	}
	return key, nil
}

// changedKey returns the answer with the row of a stored key.
func changedKey(stored *unstructured.Unstructured) (any, error) {
	key, err := typed(stored)
	if err != nil {
		return nil, err
	}
	row := view.KeyRow(key)
	return wire.Changed{Key: &row}, nil
}

func typed(stored *unstructured.Unstructured) (*v1alpha1.JWTRefreshKey, error) {
	key := &v1alpha1.JWTRefreshKey{}
	return key, runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, key)
}

// changeKey answers PATCH api/keys/{ns}/{name}. It patches the touched field alone, so that no owner of another field prevents a
// revocation.
func (s *Server) changeKey(ctx context.Context, p *person, r *http.Request) (any, error) {
	var change wire.Change
	if err := decode(r, &change); err != nil {
		return nil, err
	}
	patch, err := keyPatch(&change, s.clock.Now())
	if err != nil {
		return nil, err
	}
	if change.Action == "rotate" || change.Action == "rotateNow" {
		if err := p.mayRotate(ctx, r, change.UID); err != nil {
			return nil, err
		}
	}
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: r.PathValue("ns"), Name: r.PathValue("name")}}
	if err := p.patch(ctx, key, change.UID, keyResource, patch); err != nil {
		return nil, err
	}
	row := view.KeyRow(key)
	return wire.Changed{Key: &row}, nil
}

// mayRotate returns why a rotation of the key of a path has no effect; nil if it has one. A person who may not read the key may ask for it.
func (p *person) mayRotate(ctx context.Context, r *http.Request, uid string) error {
	key, err := p.key(ctx, r)
	if err != nil {
		if failureOf(err).Code == http.StatusForbidden {
			return nil
		}
		return err
	}
	switch {
	case string(key.UID) != uid:
		// The patch says so.
		return nil
	case key.Status.Session != nil:
		return fail(http.StatusConflict, metav1.StatusReasonConflict,
			"%s is a session: its client gets the next token with the next use. Nothing was changed", key.Name)
	case key.Spec.Revoked:
		return fail(http.StatusConflict, metav1.StatusReasonConflict,
			"%s is revoked by its spec, so that a rotation has no effect. Nothing was changed: restore it, for a new token", key.Name)
	default:
		return nil
	}
}

// keyPatch returns the merge patch of a change.
func keyPatch(change *wire.Change, now time.Time) (map[string]any, error) {
	if (change.Action == "edit") != (len(change.Spec) > 0) || (change.Note != "" && change.Action != "revoke") {
		return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "spec belongs to the action edit, and note to the action revoke")
	}
	annotated := func(name string, value any) map[string]any {
		return map[string]any{"annotations": map[string]any{name: value}}
	}
	switch change.Action {
	case "rotate":
		return map[string]any{"metadata": annotated(v1alpha1.AnnotationRotate, fresh(now))}, nil
	case "rotateNow":
		return map[string]any{"metadata": annotated(v1alpha1.AnnotationRotateNow, fresh(now))}, nil
	case "revoke":
		patch := map[string]any{"spec": map[string]any{"revoked": true}}
		if change.Note != "" {
			patch["metadata"] = annotated(v1alpha1.AnnotationRevocationNote, change.Note)
		}
		return patch, nil
	case "restore":
		// The note is about the revocation that ends.
		return map[string]any{"spec": map[string]any{"revoked": false}, "metadata": annotated(v1alpha1.AnnotationRevocationNote, nil)}, nil
	case "edit":
		return map[string]any{"spec": change.Spec}, nil
	default:
		return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the action is rotate, rotateNow, revoke, restore or edit")
	}
}

// fresh returns a value that no earlier annotation has.
func fresh(now time.Time) string { return now.UTC().Format(time.RFC3339Nano) }

// patch sends a merge patch of the object with a UID. After it, the object has the stored state.
func (p *person) patch(ctx context.Context, object client.Object, uid, resource string, patch map[string]any) error {
	if uid == "" {
		return fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "a change needs the uid of the object")
	}
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}
	metadata["uid"] = uid
	body, err := json.Marshal(patch)
	if err != nil {
		return fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "spec is not JSON")
	}
	err = p.Patch(ctx, object, client.RawPatch(types.MergePatchType, body), client.FieldOwner(fieldManager), client.FieldValidation(metav1.FieldValidationStrict))
	if err != nil {
		return anotherObject(explain(err, right{"patch", resource, object.GetNamespace(), object.GetName()}), err, object.GetName())
	}
	return nil
}

// errAnother says that the page shows an object that is no longer there.
func errAnother(name string) error {
	return fail(http.StatusConflict, metav1.StatusReasonConflict,
		"%s is not the object that this page shows: it was deleted and made again under the same name. Nothing was changed: open it again", name)
}

// anotherObject returns the error of a patch with the UID of an object: in clear words if the object has another one, which no patch
// can change.
func anotherObject(err, said error, name string) error {
	onUID := func(c wire.Cause) bool { return c.Field == "metadata.uid" }
	if apierrors.IsInvalid(said) && slices.ContainsFunc(failureOf(said).Causes, onUID) {
		return errAnother(name)
	}
	return err
}

// deleteKey answers DELETE api/keys/{ns}/{name}.
func (s *Server) deleteKey(ctx context.Context, p *person, r *http.Request) (any, error) {
	uid, err := preconditionOf(r)
	if err != nil {
		return nil, err
	}
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: r.PathValue("ns"), Name: r.PathValue("name")}}
	err = p.Delete(ctx, key, client.Preconditions{UID: &uid})
	switch {
	case apierrors.IsConflict(err):
		// The UID is the only precondition.
		return nil, errAnother(key.Name)
	case err != nil:
		return nil, explain(err, right{"delete", keyResource, key.Namespace, key.Name})
	default:
		return wire.Changed{}, nil
	}
}

// preconditionOf reads the UID of the object that a request is about.
func preconditionOf(r *http.Request) (types.UID, error) {
	var body wire.Precondition
	if err := decode(r, &body); err != nil {
		return "", err
	}
	if body.UID == "" {
		return "", fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the request needs the uid of the object")
	}
	return types.UID(body.UID), nil
}
