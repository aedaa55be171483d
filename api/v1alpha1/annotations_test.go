package v1alpha1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWithdrawnKIDs(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        []string
	}{
		{"none", "", nil},
		{"one", "a", []string{"a"}},
		{"several", "a,b c, d", []string{"a", "b", "c", "d"}},
		{"nothing between commas", ",a,, b ,", []string{"a", "b"}},
	} {
		issuer := &JWTIssuer{}
		issuer.Annotations = map[string]string{AnnotationWithdrawKey: c.value}
		if diff := cmp.Diff(c.want, WithdrawnKIDs(issuer), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
