package faults

import (
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// logbook stores the log lines of the managers.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// logger returns a logger that writes to the book, up to the given verbosity.
func (l *logbook) logger(verbosity int) logr.Logger {
	return funcr.NewJSON(l.add, funcr.Options{Verbosity: verbosity, LogTimestamp: true, MaxLogDepth: 32})
}

func (l *logbook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// tail returns the last lines that contain a text, for a failure message.
func (l *logbook) tail(about string) string {
	const most, widest = 12, 600
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for i := len(l.lines) - 1; i >= 0 && len(found) < most; i-- {
		if strings.Contains(l.lines[i], about) {
			line := l.lines[i]
			found = append([]string{"\t" + line[:min(len(line), widest)]}, found...)
		}
	}
	return fmt.Sprintf("log about %s, last %d lines:\n%s", about, len(found), strings.Join(found, "\n"))
}
