package cli

import (
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// syncBuffer collects writes, and signals each one on more.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.text.Write(p)
	s.more <- struct{}{}
	return n, err
}

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"in a pipe: a line for each activity", false, "reading ...\nasking ...\n"},
		{"on a terminal: one line, which is removed at the end", true, "\r\033[Kreading (1s)\r\033[Kreading (2s)\r\033[Kasking (3s)\r\033[K"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(noon)
			out := &syncBuffer{more: make(chan struct{}, 10)}
			p := &Progress{out: out, terminal: c.terminal, clock: clock}
			done := p.During("reading")
			clock.Step(time.Second - time.Millisecond)
			if out.text.Len() > 0 {
				t.Fatal("progress is printed within the first second")
			}
			clock.Step(time.Millisecond)
			<-out.more
			if c.terminal {
				clock.Step(time.Second)
				<-out.more
			}
			p.Update("asking")
			clock.Step(time.Second)
			<-out.more
			done()
			done()
			if got := out.text.String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
