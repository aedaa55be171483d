package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/view"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// preview answers POST api/keys/{ns}/preview: what the API server, the issuer and the operator would say to a manifest. Nothing is
// stored.
func (s *Server) preview(ctx context.Context, p *person, r *http.Request) (any, error) {
	var body wire.Preview
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	manifest, err := view.Manifest(body.Manifest, r.PathValue("ns"))
	if err != nil {
		return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "%s", err)
	}
	said := wire.Previewed{}
	if said.YAML, err = view.YAML(manifest); err != nil {
		return nil, err
	}
	needs := right{"create", keyResource, manifest.GetNamespace(), ""}
	if body.UID != "" {
		needs.verb, needs.name = "patch", manifest.GetName()
	}
	stored, before, err := p.tryOut(ctx, manifest, types.UID(body.UID))
	if err := refusal(&said, err, needs); err != nil {
		return nil, err
	}
	if stored == nil {
		// What the API server refuses may still be readable: then the policy has an answer.
		stored = manifest
	}
	key, err := typed(stored)
	if err != nil {
		return said, nil //nolint:nilerr // the API server's causes say what is wrong with the manifest
	}
	if before == nil {
		key.UID = "" // each dry run has another
	}
	if err := p.grants(ctx, key, &said); err != nil {
		return nil, err
	}
	if len(said.Causes) == 0 {
		if ahead, err := lifecycle.Foresee(key, before, s.clock.Now()); err == nil {
			said.FirstRenewal, said.End = view.Stamp(ahead.Renewal), view.Stamp(ahead.End)
		}
	}
	return said, nil
}

// tryOut has the API server check a manifest. It returns what would be stored, and the present state of a key to edit.
func (p *person) tryOut(ctx context.Context, manifest *unstructured.Unstructured, uid types.UID) (stored *unstructured.Unstructured, before *v1alpha1.JWTRefreshKey, err error) {
	stored = manifest.DeepCopy()
	if uid == "" {
		if err := p.Create(ctx, stored, client.DryRunAll, client.FieldOwner(fieldManager), client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			return nil, nil, err
		}
		return stored, nil, nil
	}
	before = &v1alpha1.JWTRefreshKey{}
	if err := p.Get(ctx, client.ObjectKeyFromObject(manifest), before); err != nil {
		return nil, nil, err
	}
	if before.UID != uid {
		return nil, before, errAnother(before.Name)
	}
	patch, err := specPatch(before, manifest, uid)
	if err != nil {
		return nil, nil, err
	}
	err = p.Patch(ctx, stored, client.RawPatch(types.MergePatchType, patch), client.DryRunAll,
		client.FieldOwner(fieldManager), client.FieldValidation(metav1.FieldValidationStrict))
	if err != nil {
		return nil, before, err
	}
	return stored, before, nil
}

// specPatch returns the merge patch that makes the spec of a key that of a manifest.
func specPatch(before *v1alpha1.JWTRefreshKey, manifest *unstructured.Unstructured, uid types.UID) ([]byte, error) {
	spec, _ := manifest.Object["spec"].(map[string]any)
	present, err := json.Marshal(before.Spec)
	if err != nil {
		return nil, err
	}
	var held map[string]any
	if err := json.Unmarshal(present, &held); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "spec": differences(held, spec)})
}

// differences returns the merge patch from one value to another: what the second lacks becomes null.
func differences(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for name, value := range to {
		inner, nested := value.(map[string]any)
		held, had := from[name].(map[string]any)
		if nested && had {
			patch[name] = differences(held, inner)
			continue
		}
		patch[name] = value
	}
	for name := range from {
		if _, stays := to[name]; !stays {
			patch[name] = nil
		}
	}
	return patch
}

// refusal adds what the API server says against a manifest to the answer. Other errors it returns.
func refusal(said *wire.Previewed, err error, needs right) error {
	var own *failed
	if errors.As(err, &own) {
		said.Denied = &own.Failure
		return nil
	}
	var answer apierrors.APIStatus
	if err == nil || !errors.As(err, &answer) {
		return err
	}
	status := answer.Status()
	switch {
	case view.IsRefusal(&status):
		said.Causes = view.Causes(&status)
	case status.Code == http.StatusUnauthorized:
		return err
	default:
		said.Denied = failureFrom(err, needs)
	}
	return nil
}

// grants adds what the policy of the key's issuer says, if the person may read the issuer and the namespace.
func (p *person) grants(ctx context.Context, key *v1alpha1.JWTRefreshKey, said *wire.Previewed) error {
	if key.Spec.Audience == "" {
		return nil
	}
	issuer, labels, err := p.policySources(ctx, lifecycle.IssuerName(key), key.Namespace)
	var unreadable apierrors.APIStatus
	switch {
	case errors.As(err, &unreadable) && unreadable.Status().Code != http.StatusUnauthorized:
		return nil
	case err != nil:
		return err
	}
	answer := view.PolicyOf(key, issuer, labels)
	said.Policy, said.Scopes = &answer, view.Suggestions(issuer, answer.Rule)
	return nil
}

// policySources reads what a policy depends on: the issuer, and the labels of the namespace.
func (p *person) policySources(ctx context.Context, name, namespace string) (*v1alpha1.JWTIssuer, map[string]string, error) {
	issuer, in := &v1alpha1.JWTIssuer{}, &corev1.Namespace{}
	if err := p.Get(ctx, client.ObjectKey{Name: name}, issuer); err != nil {
		return nil, nil, err
	}
	if err := p.Get(ctx, client.ObjectKey{Name: namespace}, in); err != nil {
		return nil, nil, err
	}
	return issuer, in.Labels, nil
}
