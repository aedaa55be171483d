// Package uninstall takes back all that was issued, for good, before an installation goes
// whose owner wants nothing of it to stay.
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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
)

// Names of what an installation has; those of config and of the chart.
const (
	managerDeployment = "refreshkeys-manager"
	managerPods       = "app.kubernetes.io/name=refreshkeys,app.kubernetes.io/component=manager"
	admissionPolicy   = "refreshkeys." + v1alpha1.Group
	// admissionAdvice warns, and refuses nothing.
	admissionAdvice = "refreshkeys-advice." + v1alpha1.Group
)

const (
	lookAgain = 500 * time.Millisecond
	pageSize  = 500
	// namesShown bounds what is printed about Secrets that stay.
	namesShown = 20
)

var (
	keys        = v1alpha1.GroupVersion.WithResource("jwtrefreshkeys")
	issuers     = v1alpha1.GroupVersion.WithResource("jwtissuers")
	secrets     = corev1.SchemeGroupVersion.WithResource("secrets")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	policies    = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}
	bindings    = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"}
)

// Removal takes everything back that an installation has issued. It may be interrupted and
// begun again.
type Removal struct {
	// Client needs no more than the names and metadata of things.
	Client metadata.Interface
	// Namespace is the operator's own, and Namespaces those that it serves; all, when empty.
	Namespace  string
	Namespaces []string
	// CRDs says to remove the kinds as well, with their admission policy.
	CRDs bool
	// Report gets a line for each thing that is done.
	Report io.Writer
}

// Run returns when all of it is gone.
func (r *Removal) Run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		r.stopManager,
		// First the keys, since whoever presents a token of one is then told that it is over; again after
		// the issuers, since somebody may have signed in meanwhile.
		r.removeKeys, r.removeIssuers, r.removeKeys,
		r.awaitTokens, r.removeSigningKeys, r.removeKinds,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stopManager ends whoever would make the Secrets with signing keys again.
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

// removeAll returns when there is nothing of a kind.
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

// awaitTokens returns when no Secret of a key is left but those that a key itself was told to
// leave (deletionPolicy Retain). No token in these is accepted any more.
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

// removeSigningKeys removes what the operator has made for itself: signing keys, and the
// authority with its certificate.
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

// removeKinds leaves the admission policies in force until there is nothing to judge.
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

// served are the namespaces to look in.
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

// list finds nothing of a kind that is not there, as after a removal that was interrupted.
func (r *Removal) list(ctx context.Context, kind schema.GroupVersionResource, namespace, selector string) (all []metav1.PartialObjectMetadata, err error) {
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
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

// ofKeys returns the Secrets of keys that stay, or are deleted, for one reason.
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
