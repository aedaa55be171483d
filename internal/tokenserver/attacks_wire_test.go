package tokenserver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// message is a row that no HTTP client would send: the bytes of a connection, and all answers to them.
type message struct {
	name string
	text string
	// want is the status of each answer, and whether the connection is closed after the last.
	want string
}

// conversation is what a connection returned.
type conversation struct {
	answers []*answer
	// last means that the last answer announces the close, and closed that the connection was closed.
	last, closed bool
}

func (c *conversation) String() string {
	var parts []string
	for _, a := range c.answers {
		parts = append(parts, fmt.Sprint(a.status))
	}
	if c.closed {
		parts = append(parts, "closed")
	}
	return strings.Join(parts, ", ")
}

// dial opens an HTTP/1.1 connection to a server.
func (s *attackHarness) dial(t *testing.T, to *httptest.Server) *tls.Conn {
	t.Helper()
	// The configuration of the server's own client is only complete after its first use.
	config := &tls.Config{RootCAs: x509.NewCertPool(), NextProtos: []string{"http/1.1"}, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(to.Certificate())
	conn, err := (&tls.Dialer{Config: config}).DialContext(s.ctx, "tcp", to.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	made, _ := conn.(*tls.Conn)
	return made
}

// readAnswers reads answers until the connection ends.
func readAnswers(t *testing.T, conn net.Conn) *conversation {
	t.Helper()
	heard, reader := &conversation{}, bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			heard.closed = !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err)
			return heard
		}
		raw, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal("half an answer")
		}
		heard.answers = append(heard.answers, &answer{status: response.StatusCode, header: response.Header, raw: string(raw)})
		heard.last = response.Close
	}
}

func isTimeout(err error) bool {
	var failure net.Error
	return errors.As(err, &failure) && failure.Timeout()
}

// badMessages checks that there is no second request where two readers could disagree about the end of the first
// (RFC 9112 §11.2).
func (s *attackHarness) badMessages() []message {
	body, hidden := s.goodBody(), "GET "+s.at("/jwks.json")+" HTTP/1.1\r\nHost: example.com\r\n\r\n"
	line := "POST " + s.at("/token") + " HTTP/1.1\r\n"
	head := line + "Host: example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	sized := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n", n) }
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	const last, te = "Connection: close\r\n\r\n", "Transfer-Encoding: chunked\r\n"
	return []message{
		{"a good one", head + sized(len(body)) + last + body, "200, closed"},
		{"a good one, in chunks", head + te + last + chunked, "200, closed"},
		{"two lengths", head + sized(len(body)) + sized(len(body)-1) + last + body, "400, closed"},
		{"two lengths in one header", head + fmt.Sprintf("Content-Length: %d, %d\r\n", len(body), 5) + last + body, "400, closed"},
		{"a length with a sign", head + fmt.Sprintf("Content-Length: +%d\r\n", len(body)) + last + body, "400, closed"},
		{"a negative length", head + sized(-1) + last + body, "400, closed"},
		{"a length in hexadecimal", head + "Content-Length: 0x10\r\n" + last + body, "400, closed"},
		{"a length beyond 63 bits", head + "Content-Length: 9223372036854775808\r\n" + last + body, "400, closed"},
		{"an empty length", head + "Content-Length:\r\n" + last + body, "400, closed"},
		{"a blank before the colon", head + fmt.Sprintf("Content-Length : %d\r\n", len(body)) + last + body, "400, closed"},
		// RFC 9112 §6.1: a length beside chunks may be request smuggling, and the connection is closed after it.
		{"a length and chunks, and a request behind", head + sized(5) + te + "\r\n" + chunked + hidden, "200, closed"},
		{"chunks, and a request behind", head + te + "\r\n" + chunked + hidden, "200, closed"},
		{"a length that is short, and a request behind", head + sized(len(body)) + "\r\n" + body + "&a=b" + hidden, "200, 400, closed"},
		{"chunks twice", head + te + te + last + chunked, "501, closed"},
		{"an encoding beside chunks", head + "Transfer-Encoding: gzip, chunked\r\n" + last + chunked, "501, closed"},
		{"an encoding like chunks", head + "Transfer-Encoding: xchunked\r\n" + last + chunked, "501, closed"},
		{"chunks with a vertical tab", head + "Transfer-Encoding: \x0bchunked\r\n" + last + chunked, "400, closed"},
		{"a chunk of no length", head + te + last + "zz\r\n" + body, "400, closed"},
		{"a chunk of a negative length", head + te + last + "-1\r\n" + body, "400, closed"},
		{"more than 64 KiB in chunks", head + te + last + "20000\r\n" + strings.Repeat("a", 0x20000) + "\r\n0\r\n\r\n", "413, closed"},
		{"Content-Encoding in chunks", head + te + "Content-Encoding: gzip\r\n" + last + chunked, "415, closed"},
		{"two hosts", head + "Host: " + marker + "\r\n" + sized(len(body)) + last + body, "400, closed"},
		{"no host", line + sized(len(body)) + last + body, "400, closed"},
		{"a host with a path", line + "Host: a/b\r\n" + sized(len(body)) + last + body, "400, closed"},
		{"a header that continues in the next line", head + " x: y\r\n" + sized(len(body)) + last + body, "400, closed"},
		{"a header without a colon", head + marker + "\r\n" + last, "400, closed"},
		{"a NUL in a header", head + "X: a\x00b\r\n" + last, "400, closed"},
		{"headers of 64 kB", head + "X: " + strings.Repeat("x", 64<<10) + "\r\n" + last, "431, closed"},
		{"a path of bad escapes", "GET " + s.at("/%zz") + " HTTP/1.1\r\nHost: a\r\n" + last, "400, closed"},
		{"a path that is none", "GET token HTTP/1.1\r\nHost: a\r\n" + last, "400, closed"},
		{"a whole URL of another host", "GET https://" + marker + ".example.com" + s.at("/token") + " HTTP/1.1\r\nHost: a\r\n" + last, "405, closed"},
		{"all of it", "OPTIONS * HTTP/1.1\r\nHost: a\r\n" + last, "404, closed"},
		{"a tunnel", "CONNECT " + marker + ".example.com:443 HTTP/1.1\r\nHost: a\r\n" + last, "404, closed"},
		{"an unknown expectation", head + "Expect: " + marker + "\r\n" + sized(0) + last, "417, closed"},
		{"an unknown version", strings.Replace(head, "HTTP/1.1", "HTTP/3.0", 1) + last, "505, closed"},
		{"no HTTP", "\x16\x03\x01" + marker + "\r\n\r\n", "400, closed"},
	}
}

func (s *attackHarness) writeAll(t *testing.T, rows []message) {
	for _, row := range rows {
		s.rows++
		t.Run(row.name, func(t *testing.T) {
			conn := s.dial(t, s.front)
			// The server does not read an early refused request to its end, so the write may fail; only the answer
			// counts.
			go func() { _, _ = io.WriteString(conn, row.text) }()
			heard := readAnswers(t, conn)
			if heard.String() != row.want {
				t.Errorf("the answers are %q, and should be %q", heard, row.want)
			}
			for _, got := range heard.answers {
				s.checkWire(t, got, row.text, heard.last)
			}
		})
	}
}

// checkWire checks that net/http refuses what is not a request, with fixed text and a closed connection, and that
// other answers follow the general rules.
func (s *attackHarness) checkWire(t *testing.T, got *answer, sent string, last bool) {
	t.Helper()
	_, body, _ := strings.Cut(sent, "\r\n\r\n")
	// A description names the required type.
	sent = strings.ReplaceAll(sent, "application/x-www-form-urlencoded", "")
	if got.header.Get("X-Content-Type-Options") != "" {
		checkAnswer(t, got, request{target: sent, body: body})
		s.secret(got.text("access_token"))
		return
	}
	if got.status < 400 || !last {
		t.Errorf("net/http answers %d, and the connection stays open", got.status)
	}
	for _, piece := range pieces(got.raw) {
		if strings.Contains(sent, piece) {
			t.Fatal("the answer repeats what was sent")
		}
	}
}

// sendSlowly checks that a slow client does not hold a connection longer than the limits, which are shortened
// here. TestHTTPServerHasLimits of internal/serving checks that all are set.
func (s *attackHarness) sendSlowly(t *testing.T) {
	slow := s.serve(s.front.Config.Handler, func(server *http.Server) {
		server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = s.shortly, s.shortly, s.shortly
	})
	head := "POST " + s.at("/token") + " HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n"
	for _, row := range []struct{ name, first, each, want string }{
		{"nothing at all", "", "", "closed"},
		{"half a header", head, "", "closed"},
		{"a header without end", head, "X: y\r\n", "closed"},
		{"half a body", head + "\r\n" + s.goodBody(), "", "400, closed"},
		{"a body in drops", head + "\r\n" + s.goodBody() + "&a=", "x", "400, closed"},
		{"chunks in drops", strings.Replace(head, "Content-Length: 4000", "Transfer-Encoding: chunked", 1) + "\r\n", "1\r\nx\r\n", "400, closed"},
	} {
		s.rows++
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			conn := s.dial(t, slow)
			done := make(chan struct{})
			defer close(done)
			go drip(conn, row.first, row.each, s.shortly/10, done)
			began := time.Now()
			heard := readAnswers(t, conn)
			if heard.String() != row.want {
				t.Errorf("the answers are %q, and should be %q", heard, row.want)
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("it holds its connection for %s", took)
			}
			for _, got := range heard.answers {
				checkAnswer(t, got, request{})
			}
		})
	}
	t.Run("no handshake", func(t *testing.T) {
		t.Parallel()
		conn, err := (&net.Dialer{}).DialContext(s.ctx, "tcp", slow.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if heard := readAnswers(t, conn); heard.String() != "closed" {
			t.Errorf("the answers are %q", heard)
		}
	})
	t.Run("half a body over HTTP/2", func(t *testing.T) {
		t.Parallel()
		body, rest := io.Pipe()
		defer rest.Close()
		go func() { _, _ = io.WriteString(rest, s.goodBody()) }()
		made, err := http.NewRequestWithContext(s.ctx, http.MethodPost, slow.URL+s.at("/token"), body)
		if err != nil {
			t.Fatal("no request")
		}
		made.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := slow.Client().Do(made)
		if err != nil {
			t.Fatal(withoutURL(err))
		}
		defer response.Body.Close()
		if response.ProtoMajor != 2 || response.StatusCode != http.StatusBadRequest {
			t.Errorf("%d over %s", response.StatusCode, response.Proto)
		}
	})
}

// drip writes a first piece, and then another piece at each interval, until the connection fails.
func drip(conn net.Conn, first, each string, every time.Duration, done <-chan struct{}) {
	_, err := io.WriteString(conn, first)
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for err == nil && each != "" {
		select {
		case <-done:
			return
		case <-ticks.C:
			_, err = io.WriteString(conn, each)
		}
	}
}
