package controllers

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// errOutdated says that the caches showed something else than what is: observe again,
// from the API server itself.
var errOutdated = errors.New("what was observed is out of date")

// refusedError is the API server's refusal of a Secret: by a quota, a webhook, a policy, or
// for a name that is not valid. A user has to act; the write is tried again all the same.
type refusedError struct {
	name   string
	reason string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the API server refuses Secret %q (%s); look for quotas, admission webhooks and policies of its namespace", e.name, e.reason)
}

// secretWriteError says what went wrong in the write of a Secret without repeating the API
// server's message: a validation or a webhook can quote the object there, and with it the token.
func secretWriteError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errOutdated
	case unauthorized(err):
		return fmt.Errorf("write Secret %q: the operator lacks the permission", name)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return &refusedError{name: name, reason: string(apierrors.ReasonForError(err))}
	case apierrors.ReasonForError(err) != "":
		return fmt.Errorf("write Secret %q: %s", name, apierrors.ReasonForError(err))
	default:
		return fmt.Errorf("write Secret %q: %w", name, err)
	}
}

// unauthorized tells the refusal of the authorizer, which an API server that just started
// gives to everybody for a moment, from that of a quota or an admission policy.
func unauthorized(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `is forbidden: User "`)
}
