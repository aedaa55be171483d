package lifecycle_test

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Decide returns what to do next with a refresh key. The key is new here: its first token is written to the Secret, and
// is recorded in status after that.
func ExampleDecide() {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	granted, err := policy.Compile(&v1alpha1.JWTIssuerSpec{})
	if err != nil {
		fmt.Println(err)
		return
	}
	observed := lifecycle.Observed{
		Key: &v1alpha1.JWTRefreshKey{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", CreationTimestamp: metav1.NewTime(now)},
			Spec:       v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"},
		},
		Issuer: lifecycle.Issuer{Name: "default", Found: true, Ready: true, URL: "https://tokens.example.com", Policy: granted, AccessLifetime: 15 * time.Minute},
		Secret: lifecycle.Secret{State: lifecycle.SecretMissing, Name: "orders"},
	}
	plan := lifecycle.Decide(observed, now)
	fmt.Println("decided by:", plan.Check)
	fmt.Println("issue the first token:", plan.Line == lifecycle.IssueFirst)
	fmt.Println("valid until:", plan.Mint.ExpiresAt)
	fmt.Println("status before the Secret:", plan.StatusFirst(&observed))
	fmt.Println("then Ready is true:", plan.Verdict.Message)
	// Output:
	// decided by: no token yet
	// issue the first token: true
	// valid until: 2026-05-31 12:00:00 +0000 UTC
	// status before the Secret: false
	// then Ready is true: Secret "orders" holds a token that the token service accepts.
}
