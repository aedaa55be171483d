package apiserver

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// PolicyName is the name of the ValidatingAdmissionPolicy in config/crd, which
// stands in each of its refusals.
const PolicyName = "refreshkeys.jwt.refreshkeys.dev"

// waitUntilEnforced waits until the admission policy refuses: the API server
// compiles a policy some time after it has accepted it, and lets everything
// through until then.
func (s *Server) waitUntilEnforced(ctx context.Context) error {
	admin, err := client.New(s.Admin, client.Options{})
	if err != nil {
		return err
	}
	probe := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "probe", "namespace": "default"},
		"spec": map[string]any{
			"audience": "https://probe.example.com",
			"claims":   map[string]any{"iss": "nobody may choose this"},
		},
	}}
	probe.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))

	var last error
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = admin.Create(ctx, probe.DeepCopy(), client.DryRunAll)
		return apierrors.IsInvalid(last) && strings.Contains(last.Error(), PolicyName), nil
	})
	if err != nil {
		return fmt.Errorf("the admission policy %s did not come into force: a key with a registered claim got %v, not a refusal: %w", PolicyName, last, err)
	}
	return nil
}
