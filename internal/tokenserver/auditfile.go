package tokenserver

import (
	"errors"
	"os"
	"sync"
)

// AuditFile is a file that lines are appended to, and that may be rotated in every usual way: who
// renames or removes it finds the next line in a new one, without a signal, and who truncates it finds
// that at its beginning.
type AuditFile struct {
	path string

	mu   sync.Mutex
	file *os.File
	// torn: what was written last is a part of a line.
	torn bool
}

// OpenAuditFile opens the file, and makes it where there is none, for its owner alone.
func OpenAuditFile(path string) (*AuditFile, error) {
	f := &AuditFile{path: path}
	return f, f.open()
}

func (f *AuditFile) open() (err error) {
	f.file, err = os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return err
}

// Write appends one line.
func (f *AuditFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reopenIfRotated(); err != nil {
		return 0, err
	}
	if f.torn {
		// What follows half a line would be lost with it.
		if _, err := f.file.WriteString("\n"); err != nil {
			return 0, err
		}
		f.torn = false
	}
	n, err := f.file.Write(line)
	f.torn = err != nil && n > 0
	return n, err
}

// follow opens the file anew where what is open does not stand at its path any more.
func (f *AuditFile) reopenIfRotated() error {
	if f.file != nil {
		there, err := os.Stat(f.path)
		if err == nil {
			opened, err := f.file.Stat()
			if err != nil {
				return err
			}
			if os.SameFile(opened, there) {
				return nil
			}
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		_ = f.file.Close()
		f.file, f.torn = nil, false
	}
	return f.open()
}
