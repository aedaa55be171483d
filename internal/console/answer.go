package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// longestBody is the longest body of a request, in bytes.
const longestBody = 64 << 10

// failed is an error with its answer.
type failed struct{ wire.Failure }

// Error implements error.
func (f *failed) Error() string { return fmt.Sprintf("%d %s: %s", f.Code, f.Reason, f.Message) }

// fail returns an error with an answer of this server, in the form of a Status of the API server.
func fail(code int, reason metav1.StatusReason, format string, values ...any) error {
	return &failed{wire.Failure{Code: code, Reason: string(reason), Message: fmt.Sprintf(format, values...)}}
}

// failureOf returns the answer to an error: that of the API server as it is, and no details of others.
func failureOf(err error) wire.Failure {
	var own *failed
	if errors.As(err, &own) {
		return own.Failure
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return ofStatus(status.Status())
	}
	if isAway(err) {
		return wire.Failure{
			Code: http.StatusServiceUnavailable, Reason: string(metav1.StatusReasonServiceUnavailable),
			Message: "the API server cannot be reached",
		}
	}
	return wire.Failure{
		Code: http.StatusInternalServerError, Reason: string(metav1.StatusReasonInternalError), Message: "the console failed; its log says more",
	}
}

// isAway reports whether an error means that no answer of the API server came.
func isAway(err error) bool {
	var request *url.Error
	var network net.Error
	return errors.As(err, &request) || errors.As(err, &network)
}

func ofStatus(status metav1.Status) wire.Failure {
	f := wire.Failure{Code: int(status.Code), Reason: string(status.Reason), Message: status.Message}
	if f.Code < http.StatusBadRequest {
		// An API server that is not one, such as a proxy that redirects.
		return wire.Failure{Code: http.StatusBadGateway, Reason: string(metav1.StatusReasonInternalError), Message: "the answer is not one of an API server"}
	}
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			f.Causes = append(f.Causes, wire.Cause{Field: cause.Field, Message: cause.Message})
		}
	}
	return f
}

// decode reads the JSON body of a request strictly: one value, at most 64 KiB, no unknown fields.
func decode(r *http.Request, into any) error {
	reader := json.NewDecoder(r.Body)
	reader.DisallowUnknownFields()
	err := reader.Decode(into)
	if err == nil {
		if _, err = reader.Token(); err == nil {
			err = errors.New("more than one value")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	var tooLong *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLong):
		return fail(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, "the request is longer than %d KiB", longestBody>>10)
	default:
		return fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the body of the request is not the JSON of this route")
	}
}

// write answers with JSON.
func write(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}
