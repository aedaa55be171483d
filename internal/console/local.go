package console

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/serving"
)

// LocalOptions of ServeLocal.
type LocalOptions struct {
	// API is the configuration of the kubeconfig's context, with its credential.
	API       *rest.Config
	Namespace string
	// Port is that to listen on; 0 for a free one.
	Port    int
	Clock   clock.WithTicker
	Random  io.Reader
	Log     logr.Logger
	Version string
	DocsURL string
	// PublicKeys is the client that reads the public keys of issuers at their own URLs. It follows no redirects.
	PublicKeys *http.Client
	// Ready is called with the URL to open.
	Ready func(url string)
}

const (
	// codeLife is how long the one-time code of the URL is good.
	codeLife  = 5 * time.Minute
	codeBytes = 32
	// placeBytes is the length of the part of the local URL that cannot be guessed.
	placeBytes = 15
	// localSession is how long a local session lives: what it can do, a user of the machine can do by kubectl.
	localSession = 12 * time.Hour
)

// local is what differs where kubectl refreshkey console serves on the person's own machine.
type local struct {
	port  string
	clock clock.PassiveClock

	mu    sync.Mutex
	code  string
	until time.Time
}

// redeem uses up the one-time code: true once, for the right code in its time.
func (l *local) redeem(code string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.code == "" || !l.clock.Now().Before(l.until) || subtle.ConstantTimeCompare([]byte(code), []byte(l.code)) != 1 {
		return false
	}
	l.code = ""
	return true
}

// ServeLocal serves the console on the loopback interface until ctx ends, with the credential of a kubeconfig.
//
// Other users of the machine can connect to the port, and pages of other ports are pages of the same site. So the URL has a
// one-time code in its fragment, and its path cannot be guessed: a browser sends cookies to all ports of a host, but to no other
// path than theirs.
func ServeLocal(ctx context.Context, o LocalOptions) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)))
	if err != nil {
		return err
	}
	server, url, err := newLocal(&o, listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	o.Ready(url)
	return serving.On(ctx, server.HTTPServer(nil), listener)
}

// newLocal returns the server of an address and the URL to open.
func newLocal(o *LocalOptions, address string) (*Server, string, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", err
	}
	secret := make([]byte, codeBytes+placeBytes)
	if _, err := io.ReadFull(o.Random, secret); err != nil {
		return nil, "", fmt.Errorf("make the code of the URL: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	l := &local{port: port, clock: o.Clock, code: encode(secret[:codeBytes]), until: o.Clock.Now().Add(codeLife)}
	base := "/" + encode(secret[codeBytes:]) + "/"
	server, err := New(Options{
		API: o.API, Clock: o.Clock, Random: o.Random, Log: o.Log, Registerer: prometheus.NewRegistry(),
		Hosts:    []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("localhost", port)},
		BasePath: base, Reveal: true, Namespace: o.Namespace, DocsURL: o.DocsURL, Version: o.Version,
		TokenService: &TokenService{Client: o.PublicKeys},
		SessionIdle:  localSession, SessionMax: localSession, local: l,
	})
	return server, "http://" + address + base + "signin#code=" + l.code, err
}
