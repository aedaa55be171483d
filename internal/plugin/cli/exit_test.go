package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestExitCodes(t *testing.T) {
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "jwtrefreshkeys"}, "orders")
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, ExitDone},
		{"any", errors.New("any"), ExitError},
		{"usage", UsageError("wrong"), ExitUsage},
		{"not found", missing, ExitNotFound},
		{"not found, wrapped", fmt.Errorf("key: %w", missing), ExitNotFound},
		{"the outer exit code counts", Fail(ExitUnverified, "revoked: %w", missing), ExitUnverified},
		{"refused", &CodedError{Code: ExitRefused, Err: errors.New("refused")}, ExitRefused},
		{"timed out", fmt.Errorf("asking: %w", context.DeadlineExceeded), ExitTimedOut},
		{"without a message", ExitOnly(ExitRefused), ExitRefused},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if ExitOnly(ExitDone) != nil {
		t.Error("ExitDone is an error")
	}
	for code := ExitDone; code <= ExitUnverified; code++ {
		if !strings.Contains(exitCodes, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("exit code %d is not in the help", code)
		}
	}
}
