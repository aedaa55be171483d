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
// stands in each of its refusals.
const PolicyName = "refreshkeys.jwt.refreshkeys.dev"

// Unguarded does something while the admission policy is out of force, such as
// storing an object that it refuses. It takes some seconds, and whatever else is
// written meanwhile is not judged either. It is refused with an existing cluster.
func (s *Server) Unguarded(ctx context.Context, do func() error) (err error) {
	if s.Existing() {
		return errors.New("the admission policy of an existing cluster is not taken out of force")
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

// waitUntilEnforced waits until the admission policy refuses what it should, or no
// longer does: the API server takes up a policy some time after it has accepted it.
func (s *Server) waitUntilEnforced(ctx context.Context, wanted bool) error {
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
		return fmt.Errorf("the admission policy %s did not come into or out of force: a key with a registered claim got %s: %w", PolicyName, answer, err)
	}
	return nil
}
