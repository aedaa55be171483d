package certificate

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
)

// trustedSuffix is the suffix of the Secret that keeps the last good ca.crt of a provided certificate. The Secret is in
// the operator's namespace, where no tenant can write it.
const trustedSuffix = "-trusted"

// provided takes over the usable certificates of the ca.crt that the user provides.
func (r *Reconciler) provided(ctx context.Context, served *corev1.Secret, now time.Time) error {
	keeper, found, err := r.readKept(ctx)
	if err != nil {
		return err
	}
	verdict := authority.Judge(served.Data[corev1.ServiceAccountRootCAKey], served.Data[corev1.TLSCertKey], *r.kept, now)
	r.trust(verdict.Bundle)
	r.setFinding(r.finding(&verdict))
	if !verdict.New || bytes.Equal(verdict.Bundle, *r.kept) {
		return nil
	}
	if keeper == nil {
		if keeper, found, err = r.readKeeper(ctx); err != nil {
			return err
		}
	}
	if err := r.write(ctx, keeper, found, map[string][]byte{corev1.ServiceAccountRootCAKey: verdict.Bundle}); err != nil {
		return err
	}
	r.kept = &verdict.Bundle
	return nil
}

// readKept reads the last good bundle once, as strictly as a provided one.
func (r *Reconciler) readKept(ctx context.Context) (keeper *corev1.Secret, found bool, err error) {
	if r.kept != nil {
		return nil, false, nil
	}
	if keeper, found, err = r.readKeeper(ctx); err != nil {
		return nil, false, err
	}
	kept := authority.Certificates(keeper.Data[corev1.ServiceAccountRootCAKey])
	r.kept = &kept
	return keeper, found, nil
}

func (r *Reconciler) readKeeper(ctx context.Context) (*corev1.Secret, bool, error) {
	keeper, found, err := r.read(ctx, r.Secret+trustedSuffix)
	if !found {
		keeper.Type = corev1.SecretTypeOpaque
	}
	return keeper, found, err
}

// finding returns the fault, what the operator does about it, and what the user has to do.
func (r *Reconciler) finding(verdict *authority.Verdict) issuerlifecycle.TrustFault {
	wrong := map[authority.Finding]string{
		authority.Empty:         "is empty",
		authority.NoCertificate: "holds no certificate",
		authority.Expired:       "holds only certificates that have expired",
		authority.Mixed:         "holds parts that are not certificates",
		authority.TooLarge:      fmt.Sprintf("holds more than %d KiB of certificates", authority.MaxBundle>>10),
	}[verdict.Finding]
	var reason, done string
	switch {
	case verdict.Finding == authority.Sound:
		return issuerlifecycle.TrustFault{}
	case verdict.New:
		reason, done = v1alpha1.ReasonTrustBundlePartial, "the rest of it is left out of the Secrets of keys"
	case len(verdict.Bundle) > 0:
		reason, done = v1alpha1.ReasonTrustBundleKept, "the Secrets of keys keep the last good certificates"
	default:
		reason, done = v1alpha1.ReasonTrustBundleMissing, "the Secrets of keys have no ca.crt"
	}
	return issuerlifecycle.TrustFault{Reason: reason, Message: fmt.Sprintf(
		"ca.crt of Secret %q in the operator's namespace %s; %s. Put the certificates of the authority there, in PEM and nothing else.", r.Secret, wrong, done)}
}

// setFinding enqueues all issuers, so that their conditions report the finding.
func (r *Reconciler) setFinding(finding issuerlifecycle.TrustFault) {
	before := r.found.Swap(&finding)
	if before != nil && *before == finding {
		return
	}
	select {
	case r.findingChanged <- event.GenericEvent{Object: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Secret}}}:
	default:
		// An earlier finding already enqueues the issuers; they read this one.
	}
}

// Found returns the fault of the bundle that clients trust; nil if it is not known. The first call ensures the certificate.
func (r *Reconciler) Found(ctx context.Context) *issuerlifecycle.TrustFault {
	if _, err := r.Trusted(ctx); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot read the CA bundle that clients trust")
		return nil
	}
	return r.found.Load()
}
