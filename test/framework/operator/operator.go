// Package operator runs the manager and replicas of the token service in a test's own process, each with the
// rights of its own ServiceAccount.
package operator

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

const (
	patience  = 20 * time.Second
	pollEvery = 20 * time.Millisecond
)

// NewManager returns a manager that does not run yet. Its namespace is apiserver.Namespace unless the options name another.
func NewManager(t *testing.T, config *rest.Config, log logr.Logger, options controllers.Options) manager.Manager {
	t.Helper()
	options.Namespace, options.SeveralInProcess = cmp.Or(options.Namespace, apiserver.Namespace), true
	mgr, err := controllers.NewManager(config, ctrl.Options{Logger: log, Metrics: metricsserver.Options{BindAddress: "0"}}, options)
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

// Manage runs a manager until the test ends or stop is called.
func Manage(t *testing.T, config *rest.Config, log logr.Logger, options controllers.Options) (stop func()) {
	t.Helper()
	return apiserver.Run(t, NewManager(t, config, log, options))
}

// Replica is one replica of the token service.
type Replica struct {
	*registry.Cluster
	Handler *tokenserver.Server
	Server  *httptest.Server
	// Client trusts the certificate of Server.
	Client *http.Client
	// Stop stops the replica before the end of the test.
	Stop func()
}

// Serve starts a replica without a log, and waits until it is ready.
func Serve(t *testing.T, config *rest.Config, options registry.Options) *Replica {
	t.Helper()
	return ServeLogged(t, config, options, logr.Discard())
}

// ServeLogged is Serve with a log.
func ServeLogged(t *testing.T, config *rest.Config, options registry.Options, log logr.Logger) *Replica {
	t.Helper()
	options.Namespace = apiserver.Namespace
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	cluster, err := registry.New(config, options)
	if err != nil {
		t.Fatal(err)
	}
	newID := func() string { return uuid.Must(uuid.NewV7()).String() }
	handler, err := tokenserver.ForCluster(config, cluster, apiserver.Namespace, options.Clock, newID, tokenserver.Options{
		Clock: clock.RealClock{}, Log: log, RecordAddress: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cluster.Run(ctx) }()
	served := httptest.NewUnstartedServer(handler)
	served.Config = tokenserver.NewHTTPServer(handler, nil)
	served.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	served.EnableHTTP2 = true
	served.StartTLS()
	r := &Replica{Cluster: cluster, Handler: handler, Server: served, Client: served.Client(), Stop: sync.OnceFunc(func() {
		served.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the replica ended with: %v", err)
		}
	})}
	t.Cleanup(r.Stop)
	err = wait.PollUntilContextTimeout(ctx, pollEvery, patience, true, func(context.Context) (bool, error) {
		return cluster.Fresh() == nil, nil
	})
	if err != nil {
		t.Fatal("the replica's caches did not sync")
	}
	return r
}

// Answer is a response of the token service.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any
	Raw    string
}

// Text returns a string member of the answer.
func (a *Answer) Text(name string) string {
	text, _ := a.Body[name].(string)
	return text
}

// Outcome returns the status, followed by the error if there is one.
func (a *Answer) Outcome() string {
	if a.Status == http.StatusOK {
		return "200"
	}
	return fmt.Sprintf("%d %s", a.Status, a.Text("error"))
}

// Do sends a request and reads the answer, which is JSON or empty.
func Do(client *http.Client, request *http.Request) (*Answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	a := &Answer{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.Body); err != nil {
			return nil, fmt.Errorf("the answer %d is not JSON", a.Status)
		}
	}
	return a, nil
}
