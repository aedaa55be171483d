package signin

import (
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/oauth2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// failure is a sign-in that failed: a reason that the page has words for, and a cause for the log. Nothing that came from the
// provider or the browser is in the reason.
type failure struct {
	reason wire.SignInFailure
	cause  error
}

func failed(reason wire.SignInFailure, format string, values ...any) error {
	return &failure{reason: reason, cause: fmt.Errorf(format, values...)}
}

// Error implements error.
func (f *failure) Error() string { return string(f.reason) + ": " + f.cause.Error() }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.cause }

// Status implements the APIStatus of k8s.io/apimachinery/pkg/api/errors, which the console answers with.
func (f *failure) Status() metav1.Status {
	return metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnauthorized, Reason: metav1.StatusReason(f.reason), Message: "the sign-in at the provider failed",
	}
}

// failedAt returns the failure of a request to a server that an error stands for.
func failedAt(err error, refused wire.SignInFailure) error {
	if errors.Is(err, upstream.ErrUnavailable) {
		return failed(wire.ProviderAway, "%w", err)
	}
	return failed(refused, "%w", err)
}

// refusal is the answer of a token endpoint that refuses a request.
type refusal struct {
	status int
	code   string
}

// Error implements error. The description of the server is left out: it may repeat what was sent.
func (r *refusal) Error() string {
	return fmt.Sprintf("the token endpoint answers %d %q", r.status, r.code)
}

// isLost reports whether the server of a request may have acted on it, though no answer of it came.
func isLost(err error) bool {
	var answered *refusal
	if errors.As(err, &answered) {
		return answered.status == http.StatusBadGateway || answered.status == http.StatusGatewayTimeout
	}
	return errors.Is(err, upstream.ErrUnavailable)
}

// judged returns what an error of x/oauth2 means: a *refusal, which is final, or upstream.ErrUnavailable.
func judged(err error) error {
	var retrieval *oauth2.RetrieveError
	if !errors.As(err, &retrieval) || retrieval.Response == nil {
		return fmt.Errorf("%w: the token endpoint gives no answer: %w", upstream.ErrUnavailable, err)
	}
	refused := &refusal{status: retrieval.Response.StatusCode, code: retrieval.ErrorCode}
	if refused.status >= http.StatusInternalServerError || refused.status == http.StatusTooManyRequests {
		return fmt.Errorf("%w: %w", upstream.ErrUnavailable, refused)
	}
	return refused
}
