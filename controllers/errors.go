package controllers

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

// errOutdated says that the caches showed something else than what is: observe again,
// from the API server itself.
var errOutdated = errors.New("the observed state is out of date")

// secretWriteTimeout bounds a write of a Secret. The API server gives up on a webhook after 10 s, unless that is
// configured otherwise, and names it then.
const secretWriteTimeout = 11 * time.Second

// secretError is a write of a Secret, or the deletion of one, that failed. It is tried again in any case.
type secretError struct{ lifecycle.Failure }

func (e *secretError) Error() string {
	if e.Refused {
		return fmt.Sprintf("the API server refuses Secret %q: %s", e.Name, e.Answer)
	}
	return fmt.Sprintf("cannot write Secret %q: %s", e.Name, e.Answer)
}

// secretWriteError returns the error of a write of a Secret. It repeats only those parts of the API server's message
// that cannot be part of a token, since a validation or a webhook can quote the object. held is the data that
// the Secret has, or was to have.
func secretWriteError(name string, err error, held ...map[string][]byte) error {
	if err == nil {
		return nil
	}
	denied := deniedByAdmission(err)
	if !denied && (apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)) {
		return errOutdated
	}
	return &secretError{lifecycle.Failure{Name: name, Answer: answerOf(err, held), Refused: denied || refusedForGood(err)}}
}

// answerOf returns the reason of an error, and the parts of its message that may be repeated.
func answerOf(err error, held []map[string][]byte) string {
	if errors.Is(err, context.DeadlineExceeded) && apierrors.ReasonForError(err) == "" {
		return fmt.Sprintf("the API server did not answer within %s", secretWriteTimeout)
	}
	var values [][]byte
	for _, data := range held {
		for _, value := range data {
			values = append(values, value)
		}
	}
	said := redact.Answer(err.Error(), values...)
	switch reason := string(apierrors.ReasonForError(err)); {
	case reason == "":
		return said
	case said == "":
		return reason
	default:
		return reason + ": " + said
	}
}

// deniedByAdmission tells whether a webhook or an admission policy denied a request, which can have any status code.
func deniedByAdmission(err error) bool {
	text := err.Error()
	return apierrors.ReasonForError(err) != "" && (strings.Contains(text, "denied the request") || strings.Contains(text, "denied request"))
}

// refusedForGood tells a refusal that a user has to lift, by a quota, a policy or a validation, from a failure
// that may pass by itself.
func refusedForGood(err error) bool {
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

// unauthorized tells the refusal of the authorizer, which an API server that just started
// gives to everybody for a moment, from that of a quota or an admission policy.
func unauthorized(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `is forbidden: User "`)
}
