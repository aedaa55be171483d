package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// session is what a login is remembered by, in a file that nobody else reads.
type session struct {
	Issuer        string    `json:"issuer"`
	TokenEndpoint string    `json:"tokenEndpoint"`
	Audience      string    `json:"audience"`
	CA            string    `json:"ca,omitempty"`
	StartedAt     time.Time `json:"startedAt"`
	RefreshToken  string    `json:"refreshToken"`
	// Access is the last access token, used again while it lives: each exchange is a write at the API server.
	Access *accessToken `json:"access,omitempty"`
}

// accessToken is an access token with what has to be known of it.
type accessToken struct {
	Token     string    `json:"token"`
	Type      string    `json:"type"`
	Scope     string    `json:"scope,omitempty"`
	Asked     string    `json:"asked,omitempty"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// usable tells whether the token lives long enough to be worth handing out.
func (a *accessToken) usable(scope string, now time.Time) bool {
	return a != nil && a.Asked == scope && a.ExpiresAt.Sub(now) > time.Minute
}

var sessionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// sessionFile is where a session is kept.
func (c *cli) sessionFile(name string) (string, error) {
	if !sessionName.MatchString(name) {
		return "", usageError("a session's name consists of at most 63 letters, digits, dots, dashes and underscores, and begins with a letter or a digit")
	}
	base := c.Getenv("XDG_CONFIG_HOME")
	if base == "" {
		home := c.Getenv("HOME")
		if home == "" {
			var err error
			if home, err = os.UserHomeDir(); err != nil {
				return "", fmt.Errorf("neither XDG_CONFIG_HOME nor HOME is set, so sessions have no directory: %w", err)
			}
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "refreshkeys", "sessions", name+".json"), nil
}

// locked does something while no other process does it with that file. A one-time token that two use at once is
// taken for stolen.
func locked(file string, do func() error) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	unlock, err := lockedfile.MutexAt(file + ".lock").Lock()
	if err != nil {
		return fmt.Errorf("%s cannot be locked: %w", file, err)
	}
	defer unlock()
	return do()
}

// writeSecret puts a file there whole or not at all, for its owner alone.
func writeSecret(file string, content []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, temporary.Close(), os.Remove(temporary.Name()))
		}
	}()
	if _, err := temporary.Write(content); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return err
	}
	return temporary.Close()
}

func loadSession(file string) (*session, error) {
	raw, err := os.ReadFile(file) //nolint:gosec // it is in the user's own configuration
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitNotFound, "there is no session in %s: sign in with kubectl refreshkey login", file)
	}
	if err != nil {
		return nil, err
	}
	s := &session{}
	if err := json.Unmarshal(raw, s); err != nil || s.RefreshToken == "" || s.TokenEndpoint == "" {
		// The cause could repeat some of the file.
		return nil, fmt.Errorf("%s is not a session file: remove it and sign in again", file)
	}
	return s, nil
}

func (s *session) save(file string) error {
	raw, err := json.MarshalIndent(s, "", "  ") //nolint:gosec // the tokens are what the file is for, and nobody else reads it
	if err != nil {
		return err
	}
	return writeSecret(file, append(raw, '\n'))
}
