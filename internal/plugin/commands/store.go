package commands

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

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// session is the stored state of a login, in a file that only its owner can read.
type session struct {
	Issuer        string    `json:"issuer"`
	TokenEndpoint string    `json:"tokenEndpoint"`
	Audience      string    `json:"audience"`
	CA            string    `json:"ca,omitempty"`
	StartedAt     time.Time `json:"startedAt"`
	RefreshToken  string    `json:"refreshToken"`
	// Access is the last access token. It is printed again while it is valid, since each exchange is a write to the
	// API server.
	Access *accessToken `json:"access,omitempty"`
}

// accessToken is an access token with its type, scopes and end. Asked are the scopes that were requested.
type accessToken struct {
	Token     string    `json:"token"`
	Type      string    `json:"type"`
	Scope     string    `json:"scope,omitempty"`
	Asked     string    `json:"asked,omitempty"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// usable reports whether the token was requested with this scope and is valid for more than a minute.
func (a *accessToken) usable(scope string, now time.Time) bool {
	return a != nil && a.Asked == scope && a.ExpiresAt.Sub(now) > time.Minute
}

// maxSessionName is the longest name of a session, in characters.
const maxSessionName = 63

var sessionName = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9][A-Za-z0-9._-]{0,%d}$`, maxSessionName-1))

// sessionFile returns the path of a session's file.
func (c *app) sessionFile(name string) (string, error) {
	if !sessionName.MatchString(name) {
		return "", cli.UsageError("a session's name consists of at most %d letters, digits, dots, dashes and underscores, and begins with a letter or a digit", maxSessionName)
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

// locked calls do while it holds a lock on file. The token service revokes the session if a
// one-time token is used again later than its grace.
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

// writeSecret writes a file atomically, with mode 0600.
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
	raw, err := os.ReadFile(file) //nolint:gosec // the path is in the user's own configuration
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Fail(cli.ExitNotFound, "there is no session in %s: sign in with kubectl refreshkey login", file)
	}
	if err != nil {
		return nil, err
	}
	s := &session{}
	if err := json.Unmarshal(raw, s); err != nil || s.RefreshToken == "" || s.TokenEndpoint == "" {
		// The cause could contain a part of the file.
		return nil, fmt.Errorf("%s is not a session file: remove it and sign in again", file)
	}
	return s, nil
}

func (s *session) save(file string) error {
	raw, err := json.MarshalIndent(s, "", "  ") //nolint:gosec // the file stores the tokens, and only its owner can read it
	if err != nil {
		return err
	}
	return writeSecret(file, append(raw, '\n'))
}

// saveNext is save after the token service has used up the last refresh token.
func (s *session) saveNext(file string) error {
	if err := s.save(file); err != nil {
		return fmt.Errorf("the token was used, but the next one could not be stored; run the same command again within %s: %w", lifecycle.DefaultRetryGrace, err)
	}
	return nil
}
