// Package uninstall permanently removes all issued objects before the installation itself
// is removed.
package uninstall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
)

// Names of the objects of an installation, as in config and the chart.
const (
	managerDeployment = "refreshkeys-manager"
	managerPods       = "app.kubernetes.io/name=refreshkeys,app.kubernetes.io/component=manager"
	admissionPolicy   = "refreshkeys." + v1alpha1.Group
	// admissionAdvice warns and never refuses.
	admissionAdvice = "refreshkeys-advice." + v1alpha1.Group
)

const (
	lookAgain = 500 * time.Millisecond
	pageSize  = 500
	// namesShown is the largest number of printed names of remaining Secrets.
	namesShown = 20
)

var (
	keys        = v1alpha1.GroupVersion.WithResource("jwtrefreshkeys")
	issuers     = v1alpha1.GroupVersion.WithResource("jwtissuers")
	secrets     = corev1.SchemeGroupVersion.WithResource("secrets")
	configMaps  = corev1.SchemeGroupVersion.WithResource("configmaps")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	policies    = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}
	bindings    = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"}
)

// Removal removes everything that an installation issued. It can be interrupted and
// started again.
type Removal struct {
	// Client needs only names and metadata of objects.
	Client metadata.Interface
	// Namespace is the operator's own, and Namespaces those that it serves; all, when empty.
	Namespace  string
	Namespaces []string
	// CRDs is true to also remove the CRDs, with their admission policy.
	CRDs bool
	// Report receives a line for each step.
	Report io.Writer
}

// Run returns when everything is removed.
func (r *Removal) Run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		r.stopManager,
		// First the refresh keys, so that clients get invalid_grant for their tokens; again after the
		// issuers, because a login can have created another session.
		r.removeKeys, r.removeIssuers, r.removeKeys,
		r.awaitTokens, r.removeSigningKeys, r.removePublished, r.removeKinds,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stopManager stops the manager, which would create the Secrets with signing keys again.
func (r *Removal) stopManager(ctx context.Context) error {
	_, err := r.Client.Resource(deployments).Namespace(r.Namespace).Patch(ctx, managerDeployment,
		types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("stop the manager: %w", err)
	}
	left := 0
	err = r.until(ctx, func(ctx context.Context) (bool, error) {
		running, err := r.list(ctx, pods, r.Namespace, managerPods)
		if err != nil {
			return false, err
		}
		left = len(running)
		return left == 0, nil
	})
	if err != nil && left == 0 {
		return fmt.Errorf("see that the manager is stopped: %w", err)
	}
	if err != nil {
		return fmt.Errorf("%d pods of Deployment %s are still there: %w", left, managerDeployment, err)
	}
	r.report("the manager is stopped")
	return nil
}

func (r *Removal) removeKeys(ctx context.Context) error {
	return r.removeAll(ctx, keys, r.served(), "keys")
}

func (r *Removal) removeIssuers(ctx context.Context) error {
	return r.removeAll(ctx, issuers, []string{metav1.NamespaceAll}, "issuers")
}

// removeAll deletes all objects of a kind and returns when none exists.
func (r *Removal) removeAll(ctx context.Context, kind schema.GroupVersionResource, namespaces []string, name string) error {
	deleted := map[types.UID]bool{}
	var left []metav1.PartialObjectMetadata
	err := r.until(ctx, func(ctx context.Context) (bool, error) {
		found, err := r.listIn(ctx, kind, namespaces, "")
		if err != nil {
			return false, err
		}
		left = found
		for i := range left {
			if left[i].DeletionTimestamp == nil {
				deleted[left[i].UID] = true
			}
			if err := r.remove(ctx, kind, left[i].Namespace, left[i].Name); err != nil {
				return false, err
			}
		}
		return len(left) == 0, nil
	})
	if err != nil && len(left) == 0 {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	if err != nil {
		return fmt.Errorf("%d %s are still there, by finalizers of others or for what is said at the end: %s: %w", len(left), name, names(left), err)
	}
	if len(deleted) > 0 {
		r.report("%d %s are deleted", len(deleted), name)
	}
	return nil
}

// awaitTokens returns when the only remaining Secrets of refresh keys are those with
// deletionPolicy Retain. Their tokens are no longer accepted.
func (r *Removal) awaitTokens(ctx context.Context) error {
	var owned, retained, stranded []metav1.PartialObjectMetadata
	err := r.until(ctx, func(ctx context.Context) (bool, error) {
		found, err := r.listIn(ctx, secrets, r.served(), v1alpha1.LabelManagedBy+"="+v1alpha1.ManagedBy)
		if err != nil {
			return false, err
		}
		owned, retained, stranded = ofKeys(found, ownership.Collected), ofKeys(found, ownership.Retained), ofKeys(found, ownership.Stranded)
		return len(owned) == 0, nil
	})
	if err != nil && len(owned) == 0 {
		return fmt.Errorf("look for Secrets of keys: %w", err)
	}
	if err != nil {
		return fmt.Errorf("%d Secrets of keys that are deleted are still there, which the cluster's garbage collector removes: %s: %w", len(owned), names(owned), err)
	}
	r.report("no Secret of a key is left that was to go with it")
	if len(retained) > 0 {
		r.report("%d Secrets stay, as their keys said (deletionPolicy: Retain); no token in them is accepted any more: %s", len(retained), names(retained))
	}
	if len(stranded) > 0 {
		r.report("%d Secrets stay, since they have lost the ownerReference to their key; no token in them is accepted any more, so delete them: %s", len(stranded), names(stranded))
	}
	return nil
}

// removeSigningKeys removes the operator's own Secrets: signing keys, and the authority with
// its certificate.
func (r *Removal) removeSigningKeys(ctx context.Context) error {
	found, err := r.list(ctx, secrets, r.Namespace, v1alpha1.LabelManagedBy+"="+v1alpha1.ManagedBy)
	if err != nil {
		return err
	}
	own := slices.DeleteFunc(found, func(secret metav1.PartialObjectMetadata) bool {
		_, ofKey := ownership.OfKey(&secret)
		return ofKey
	})
	for i := range own {
		if err := r.remove(ctx, secrets, r.Namespace, own[i].Name); err != nil {
			return err
		}
	}
	r.report("%d Secrets with signing keys and certificates are deleted", len(own))
	return nil
}

// removePublished removes the ConfigMaps with the CA bundle that the operator published. Most installations publish none, so a missing
// right to list them is reported and is no failure.
func (r *Removal) removePublished(ctx context.Context) error {
	removed := 0
	for _, namespace := range r.served() {
		found, err := r.listWhere(ctx, configMaps, namespace, metav1.ListOptions{
			// A right on this name alone allows to list by this field.
			FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, v1alpha1.PublishedCA).String(),
			LabelSelector: v1alpha1.LabelManagedBy + "=" + v1alpha1.ManagedBy,
		})
		if apierrors.IsForbidden(err) {
			r.report("ConfigMaps %s stay, if there are any: there is no right to list them", v1alpha1.PublishedCA)
			continue
		}
		if err != nil {
			return fmt.Errorf("look for the published CA bundle: %w", err)
		}
		for i := range found {
			if err := r.remove(ctx, configMaps, found[i].Namespace, found[i].Name); err != nil {
				return err
			}
			removed++
		}
	}
	if removed > 0 {
		r.report("%d ConfigMaps with the CA bundle are deleted", removed)
	}
	return nil
}

// removeKinds removes the CRDs, and then the admission policies.
func (r *Removal) removeKinds(ctx context.Context) error {
	if !r.CRDs {
		r.report("the CRDs stay")
		return nil
	}
	for _, kind := range []schema.GroupVersionResource{keys, issuers} {
		name := kind.GroupResource().String()
		err := r.until(ctx, func(ctx context.Context) (bool, error) {
			if err := r.remove(ctx, definitions, "", name); err != nil {
				return false, err
			}
			_, err := r.Client.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), ignoreNotFound(err)
		})
		if err != nil {
			return fmt.Errorf("the CRD %s is still there: %w", name, err)
		}
	}
	r.report("the CRDs are deleted")
	return errors.Join(
		r.remove(ctx, bindings, "", admissionPolicy), r.remove(ctx, policies, "", admissionPolicy),
		r.remove(ctx, bindings, "", admissionAdvice), r.remove(ctx, policies, "", admissionAdvice),
	)
}

// served returns the namespaces of the operator.
func (r *Removal) served() []string {
	if len(r.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return r.Namespaces
}

func (r *Removal) listIn(ctx context.Context, kind schema.GroupVersionResource, namespaces []string, selector string) (all []metav1.PartialObjectMetadata, err error) {
	for _, namespace := range namespaces {
		found, err := r.list(ctx, kind, namespace, selector)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// list returns an empty list for a kind that does not exist, as after an interrupted removal.
func (r *Removal) list(ctx context.Context, kind schema.GroupVersionResource, namespace, selector string) (all []metav1.PartialObjectMetadata, err error) {
	return r.listWhere(ctx, kind, namespace, metav1.ListOptions{LabelSelector: selector})
}

func (r *Removal) listWhere(ctx context.Context, kind schema.GroupVersionResource, namespace string, options metav1.ListOptions) (all []metav1.PartialObjectMetadata, err error) {
	options.Limit = pageSize
	for {
		page, err := r.Client.Resource(kind).Namespace(namespace).List(ctx, options)
		if err != nil {
			return nil, ignoreNotFound(err)
		}
		all = append(all, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

func (r *Removal) remove(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) error {
	return ignoreNotFound(r.Client.Resource(kind).Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{}))
}

func (r *Removal) until(ctx context.Context, done func(context.Context) (bool, error)) error {
	return wait.PollUntilContextCancel(ctx, lookAgain, true, done)
}

func (r *Removal) report(format string, arguments ...any) {
	fmt.Fprintf(r.Report, format+"\n", arguments...)
}

// ofKeys returns the Secrets of refresh keys that stay, or are deleted, for one reason.
func ofKeys(found []metav1.PartialObjectMetadata, why ownership.Kept) (some []metav1.PartialObjectMetadata) {
	for i := range found {
		if kept, ofKey := ownership.OfKey(&found[i]); ofKey && kept == why {
			some = append(some, found[i])
		}
	}
	return some
}

func names(objects []metav1.PartialObjectMetadata) string {
	var all []string
	for i := range objects {
		if i == namesShown {
			all = append(all, "…")
			break
		}
		all = append(all, strings.TrimPrefix(objects[i].Namespace+"/"+objects[i].Name, "/"))
	}
	return strings.Join(all, ", ")
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
