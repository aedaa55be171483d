package view

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// unchecked is the API server's note that it evaluates no rules of an object with another fault.
const unchecked = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"

var (
	// deniedByPolicy precedes the message of a ValidatingAdmissionPolicy.
	deniedByPolicy = regexp.MustCompile(`^ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: `)
	// fieldPath is the path of a field in a message.
	fieldPath = regexp.MustCompile(`\b(spec|metadata)(\.[A-Za-z][A-Za-z0-9]*|\[[0-9]+\])+`)
)

// IsRefusal reports whether a Status refuses the manifest: what a person can mend in it. Another one is about the person's rights,
// a name that is taken, or the API server.
func IsRefusal(status *metav1.Status) bool {
	switch status.Reason {
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest:
		return true
	case metav1.StatusReasonForbidden:
		return strings.Contains(status.Message, "ValidatingAdmissionPolicy '")
	default:
		return false
	}
}

// Causes returns what a Status says of each field of a manifest, the first fields first. Of several causes for one field, those
// that explain a rule come before those of the schema alone, which repeat a regular expression.
func Causes(status *metav1.Status) []wire.Cause {
	var causes []wire.Cause
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if !strings.HasSuffix(cause.Message, unchecked) {
				causes = append(causes, causeOf(cause))
			}
		}
	}
	if len(causes) == 0 {
		return []wire.Cause{causeOf(metav1.StatusCause{Message: status.Message})}
	}
	explained := func(c wire.Cause) bool {
		return slices.ContainsFunc(causes, func(other wire.Cause) bool { return other.Field == c.Field && !ofSchema(other.Message) })
	}
	return slices.DeleteFunc(slices.Clone(causes), func(c wire.Cause) bool { return ofSchema(c.Message) && explained(c) })
}

// ofSchema reports whether a message is one of the schema, and not one of a rule.
func ofSchema(message string) bool {
	return strings.HasPrefix(message, "should ") || strings.HasPrefix(message, "must be of type ")
}

// causeOf returns a cause with the field that the page has.
func causeOf(cause metav1.StatusCause) wire.Cause {
	if prefix := deniedByPolicy.FindString(cause.Message); prefix != "" {
		message := strings.TrimPrefix(cause.Message, prefix)
		field := fieldPath.FindString(message)
		return wire.Cause{Field: field, Message: strings.TrimPrefix(message, field+": ")}
	}
	field := cause.Field
	if field == "<nil>" {
		field = ""
	}
	message := WithoutValue(cause.Message)
	if field != "" {
		message = strings.TrimPrefix(message, field+" in body ")
	}
	return wire.Cause{Field: field, Message: message}
}

// WithoutValue returns a message of the API server without `Invalid value: <value>: `. The API server leaves the value out for some
// rules.
func WithoutValue(text string) string {
	rest, found := strings.CutPrefix(text, "Invalid value: ")
	if !found {
		return text
	}
	value, err := strconv.QuotedPrefix(rest)
	if err != nil {
		decoder := json.NewDecoder(strings.NewReader(rest))
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return rest
		}
		value = rest[:decoder.InputOffset()]
	}
	if sentence, found := strings.CutPrefix(rest[len(value):], ": "); found {
		return sentence
	}
	return rest
}
