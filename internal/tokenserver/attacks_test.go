package tokenserver_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAttacks sends forged, damaged and replayed requests to one replica. Each row of its tables is a request and
// its exact answer. Neither an answer nor the log contains what was sent, and the good token is still good at the
// end.
func TestAttacks(t *testing.T) {
	s := newAttackHarness(t)
	forged := s.forgedTokens()
	t.Run("tokens", func(t *testing.T) { s.presentAll(t, forged) })
	t.Run("access tokens", s.askAboutForgedAccessTokens)
	s.presentReplays(t)
	s.presentElsewhere(t)
	t.Run("requests", func(t *testing.T) { s.sendAll(t, s.badForms(), s.badTypes(), s.badClients(), s.badQuestions()) })
	t.Run("places", func(t *testing.T) { s.sendAll(t, s.badPlaces(), s.misleadingHosts()) })
	t.Run("connections", func(t *testing.T) { s.writeAll(t, s.badMessages()) })
	t.Run("slow", s.sendSlowly)
	t.Run("afterwards", func(t *testing.T) {
		if got := s.send(t, s.exchange(s.good)); got.outcome() != "200" {
			t.Errorf("the good token gets %s", got.outcome())
		}
		if n := s.trap.Load(); n > 0 {
			t.Errorf("the service requested the URL of a token %d times", n)
		}
		s.checkLog(t)
	})
}

// request is what a row sends.
type request struct {
	method string
	// target is the path, with the query if there is one.
	target string
	// header is names and values in turn, in addition to the Content-Type of a form; an empty Content-Type means
	// none.
	header []string
	body   string
}

// attack is a row: a request, and its answer as returned by answer.outcome.
type attack struct {
	name    string
	request request
	want    string
	// shows checks more of the answer.
	shows func(t *testing.T, got *answer)
}

func (s *attackHarness) sendAll(t *testing.T, tables ...[]attack) {
	for _, a := range slices.Concat(tables...) {
		s.rows++
		t.Run(a.name, func(t *testing.T) {
			got := s.send(t, a.request)
			if got.outcome() != a.want {
				t.Errorf("the answer is %s, and should be %s", got.outcome(), a.want)
			}
			if a.shows != nil {
				a.shows(t, got)
			}
		})
	}
}

// at returns the path of an endpoint of the issuer.
func (s *attackHarness) at(endpoint string) string { return "/" + s.name + endpoint }

// form returns a POST of parameters, which are names and values in turn.
func (s *attackHarness) form(endpoint string, parameters ...string) request {
	form := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		form.Add(parameters[i], parameters[i+1])
	}
	return request{method: http.MethodPost, target: s.at(endpoint), body: form.Encode()}
}

func (s *attackHarness) exchange(compact string) request {
	return s.form("/token", "grant_type", "refresh_token", "refresh_token", compact)
}

// ask returns an introspection by a caller with the right to ask.
func (s *attackHarness) ask(compact string, more ...string) request {
	r := s.form("/introspect", append([]string{"token", compact}, more...)...)
	r.header = []string{"Authorization", "Bearer " + s.caller}
	return r
}

func (r request) with(header ...string) request {
	r.header = append(slices.Clone(r.header), header...)
	return r
}

// send sends a request and checks the general rules of its answer. Failures contain only the path, since other
// parts may contain a token.
func (s *attackHarness) send(t *testing.T, r request) *answer {
	t.Helper()
	made, err := http.NewRequestWithContext(s.ctx, r.method, s.front.URL+r.target, strings.NewReader(r.body))
	if err != nil {
		t.Fatal("this is no request of net/http's")
	}
	made.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(r.header); i += 2 {
		switch name, value := r.header[i], r.header[i+1]; {
		case name == "Host":
			made.Host = value
		case name == "Content-Type" && !slices.Contains(r.header[:i], name):
			made.Header.Del(name)
			if value != "" {
				made.Header.Set(name, value)
			}
		default:
			made.Header.Add(name, value)
		}
	}
	response, err := s.front.Client().Do(made)
	if err != nil {
		t.Fatalf("no answer: %v", withoutURL(err))
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("half an answer: %v", err)
	}
	got := &answer{status: response.StatusCode, header: response.Header, raw: string(raw)}
	checkAnswer(t, got, r)
	for _, name := range []string{"access_token", "refresh_token"} {
		if compact := got.text(name); compact != "" {
			s.secret(compact)
		}
	}
	return got
}

// withoutURL removes the URL from an error of an http.Client, since it may contain a token.
func withoutURL(err error) error {
	var failure *url.Error
	if errors.As(err, &failure) {
		return failure.Err
	}
	return err
}

// headers are all headers that an answer may have.
var headers = []string{
	"Access-Control-Allow-Origin", "Allow", "Cache-Control", "Connection", "Content-Length", "Content-Type", "Date", "Dpop-Nonce", "Pragma", "Retry-After",
	"Www-Authenticate", "X-Content-Type-Options",
}

// wireText are the characters of error and error_description (RFC 6749 §5.2).
var wireText = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)

// checkAnswer checks what every answer must satisfy.
func checkAnswer(t *testing.T, got *answer, sent request) {
	t.Helper()
	for name := range got.header {
		if !slices.Contains(headers, name) {
			t.Errorf("the answer has a header %s", name)
		}
	}
	if got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("the answer lacks X-Content-Type-Options: nosniff")
	}
	if len(got.raw) > 0 {
		if err := json.Unmarshal([]byte(got.raw), &got.body); err != nil {
			t.Fatalf("the answer %d is no JSON object", got.status)
		}
	}
	public := got.status == http.StatusOK && (got.body["keys"] != nil || got.body["jwks_uri"] != nil)
	switch caching := got.header.Get("Cache-Control"); {
	case public && !regexp.MustCompile(`^public, max-age=[1-9][0-9]*$`).MatchString(caching):
		t.Errorf("a public answer has Cache-Control %q", caching)
	case !public && (caching != "no-store" || got.header.Get("Pragma") != "no-cache"):
		// RFC 6749 §5.1 requires it of tokens; an error may describe one as well.
		t.Errorf("the answer may be stored: Cache-Control %q, Pragma %q", caching, got.header.Get("Pragma"))
	}
	if got.status != http.StatusOK {
		checkError(t, got, sent)
	}
}

// checkError checks that a refusal is a JSON object of two members (RFC 6749 §5.2) without anything that was sent.
func checkError(t *testing.T, got *answer, sent request) {
	t.Helper()
	if bare := got.status == http.StatusUnauthorized && got.header.Get("Www-Authenticate") == `Bearer realm="refreshkeys"`; bare {
		// A request without credentials gets only the challenge (RFC 6750 §3.1).
		if got.raw != "" {
			t.Error("a challenge without an error has a body")
		}
	} else if sent.method != http.MethodHead {
		if kind := got.header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("a refusal of type %q", kind)
		}
		if len(got.body) != 2 || !wireText.MatchString(got.text("error")) || !wireText.MatchString(got.text("error_description")) {
			t.Error("a refusal that is not an error and its description, in the characters for them")
		}
	}
	if (got.status == http.StatusUnauthorized) != (got.header.Get("Www-Authenticate") != "") {
		t.Error("401 and WWW-Authenticate go together (RFC 9110 §15.5.2)")
	}
	if (got.status == http.StatusMethodNotAllowed) != (got.header.Get("Allow") != "") {
		t.Error("405 and Allow go together (RFC 9110 §15.5.6)")
	}
	late := got.status == http.StatusServiceUnavailable || got.status == http.StatusTooManyRequests
	if late != (got.header.Get("Retry-After") != "") {
		t.Error("503, 429 and Retry-After go together")
	}
	inputs := []string{sent.target, sent.body}
	if form, err := url.ParseQuery(sent.body); err == nil {
		for name, values := range form {
			inputs = append(append(inputs, name), values...)
		}
	}
	for i := 0; i+1 < len(sent.header); i += 2 {
		if sent.header[i] != "Content-Type" {
			inputs = append(inputs, sent.header[i+1])
		}
	}
	for _, piece := range pieces(got.raw) {
		if slices.ContainsFunc(inputs, func(input string) bool { return strings.Contains(input, piece) }) {
			t.Fatal("the answer repeats what was sent")
		}
	}
}

// pieceLength is long enough to rule out coincidences, and longer than the parameter names in descriptions.
const pieceLength = 16

// pieces returns all parts of that length.
func pieces(text string) []string {
	var all []string
	for i := 0; i+pieceLength <= len(text); i++ {
		all = append(all, text[i:i+pieceLength])
	}
	return all
}

// checkLog checks that the log has a line for each request, without any part of a token.
func (s *attackHarness) checkLog(t *testing.T) {
	t.Helper()
	lines := s.log.lines()
	if len(lines) < s.rows {
		t.Errorf("%d lines for %d rows", len(lines), s.rows)
	}
	logged := map[string]bool{}
	for _, line := range lines {
		for _, piece := range pieces(line) {
			logged[piece] = true
		}
	}
	for _, secret := range append(slices.Clone(s.secrets), marker) {
		for _, piece := range pieces(secret) {
			if logged[piece] {
				t.Fatal("the log contains a token or other sent text")
			}
		}
	}
	t.Logf("%d rows, %d log lines, %d secrets in none of them", s.rows, len(lines), len(s.secrets))
}

// marker is sent in places that an answer might repeat.
const marker = "sent-by-an-attacker"
