package tokenserver

import (
	"errors"
	"os"
	"sync"
)

// AuditFile is a file that lines are appended to, and that supports all usual rotations without a signal. After
// the file is renamed or removed, the next line is written to a new one; after it is truncated, the next line is
// written at its beginning.
type AuditFile struct {
	path string

	mu   sync.Mutex
	file *os.File
	// torn is true if the last write ended within a line.
	torn bool
}

// OpenAuditFile opens the file, or creates it for its owner only.
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
		// A line that follows half a line could not be parsed either.
		if _, err := f.file.WriteString("\n"); err != nil {
			return 0, err
		}
		f.torn = false
	}
	n, err := f.file.Write(line)
	f.torn = err != nil && n > 0
	return n, err
}

// reopenIfRotated opens the file again if the open one is no longer at its path.
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
