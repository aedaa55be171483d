package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// cost is the number of API writes of one step.
type cost struct {
	what   string
	writes writes
}

// writes counts the manager's successful writes that create or change a Secret or the status of a key. Patches do
// not count: only the token service patches, to record a use. Deletions do not count: in the demo, only the user
// and the garbage collector delete.
type writes struct{ secrets, statuses int }

func (w writes) all() int              { return w.secrets + w.statuses }
func (w writes) plus(o writes) writes  { return writes{w.secrets + o.secrets, w.statuses + o.statuses} }
func (w writes) minus(o writes) writes { return writes{w.secrets - o.secrets, w.statuses - o.statuses} }

func (w writes) String() string {
	var parts []string
	if w.secrets > 0 {
		parts = append(parts, fmt.Sprintf("%d of a Secret", w.secrets))
	}
	if w.statuses > 0 {
		parts = append(parts, fmt.Sprintf("%d of a status", w.statuses))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// metered calls do, and expects that the operator makes wanted writes for it. It does not count in an existing
// cluster, where other clients write too.
func (s *scene) metered(what string, wanted int, do func()) {
	if !s.stage.ours {
		do()
		return
	}
	before := s.writesSoFar()
	do()
	spent := s.writesSoFar().minus(before)
	s.costs = append(s.costs, cost{what, spent})
	s.expect(spent.all() == wanted, "API writes: "+spent.String(), fmt.Sprintf("%d API writes for %s", wanted, what), spent)
}

// settling is longer than the API server takes to count a write.
const settling = 150 * time.Millisecond

// writesSoFar reads the API server's metrics until two readings are equal.
func (s *scene) writesSoFar() writes {
	last := s.readWrites()
	s.until("the API server's count of writes is stable", "two equal readings", func() (string, bool) {
		time.Sleep(settling)
		previous := last
		last = s.readWrites()
		return last.String(), last == previous
	})
	return last
}

var (
	requestTotal = regexp.MustCompile(`^apiserver_request_total\{(.*)\} (\S+)$`)
	metricLabel  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

func (s *scene) readWrites() (counted writes) {
	metrics, err := s.stage.clientset.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(s.ctx)
	s.must(err)
	for line := range bytes.Lines(metrics) {
		match := requestTotal.FindSubmatch(bytes.TrimSpace(line))
		if match == nil {
			continue
		}
		labels := map[string]string{}
		for _, label := range metricLabel.FindAllSubmatch(match[1], -1) {
			labels[string(label[1])] = string(label[2])
		}
		if !strings.HasPrefix(labels["code"], "2") || labels["dry_run"] != "" || !changes(labels["verb"]) {
			continue
		}
		value, err := strconv.ParseFloat(string(match[2]), 64)
		s.must(err)
		switch labels["resource"] + "/" + labels["subresource"] {
		case "secrets/":
			counted.secrets += int(value)
		case "jwtrefreshkeys/status":
			counted.statuses += int(value)
		}
	}
	return counted
}

func changes(verb string) bool {
	switch verb {
	case "POST", "PUT", "APPLY":
		return true
	default:
		return false
	}
}
