package service

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// front is the load balancer of processes. It gives each connection to the next process that is ready, as a Service of Kubernetes does, and does
// not end TLS.
type front struct {
	processes []*process
	dialer    net.Dialer
	// service is what clients see, as one replica. Its client opens a connection for each request.
	service *operator.Replica

	// mu guards the rest.
	mu   sync.Mutex
	turn int
	// last is the process that took the last connection.
	last *process
}

// balanced starts a front before processes.
func (h *fixture) balanced(processes []*process) *front {
	h.T.Helper()
	f := &front{processes: processes}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.T.Cleanup(func() { _ = listener.Close() })
	go f.serve(listener)
	transport := h.trusting()
	transport.DisableKeepAlives = true
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return f.dialer.DialContext(ctx, network, listener.Addr().String())
	}
	f.service = &operator.Replica{Server: &httptest.Server{URL: "https://" + pagesHost}, Client: &http.Client{Transport: transport}}
	return f
}

func (f *front) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go f.forward(client)
	}
}

func (f *front) forward(client net.Conn) {
	defer client.Close()
	replica := f.pick()
	if replica == nil {
		return
	}
	defer replica.Close()
	go func() {
		_, _ = io.Copy(replica, client)
		_ = replica.Close()
	}()
	_, _ = io.Copy(client, replica)
}

// pick connects to the next process that is ready; nil if none is.
func (f *front) pick() net.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range f.processes {
		next := f.processes[f.turn%len(f.processes)]
		f.turn++
		if next.probe() != nil {
			continue
		}
		if replica, err := f.dialer.Dial("tcp", next.address); err == nil {
			f.last = next
			return replica
		}
	}
	return nil
}

// answered returns the process that took the last connection.
func (f *front) answered() *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// other returns the process of two that did not.
func (f *front) other() *process {
	last := f.answered()
	for _, one := range f.processes {
		if one != last {
			return one
		}
	}
	return nil
}
