package controllers

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// NewRefreshKeyReconciler returns the reconciler of NewManager, for a benchmark that calls it directly.
func NewRefreshKeyReconciler(mgr ctrl.Manager, o Options) reconcile.Reconciler {
	o.setDefaults()
	return newRefreshKeyReconciler(mgr, newCertificateReconciler(mgr, &o), &o)
}
