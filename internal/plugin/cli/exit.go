package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Exit codes, which scripts may rely on.
const (
	ExitDone       = 0
	ExitError      = 1
	ExitUsage      = 2
	ExitNotFound   = 3
	ExitRefused    = 4
	ExitTimedOut   = 5
	ExitUnverified = 6
)

const exitCodes = `Exit codes of kubectl refreshkey:

  0  done; verify and token: the token is accepted; check: no check failed
  1  failed: the API server or the token service is unavailable, or rejected the request;
     Refresh Keys is not installed; check: a check failed
  2  the flags or arguments are wrong; nothing was changed
  3  the refresh key, issuer, signing key, Secret or session does not exist
  4  refused: verify and token: the token is not accepted; exchange, login and logout: the token
     service refuses; create --wait: the operator issues no token; rotate: the key cannot be rotated
  5  timed out: the request was made, but its result did not occur within --timeout
  6  not verified: the key is revoked, but the plugin could not verify that every replica refuses
     its token; verify and token: no check failed, but at least one could not be made

A command that takes several names goes on after a failure. Its exit code is that of the first one.
`

// ErrSilent ends a command with an exit code and without an error message.
var ErrSilent = errors.New("")

// CodedError is an error with its exit code.
type CodedError struct {
	Code int
	Err  error
}

// Error implements error.
func (f *CodedError) Error() string { return f.Err.Error() }

// Unwrap returns the error without the exit code.
func (f *CodedError) Unwrap() error { return f.Err }

// Fail returns an error with an exit code; the format is that of fmt.Errorf.
func Fail(code int, format string, args ...any) error {
	return &CodedError{Code: code, Err: fmt.Errorf(format, args...)}
}

// UsageError returns an error about wrong flags or arguments.
func UsageError(format string, args ...any) error { return Fail(ExitUsage, format, args...) }

// ExitOnly returns an error that sets the exit code and prints no message; nil for ExitDone.
func ExitOnly(code int) error {
	if code == ExitDone {
		return nil
	}
	return &CodedError{Code: code, Err: ErrSilent}
}

// ExitCode returns the exit code of a command that returned err.
func ExitCode(err error) int {
	var known *CodedError
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &known):
		return known.Code
	case apierrors.IsNotFound(err):
		return ExitNotFound
	case errors.Is(err, context.DeadlineExceeded), wait.Interrupted(err):
		return ExitTimedOut
	default:
		return ExitError
	}
}

// ExitCodesTopic returns the help topic exit-codes.
func ExitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "List the exit codes, for scripts", Long: exitCodes}
}
