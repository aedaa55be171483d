package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// The proxy cuts an answer that takes longer, as many do after a minute.
	proxyCuts    = 3 * time.Second
	slowestProxy = 5 * time.Second
)

// proxy is a proxy before the replicas of a console. It speaks HTTP/1.1.
type proxy struct {
	client *http.Client
	// replicas are their URLs.
	replicas []string
	// affinity: the requests of one browser reach one replica, which a cookie names. Without it, each request reaches the next one.
	affinity bool
	// cuts is how long an answer may take; 0 for any time.
	cuts time.Duration
	next atomic.Int64
}

// affinityCookie names the replica of a browser.
const affinityCookie = "replica"

// serveProxies serves three proxies, and returns their URLs: one that buffers each answer that does not say X-Accel-Buffering: no, and
// cuts an answer that takes too long; and two before two replicas, with affinity by cookie and without.
func serveProxies(ctx context.Context, first, second, secret string) (map[string]string, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(secret, "tls.crt"), filepath.Join(secret, "tls.key"))
	if err != nil {
		return nil, err
	}
	// The console is on loopback, with a certificate of this run.
	insecure := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: insecure},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	urls := map[string]string{}
	for name, p := range map[string]*proxy{
		"proxied":   {client: client, replicas: []string{first}, cuts: proxyCuts},
		"affine":    {client: client, replicas: []string{first, second}, affinity: true},
		"scattered": {client: client, replicas: []string{first, second}},
	} {
		url, err := listen(ctx, p, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
		if err != nil {
			return nil, err
		}
		urls[name] = url + "/"
	}
	return urls, nil
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if p.cuts > 0 {
		limited, cancel := context.WithTimeout(ctx, p.cuts)
		defer cancel()
		ctx = limited
	}
	replica := p.replicaOf(w, r)
	request := r.Clone(ctx)
	request.RequestURI = ""
	request.URL.Scheme, request.URL.Host = "https", replica[len("https://"):len(replica)-1]
	answer, err := p.client.Do(request)
	if err != nil {
		http.Error(w, "the console cannot be reached", http.StatusBadGateway)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	forward(w, answer)
}

// replicaOf returns the replica that a request is for, and with affinity gives a new browser a cookie.
func (p *proxy) replicaOf(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(affinityCookie); err == nil && p.affinity {
		if n, err := strconv.Atoi(cookie.Value); err == nil && n >= 0 && n < len(p.replicas) {
			return p.replicas[n]
		}
	}
	n := int(p.next.Add(1)-1) % len(p.replicas)
	if p.affinity {
		http.SetCookie(w, &http.Cookie{Name: affinityCookie, Value: strconv.Itoa(n), Path: "/", Secure: true, HttpOnly: true})
	}
	return p.replicas[n]
}

func forward(w http.ResponseWriter, answer *http.Response) {
	for name, values := range answer.Header {
		w.Header()[name] = append(w.Header()[name], values...)
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
