package cluster

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// WorkingManager describes the manager that runs for a cluster; empty if
// there is none. deployed is true for one that runs in the cluster, and false for one that
// runs outside, as after `make up`, which its Lease shows.
func WorkingManager(ctx context.Context, clients kubernetes.Interface) (name string, deployed bool, err error) {
	deployment, err := clients.AppsV1().Deployments(managerNamespace).Get(ctx, managerAccount, metav1.GetOptions{})
	switch {
	case err == nil && deployment.Status.AvailableReplicas > 0:
		return "Deployment " + managerNamespace + "/" + managerAccount, true, nil
	case err != nil && !apierrors.IsNotFound(err):
		return "", false, err
	}
	lease, err := clients.CoordinationV1().Leases(managerNamespace).Get(ctx, managerAccount, metav1.GetOptions{})
	if err != nil {
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return "", false, err
	}
	spec := lease.Spec
	if ptr.Deref(spec.HolderIdentity, "") == "" || spec.RenewTime == nil ||
		time.Since(spec.RenewTime.Time) > time.Duration(ptr.Deref(spec.LeaseDurationSeconds, 0))*time.Second {
		return "", false, nil
	}
	return "the manager that holds Lease " + managerNamespace + "/" + managerAccount, false, nil
}
