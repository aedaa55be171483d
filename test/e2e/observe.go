package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// observation is a line of a client, with the pod that it is from.
type observation struct {
	pod          string
	At           time.Time `json:"at"`
	What         string    `json:"what"`
	Revision     int64     `json:"revision"`
	OK           bool      `json:"ok"`
	Error        string    `json:"error"`
	Milliseconds float64   `json:"ms"`
	Verified     bool      `json:"verified"`
}

const (
	exchangeLine = "exchange"
	tokenLine    = "token"

	followEvery = 50 * time.Millisecond
)

// observer reads what the clients print from the files in which the node keeps it, so that
// neither a kubelet that is away nor a pod that is gone hides anything.
type observer struct {
	logs      string
	namespace string

	mu       sync.Mutex
	seen     []observation
	followed map[string]bool
	wait     sync.WaitGroup
}

// watch looks for clients until ctx is done, and reads on whatever it found to the end.
func (o *observer) watch(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		// <namespace>_<pod>_<uid>/<container>/<number of its run>.log
		found, err := filepath.Glob(filepath.Join(o.logs, o.namespace+"_*", "client", "*.log"))
		if err != nil {
			panic(err)
		}
		for _, path := range found {
			if !o.followed[path] {
				o.followed[path] = true
				o.wait.Go(func() { o.follow(ctx, path) })
			}
		}
		select {
		case <-ctx.Done():
			o.wait.Wait()
			return
		case <-tick.C:
		}
	}
}

func (o *observer) follow(ctx context.Context, path string) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	pod := strings.Split(filepath.Base(filepath.Dir(filepath.Dir(path))), "_")[1]
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	lines := bufio.NewReader(file)
	var begun string
	for {
		rest, err := lines.ReadString('\n')
		begun += rest
		switch {
		case err == nil:
			o.note(pod, begun)
			begun = ""
			continue
		case err != io.EOF || ctx.Err() != nil:
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// note takes in a line: time, stream, whether it is whole, and what was printed.
func (o *observer) note(pod, line string) {
	fields := strings.SplitN(strings.TrimSpace(line), " ", 4)
	if len(fields) != 4 {
		return
	}
	seen := observation{pod: pod}
	if err := json.Unmarshal([]byte(fields[3]), &seen); err != nil {
		// What is not one of its lines is a complaint of the program's.
		seen = observation{pod: pod, At: time.Now(), What: exchangeLine, Error: "it printed: " + fields[3]}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, seen)
}

// since returns what happened from a moment on, in the order in which it was read.
func (o *observer) since(from time.Time, what string) []observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	var seen []observation
	for _, each := range o.seen {
		if each.What == what && !each.At.Before(from) {
			seen = append(seen, each)
		}
	}
	return seen
}

// byPod tells of each pod the first observation that is as asked for.
func byPod(seen []observation, asked func(observation) bool) map[string]observation {
	first := map[string]observation{}
	for _, each := range seen {
		if _, known := first[each.pod]; !known && asked(each) {
			first[each.pod] = each
		}
	}
	return first
}
