package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNoCluster is returned for a folder without a cluster.
var ErrNoCluster = errors.New("no cluster was started in this folder")

// state is the data that another process needs to adopt a cluster. It is written
// after each start and end of a process.
type state struct {
	Assets    string            `json:"assets"`
	Detached  bool              `json:"detached"`
	Ports     map[string]int    `json:"ports"`
	Processes []recordedProcess `json:"processes"`
}

type recordedProcess struct {
	Program
	identity
	Digest string `json:"digest,omitempty"`
}

func statePath(dir string) string { return filepath.Join(dir, "cluster.json") }

func readState(dir string) (*state, error) {
	content, err := os.ReadFile(statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoCluster)
	}
	if err != nil {
		return nil, err
	}
	var recorded state
	if err := json.Unmarshal(content, &recorded); err != nil {
		return nil, fmt.Errorf("%s cannot be read; stop the processes that still run from %s and remove that folder: %w", statePath(dir), dir, err)
	}
	return &recorded, nil
}

// write replaces the file atomically, so that a crash leaves the old or the new content.
func (s *state) write(dir string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	part := statePath(dir) + ".part"
	if err := os.WriteFile(part, content, 0o600); err != nil {
		return err
	}
	return os.Rename(part, statePath(dir))
}

// fileDigest returns a digest by which a changed binary is detected.
func fileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
