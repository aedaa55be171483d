package lifecycle

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// reserved matches the label and annotation names of Kubernetes and of the operator. A label or an annotation of
// spec.secret would override the operator's.
var reserved = regexp.MustCompile(`^([^/]*[.])?(kubernetes[.]io|k8s[.]io|refreshkeys[.]dev)/`)

func validateMarks(secret *v1alpha1.SecretSpec) error {
	if secret == nil {
		return nil
	}
	names := map[string][]string{
		"labels":      slices.Sorted(maps.Keys(secret.Labels)),
		"annotations": slices.Sorted(maps.Keys(secret.Annotations)),
	}
	for _, field := range []string{"annotations", "labels"} {
		if i := slices.IndexFunc(names[field], reserved.MatchString); i >= 0 {
			return fmt.Errorf("spec.secret.%s: %q is reserved; use a prefix of your own", field, names[field][i])
		}
	}
	return nil
}
