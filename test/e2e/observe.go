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

// observation is a line of a client, with its pod.
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

// observer reads the clients' output from the node's log files, so that
// it also sees the output while the kubelet is down, and of deleted pods.
type observer struct {
	logs      string
	namespace string

	mu       sync.Mutex
	seen     []observation
	followed map[string]bool
	wait     sync.WaitGroup
}

// watch finds clients until ctx is done, and reads the files that it found to their end.
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

// note records a line: time, stream, whether it is whole, and the output.
func (o *observer) note(pod, line string) {
	fields := strings.SplitN(strings.TrimSpace(line), " ", 4)
	if len(fields) != 4 {
		return
	}
	seen := observation{pod: pod}
	if err := json.Unmarshal([]byte(fields[3]), &seen); err != nil {
		// Any other line is an error message of the program.
		seen = observation{pod: pod, At: time.Now(), What: exchangeLine, Error: "it printed: " + fields[3]}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, seen)
}

// since returns the observations since a time, in the order in which they were read.
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

// byPod returns the first matching observation of each pod.
func byPod(seen []observation, asked func(observation) bool) map[string]observation {
	first := map[string]observation{}
	for _, each := range seen {
		if _, known := first[each.pod]; !known && asked(each) {
			first[each.pod] = each
		}
	}
	return first
}
