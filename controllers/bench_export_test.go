package controllers

import ctrl "sigs.k8s.io/controller-runtime"

// NewRefreshKeyReconciler returns the reconciler of NewManager, for a benchmark that calls it directly.
func NewRefreshKeyReconciler(mgr ctrl.Manager, o Options) *RefreshKeyReconciler {
	o.setDefaults()
	return newRefreshKeyReconciler(mgr, newCertificateReconciler(mgr, &o), &o)
}
