// Command client uses a refresh token as a workload does: it reads the mounted Secret
// for each exchange, exchanges every second, and prints a line of JSON for each exchange, and for
// each new token in its files. It does not use the Kubernetes API, and never prints
// a token.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	exchangeEvery = time.Second
	lookEvery     = 50 * time.Millisecond
	// verifyEvery: the access token of one in so many exchanges is verified.
	verifyEvery   = 5
	healthAddress = ":8080"
)

// line is a line of output.
type line struct {
	At time.Time `json:"at"`
	// What is "exchange", or "token" for a token found in the files.
	What         string  `json:"what"`
	Revision     int64   `json:"revision,omitempty"`
	OK           bool    `json:"ok"`
	Error        string  `json:"error,omitempty"`
	Milliseconds float64 `json:"ms,omitempty"`
	// Verified is true if the access token was verified with the published keys.
	Verified bool `json:"verified,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: client FOLDER-OF-THE-MOUNTED-SECRET")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	mounted := &secretFiles{dir: os.Args[1]}
	var healthy atomic.Bool
	go serveHealth(&healthy)
	go announce(ctx, mounted)
	exchangeForEver(ctx, mounted, &healthy)
}

func exchangeForEver(ctx context.Context, mounted *secretFiles, healthy *atomic.Bool) {
	tick := time.NewTicker(exchangeEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		done := exchangeOnce(mounted, n)
		healthy.Store(done.OK)
		write(done)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func exchangeOnce(mounted *secretFiles, n int) line {
	done := line{At: time.Now(), What: "exchange"}
	held, err := mounted.read()
	if err != nil {
		done.Error = err.Error()
		return done
	}
	done.Revision = held.revision()
	// Every second exchange opens a connection, as a program that has just started; the
	// others use a kept connection.
	service := &tokenService{secret: held, keepConnection: n%2 == 0}
	access, err := service.refresh()
	done.Milliseconds = float64(time.Since(done.At).Microseconds()) / 1000
	if err == nil && n%verifyEvery == 0 {
		err = service.verify(access)
		done.Verified = err == nil
	}
	done.OK = err == nil
	if err != nil {
		done.Error = err.Error()
	}
	return done
}

// announce prints when the files hold another token, with a precision of 50 ms.
func announce(ctx context.Context, mounted *secretFiles) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last int64
	for {
		if held, err := mounted.read(); err == nil && held.revision() != last {
			last = held.revision()
			write(line{At: time.Now(), What: "token", Revision: last, OK: true})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func write(l line) {
	out, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	// Use one write, so that lines of two goroutines do not mix.
	_, _ = os.Stdout.Write(append(out, '\n'))
}

func serveHealth(healthy *atomic.Bool) {
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: healthAddress, ReadHeaderTimeout: exchangeEvery}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}
