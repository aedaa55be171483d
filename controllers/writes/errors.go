// Package writes holds what the controllers know of their writes: why one failed, which ones the caches do not show yet, and which
// ones admission changed.
package writes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/redact"
)

// ErrOutdated means that the caches differ from the API server: observe again, from the API server.
var ErrOutdated = errors.New("the observed state is out of date")

// SecretTimeout bounds a write of a Secret. By default, the API server ends the call of a webhook after 10 s
// and names the webhook in its error.
const SecretTimeout = 11 * time.Second

// SecretError is a failed write or deletion of a Secret. The operator retries it in any case.
type SecretError struct{ lifecycle.Failure }

// Error is part of error.
func (e *SecretError) Error() string {
	if e.Refused {
		return fmt.Sprintf("the API server refuses Secret %q: %s", e.Name, e.Answer)
	}
	return fmt.Sprintf("cannot write Secret %q: %s", e.Name, e.Answer)
}

// FailureIn returns the failed write of a Secret in an error. Writes that end because the manager stops do not count.
func FailureIn(ctx context.Context, err error) (*SecretError, bool) {
	var failed *SecretError
	return failed, errors.As(err, &failed) && ctx.Err() == nil
}

// AsSecretError returns the error of a write of a Secret. It repeats only those parts of the API server's message
// that cannot be part of a token, since a validation or a webhook can quote the object. held is the data that
// the Secret has, or was to have.
func AsSecretError(name string, err error, held ...map[string][]byte) error {
	if err == nil {
		return nil
	}
	denied := deniedByAdmission(err)
	if !denied && (apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)) {
		return ErrOutdated
	}
	return &SecretError{lifecycle.Failure{Name: name, Answer: answerOf(err, held), Refused: denied || needsUser(err)}}
}

// answerOf returns the reason of an error, and the parts of its message that may be repeated.
func answerOf(err error, held []map[string][]byte) string {
	if errors.Is(err, context.DeadlineExceeded) && apierrors.ReasonForError(err) == "" {
		return fmt.Sprintf("the API server did not answer within %s", SecretTimeout)
	}
	var values [][]byte
	for _, data := range held {
		for _, value := range data {
			values = append(values, value)
		}
	}
	message := redact.Answer(err.Error(), values...)
	switch reason := string(apierrors.ReasonForError(err)); {
	case reason == "":
		return message
	case message == "":
		return reason
	default:
		return reason + ": " + message
	}
}

// deniedByAdmission reports whether a webhook or an admission policy denied a request. Such a denial can have any status code.
func deniedByAdmission(err error) bool {
	text := err.Error()
	return apierrors.ReasonForError(err) != "" && (strings.Contains(text, "denied the request") || strings.Contains(text, "denied request"))
}

// needsUser reports whether a user must act on a refusal, which is by a quota, a policy or a validation. It is false for
// a failure that a retry can resolve.
func needsUser(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || unauthorized(err) {
		return false
	}
	switch code := status.Status().Code; code {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	default:
		return code >= 400 && code < 500
	}
}

// unauthorized reports whether the authorizer refused a request, and not a quota or an admission policy. An API server
// that has just started refuses all requests for a short time.
func unauthorized(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `is forbidden: User "`)
}
