package plugin

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
	"k8s.io/utils/clock"
)

// patience is after what time somebody who waits is told what for.
const patience = time.Second

// progress tells on stderr what is waited for: one line that is rewritten on a terminal, and
// elsewhere a line for each thing.
type progress struct {
	out      io.Writer
	terminal bool
	clock    clock.WithTicker

	mu   sync.Mutex
	what string
}

// during tells of what until done is called.
func (p *progress) during(what string) (done func()) {
	p.say(what)
	ticker, stop, began := p.clock.NewTicker(patience), make(chan struct{}), p.clock.Now()
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

func (p *progress) show(last string, took time.Duration) string {
	p.mu.Lock()
	what := p.what
	p.mu.Unlock()
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r\033[K%s (%s)", what, took.Truncate(time.Second))
	case what != last:
		fmt.Fprintf(p.out, "%s ...\n", what)
	}
	return what
}

// say changes what is waited for.
func (p *progress) say(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = what
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
