package plugin

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
	exitDone       = 0
	exitError      = 1
	exitUsage      = 2
	exitNotFound   = 3
	exitRefused    = 4
	exitTimedOut   = 5
	exitUnverified = 6
)

const exitCodes = `Exit codes of kubectl refreshkey:

  0  done; verify and token: the token is accepted
  1  failed: the API server or the token service is unavailable, or rejected the request
  2  the flags or arguments are wrong; nothing was changed
  3  the refresh key, issuer, signing key, Secret or session does not exist
  4  refused: verify and token: the token is not accepted; exchange, login and logout: the token service refuses;
     create --wait: the operator issues no token; rotate: the key cannot be rotated
  5  timed out: the request was made, but its result did not occur within --timeout
  6  not verified: the key is revoked, but the plugin could not verify that every replica refuses its token;
     verify and token: no check failed, but at least one could not be made
`

// errSilent ends a command with an exit code and without an error message.
var errSilent = errors.New("")

// failure is an error with its exit code.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, format string, args ...any) error {
	return &failure{code: code, err: fmt.Errorf(format, args...)}
}

func usageError(format string, args ...any) error { return fail(exitUsage, format, args...) }

// exitOnly returns an error that sets the exit code and prints no message; nil for exitDone.
func exitOnly(code int) error {
	if code == exitDone {
		return nil
	}
	return &failure{code: code, err: errSilent}
}

func exitCode(err error) int {
	var known *failure
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &known):
		return known.code
	case apierrors.IsNotFound(err):
		return exitNotFound
	case errors.Is(err, context.DeadlineExceeded), wait.Interrupted(err):
		return exitTimedOut
	default:
		return exitError
	}
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "List the exit codes, for scripts", Long: exitCodes}
}
