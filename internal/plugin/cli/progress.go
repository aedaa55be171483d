package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
	"k8s.io/utils/clock"
)

// progressDelay is the time after which a command prints what it waits for.
const progressDelay = time.Second

// Progress prints to stderr what a command waits for: one line that is rewritten on a terminal, and
// otherwise one line for each text.
type Progress struct {
	out      io.Writer
	terminal bool
	clock    clock.WithTicker

	mu   sync.Mutex
	what string
}

// During reports what as the current activity until done is called.
func (p *Progress) During(what string) (done func()) {
	p.Update(what)
	ticker, stop, began := p.clock.NewTicker(progressDelay), make(chan struct{}), p.clock.Now()
	var ended sync.WaitGroup
	ended.Go(func() {
		last := ""
		for {
			select {
			case <-stop:
				if p.terminal && last != "" {
					fmt.Fprint(p.out, "\r\033[K")
				}
				return
			case <-ticker.C():
				last = p.show(last, p.clock.Since(began))
			}
		}
	})
	return sync.OnceFunc(func() {
		ticker.Stop()
		close(stop)
		ended.Wait()
	})
}

func (p *Progress) show(last string, took time.Duration) string {
	p.mu.Lock()
	what := Printable(p.what)
	p.mu.Unlock()
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r\033[K%s (%s)", what, took.Truncate(time.Second))
	case what != last:
		fmt.Fprintf(p.out, "%s ...\n", what)
	}
	return what
}

// Update changes the reported activity.
func (p *Progress) Update(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = what
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
