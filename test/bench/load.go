package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// connection is a kept-alive HTTP/1.1 connection of a client that does as little as
// possible: it must not be slower than a server on one core.
type connection struct {
	*tls.Conn
	reader *bufio.Reader
}

func dial(ctx context.Context, address string) (*connection, error) {
	dialer := &tls.Dialer{Config: clientTLS()}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	encrypted, ok := raw.(*tls.Conn)
	if !ok {
		return nil, fmt.Errorf("dialled a %T", raw)
	}
	return &connection{Conn: encrypted, reader: bufio.NewReader(encrypted)}, nil
}

// refreshRequest returns the bytes of an exchange, as a client library sends them.
func refreshRequest(path, token string) []byte {
	body := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nAccept-Encoding: gzip\r\n\r\n%s", path, len(body), body)
}

// post sends a request and reads its answer.
func (c *connection) post(request []byte) (int, []byte, error) {
	if _, err := c.Write(request); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	return response.StatusCode, body, err
}

// must is post for a request that must be answered with 200.
func (c *connection) must(request []byte) ([]byte, error) {
	status, body, err := c.post(request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("answered %d: %.200s", status, body)
	}
	return body, err
}

// requests returns the n-th request, for any n.
type requests func(n int64) []byte

func cycle(all [][]byte) requests {
	return func(n int64) []byte { return all[n%int64(len(all))] }
}

// connections is the number of concurrent clients.
const connections = 16

// onConnections calls a function on several connections concurrently.
func onConnections(ctx context.Context, address string, count int, do func(ctx context.Context, c *connection) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for range count {
		group.Go(func() error {
			c, err := dial(ctx, address)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			return do(ctx, c)
		})
	}
	return group.Wait()
}

// send sends a number of requests, starting with the given one; each connection sends its next request as soon as
// it has an answer.
func send(ctx context.Context, address string, from, count int64, of requests) error {
	next := atomic.Int64{}
	return onConnections(ctx, address, connections, func(ctx context.Context, c *connection) error {
		for n := next.Add(1) - 1; n < count; n = next.Add(1) - 1 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if _, err := c.must(of(from + n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// sendFor is send for a duration. It returns the number of answers.
func sendFor(ctx context.Context, address string, length time.Duration, of requests) (int64, error) {
	var next, done atomic.Int64
	end := time.Now().Add(length)
	err := onConnections(ctx, address, connections, func(ctx context.Context, c *connection) error {
		for time.Now().Before(end) && ctx.Err() == nil {
			if _, err := c.must(of(next.Add(1))); err != nil {
				return err
			}
			done.Add(1)
		}
		return ctx.Err()
	})
	return done.Load(), err
}

// dialAll opens connections in advance, so that handshakes are not measured.
func dialAll(ctx context.Context, address string, count int) (all []*connection, err error) {
	for range count {
		c, err := dial(ctx, address)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func closeAll(all []*connection) {
	for _, c := range all {
		_ = c.Close()
	}
}

// sendAt sends requests at a rate, at random times, whether or not earlier ones are
// answered, and returns the time from the scheduled time to each answer, sorted.
func sendAt(ctx context.Context, over []*connection, rate float64, length time.Duration, of requests) ([]time.Duration, error) {
	moments := make(chan time.Time, int(rate*length.Seconds())*2)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(moments)
		due, end := time.Now(), time.Now().Add(length)
		for due.Before(end) && ctx.Err() == nil {
			due = due.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
			time.Sleep(time.Until(due))
			moments <- due
		}
		return nil
	})
	var next atomic.Int64
	took := make([][]time.Duration, len(over))
	for i, c := range over {
		group.Go(func() error {
			for due := range moments {
				if _, err := c.must(of(next.Add(1))); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(due))
			}
			return nil
		})
	}
	err := group.Wait()
	return sorted(took...), err
}

func sorted(some ...[]time.Duration) []time.Duration {
	all := slices.Concat(some...)
	slices.Sort(all)
	return all
}

// percentile returns a percentile of sorted durations.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
