package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

const (
	// The proxy cuts an answer that takes longer, as many do after a minute.
	proxyCuts    = 3 * time.Second
	slowestProxy = 5 * time.Second
)

// serveProxy serves a proxy before a console: it buffers each answer that does not say X-Accel-Buffering: no, speaks HTTP/1.1, and
// cuts an answer that takes too long.
func serveProxy(ctx context.Context, to, secret string) (string, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(secret, "tls.crt"), filepath.Join(secret, "tls.key"))
	if err != nil {
		return "", err
	}
	// The console is on loopback, with a certificate of this run.
	insecure := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: insecure},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limited, cancel := context.WithTimeout(r.Context(), proxyCuts)
		defer cancel()
		request := r.Clone(limited)
		request.RequestURI = ""
		request.URL.Scheme, request.URL.Host = "https", to[len("https://"):len(to)-1]
		answer, err := client.Do(request)
		if err != nil {
			http.Error(w, "the console cannot be reached", http.StatusBadGateway)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		forward(w, answer)
	})
	url, err := listen(ctx, handler, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	return url + "/", err
}

func forward(w http.ResponseWriter, answer *http.Response) {
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	if answer.Header.Get("X-Accel-Buffering") != "no" {
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			http.Error(w, "the answer took too long", http.StatusGatewayTimeout)
			return
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(body)
		return
	}
	w.WriteHeader(answer.StatusCode)
	part := make([]byte, 32<<10)
	for {
		n, err := answer.Body.Read(part)
		if _, failed := w.Write(part[:n]); failed != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		if err != nil {
			// A proxy does not end such an answer well: the connection is cut.
			panic(http.ErrAbortHandler)
		}
	}
}

// listen serves a handler on a free port of the loopback interface until ctx ends, and returns its URL.
func listen(ctx context.Context, handler http.Handler, secure *tls.Config) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: slowestProxy}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	port := listener.Addr().(*net.TCPAddr).Port
	if secure == nil {
		go func() { _ = server.Serve(listener) }()
		return fmt.Sprintf("http://127.0.0.1:%d", port), nil
	}
	// A listener of its own keeps HTTP/2 off: many proxies speak HTTP/1.1.
	go func() { _ = server.Serve(tls.NewListener(listener, secure)) }()
	return fmt.Sprintf("https://localhost:%d", port), nil
}
