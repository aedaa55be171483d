package apiserver

import (
	"context"
	"errors"
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
// each of its refusals contains.
const PolicyName = "refreshkeys.jwt.refreshkeys.dev"

// Unguarded calls a function while the admission policy is not enforced, such as for
// storing an object that the policy refuses. It takes some seconds, and all concurrent
// writes are not validated either. It fails with an existing cluster.
func (s *Server) Unguarded(ctx context.Context, do func() error) (err error) {
	if s.Existing() {
		return errors.New("the admission policy of an existing cluster cannot be disabled")
	}
	if _, err := s.Kubectl(ctx, "", "delete", "validatingadmissionpolicybinding", PolicyName); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.Apply(ctx, "config/crd"), s.waitUntilEnforced(ctx, true))
	}()
	if err := s.waitUntilEnforced(ctx, false); err != nil {
		return err
	}
	return do()
}

// waitUntilEnforced waits until the admission policy is enforced, or is no
// longer: the API server applies a policy some time after it has accepted it.
func (s *Server) waitUntilEnforced(ctx context.Context, wanted bool) error {
	admin, err := client.New(s.Admin, client.Options{})
	if err != nil {
		return err
	}
	probe := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "probe", "namespace": "default"},
		"spec": map[string]any{
			"audience": "https://probe.example.com",
			"claims":   map[string]any{"iss": "not allowed"},
		},
	}}
	probe.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))

	var answer string
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		err := admin.Create(ctx, probe.DeepCopy(), client.DryRunAll)
		answer = fmt.Sprint(err)
		if wanted {
			return apierrors.IsInvalid(err) && strings.Contains(answer, PolicyName), nil
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the admission policy %s did not become enforced or disabled: a key with a registered claim got %s: %w", PolicyName, answer, err)
	}
	return nil
}
