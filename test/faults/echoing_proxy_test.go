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

// echoingProxy acts as a broken proxy or webhook. In a mode other than passThrough, it answers requests
// about Secrets with messages that quote the request, or garbles the answers.
type echoingProxy struct {
	mu     sync.Mutex
	mode   proxyMode
	owners []string
	count  int
}

// proxyMode is what the proxy does with a request.
type proxyMode string

const (
	passThrough proxyMode = ""
	// The quote modes refuse a write with a Status whose message quotes the request.
	quoteInvalid   proxyMode = "422, quoting"
	quoteForbidden proxyMode = "403, quoting"
	quoteInternal  proxyMode = "500, quoting"
	// quoteText refuses a write with a plain text that quotes the request, as a proxy may.
	quoteText proxyMode = "502 as text, quoting"
	// cutShort removes the second half of each answer.
	cutShort proxyMode = "answers cut short"
	// asHTML declares each answer as text/html.
	asHTML proxyMode = "answers as HTML"
)

func (p *echoingProxy) setMode(mode proxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
}

func (p *echoingProxy) currentMode() proxyMode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

// addOwner adds a namespace, or the issuer of signing keys.
func (p *echoingProxy) addOwner(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owners = append(p.owners, owner)
}

func (p *echoingProxy) handles(owner string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.owners, owner)
}

// answerCount returns how many requests the proxy refused or garbled.
func (p *echoingProxy) answerCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *echoingProxy) countAnswer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
}

func (p *echoingProxy) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		mode := p.currentMode()
		if mode == passThrough {
			return next.RoundTrip(request)
		}
		request, body, err := withBody(request)
		if err != nil {
			return nil, err
		}
		e := apiCallOf(request, body)
		if (e.kind != keySecret && e.kind != signingKeys) || !p.handles(e.owner) {
			return next.RoundTrip(request)
		}
		if e.writes() {
			return p.answerWrite(next, request, body, mode)
		}
		if mode != cutShort && mode != asHTML {
			return next.RoundTrip(request)
		}
		return p.garble(next, request, mode)
	})
}

func (p *echoingProxy) answerWrite(next http.RoundTripper, request *http.Request, body []byte, mode proxyMode) (*http.Response, error) {
	secret := secretIn(body)
	if mode == cutShort || mode == asHTML {
		return p.garble(next, request, mode)
	}
	p.countAnswer()
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

// garble forwards a request and damages the answer.
func (p *echoingProxy) garble(next http.RoundTripper, request *http.Request, mode proxyMode) (*http.Response, error) {
	response, err := next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	p.countAnswer()
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

// answer returns an HTTP response with this body.
func answer(request *http.Request, code int, kind string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": []string{kind}}, Body: io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: request,
	}
}
