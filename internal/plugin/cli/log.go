package cli

import (
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// ErrorLog returns a logger that writes errors to w, a line each, and no information.
func ErrorLog(w io.Writer) logr.Logger {
	return funcr.New(func(_, text string) { fmt.Fprintln(w, text) }, funcr.Options{Verbosity: -1})
}
