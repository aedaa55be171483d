package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// mirror is a bad proxy, or a bad webhook: when it is told to, it answers requests about
// Secrets with messages that quote them, or garbles the answers.
type mirror struct {
	mu     sync.Mutex
	mode   reflection
	owners []string
	count  int
}

// reflection is what a mirror does.
type reflection string

const (
	faithful reflection = ""
	// quoteStatus refuses a write with a Status whose message quotes it.
	quoteInvalid   reflection = "422, quoting"
	quoteForbidden reflection = "403, quoting"
	quoteInternal  reflection = "500, quoting"
	// quoteText refuses a write with a page that quotes it, as a proxy does.
	quoteText reflection = "502 as text, quoting"
	// cutShort cuts off the second half of what is read.
	cutShort reflection = "answers cut short"
	// asHTML says of what is read that it is a page.
	asHTML reflection = "answers as HTML"
)

func (m *mirror) set(mode reflection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mode = mode
}

func (m *mirror) is() reflection {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mode
}

// add lets the mirror answer for a namespace, or for the keys of an issuer.
func (m *mirror) add(owner string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owners = append(m.owners, owner)
}

func (m *mirror) concerns(owner string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.owners, owner)
}

// answered is how many requests it has answered in its own way.
func (m *mirror) answered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

func (m *mirror) counted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
}

func (m *mirror) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		mode := m.is()
		if mode == faithful {
			return next.RoundTrip(request)
		}
		request, body, err := withBody(request)
		if err != nil {
			return nil, err
		}
		e := errandOf(request, body)
		if (e.kind != keySecret && e.kind != signingKeys) || !m.concerns(e.owner) {
			return next.RoundTrip(request)
		}
		if e.writes() {
			return m.answerWrite(next, request, body, mode)
		}
		if mode != cutShort && mode != asHTML {
			return next.RoundTrip(request)
		}
		return m.garble(next, request, mode)
	})
}

func (m *mirror) answerWrite(next http.RoundTripper, request *http.Request, body []byte, mode reflection) (*http.Response, error) {
	secret := secretIn(body)
	if mode == cutShort || mode == asHTML {
		return m.garble(next, request, mode)
	}
	m.counted()
	quoted := fmt.Sprintf("%q and %s and %v", body, secret.Data, secret.Data)
	status := func(code int, reason string) (*http.Response, error) {
		text, err := json.Marshal(map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
			"message": "refused: " + quoted,
			"details": map[string]any{"causes": []any{map[string]any{"message": quoted, "field": "data"}}},
		})
		return answer(request, code, "application/json", text), err
	}
	switch mode {
	case quoteInvalid:
		return status(http.StatusUnprocessableEntity, "Invalid")
	case quoteForbidden:
		return status(http.StatusForbidden, "Forbidden")
	case quoteInternal:
		return status(http.StatusInternalServerError, "InternalError")
	default:
		return answer(request, http.StatusBadGateway, "text/plain", []byte(quoted)), nil
	}
}

// garble passes a request on, and spoils the answer.
func (m *mirror) garble(next http.RoundTripper, request *http.Request, mode reflection) (*http.Response, error) {
	response, err := next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	m.counted()
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	kind := response.Header.Get("Content-Type")
	if mode == asHTML {
		return answer(request, http.StatusOK, "text/html", body), nil
	}
	return answer(request, http.StatusOK, kind, body[:len(body)/2]), nil
}

func answer(request *http.Request, code int, kind string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": []string{kind}}, Body: io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: request,
	}
}
