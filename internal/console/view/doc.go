// Package view decides what the console shows of an object: rows of lists, details, the result of a preview. It is pure: it takes
// objects and the time, and returns the values of internal/console/wire.
//
// What happens next to a key, and in which words, is decided in internal/outlook, which `kubectl refreshkey describe` shares.
package view

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stamp returns a time as the wire has it; empty for none.
func stamp(at *metav1.Time) string {
	if at == nil {
		return ""
	}
	return Stamp(at.Time)
}

// Stamp returns a time as the wire has it: RFC 3339 in UTC; empty for the zero time.
func Stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
