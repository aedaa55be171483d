package policy_test

import (
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// A policy is compiled once for an issuer. Check returns nil for what a rule grants, and else says what is missing.
func ExamplePolicy_Check() {
	granted, err := policy.Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{
		{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := policy.Request{
		Namespace: "shop", DefaultSubject: "refreshkey:shop:orders", Subject: "refreshkey:shop:orders",
		Audience: "https://orders.example.com", Scopes: []string{"orders:read"}, Lifetime: 720 * time.Hour, AccessLifetime: 15 * time.Minute,
	}
	fmt.Println(granted.Check(request))
	request.Scopes = append(request.Scopes, "payments:write")
	fmt.Println(granted.Check(request))
	// Output:
	// <nil>
	// no policy rule grants all of it; rule 1 comes closest and lacks: scope "payments:write"
}
