package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// secretFiles is the folder of a mounted Secret.
type secretFiles struct {
	dir string

	mu   sync.Mutex
	last secret
}

// secret is the content of the files at one time.
type secret struct {
	token, endpoint string
	authority       []byte
}

// read returns the current content of the files. After the token is removed, it returns
// the last one: the test checks that the token service refuses it.
func (f *secretFiles) read() (secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	read, err := f.now()
	if err == nil {
		f.last = read
	}
	if f.last.token == "" {
		return secret{}, errors.Join(errors.New("there is no token yet"), err)
	}
	return f.last, nil
}

func (f *secretFiles) now() (secret, error) {
	// The kubelet changes all files at once with a symbolic link: under the link's target they
	// are consistent.
	state, err := filepath.EvalSymlinks(filepath.Join(f.dir, "..data"))
	if err != nil {
		return secret{}, err
	}
	token, err := os.ReadFile(filepath.Join(state, "token"))
	if err != nil {
		return secret{}, err
	}
	endpoint, err := os.ReadFile(filepath.Join(state, "token-endpoint"))
	if err != nil {
		return secret{}, err
	}
	authority, err := os.ReadFile(filepath.Join(state, "ca.crt"))
	if err != nil {
		return secret{}, err
	}
	if len(token) == 0 {
		return secret{}, errors.New("the token is empty")
	}
	return secret{token: string(token), endpoint: string(endpoint), authority: authority}, nil
}

// revision reads the revision from the token without verifying it; 0 if that fails.
func (s secret) revision() int64 {
	parts := strings.Split(s.token, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0
	}
	var claims struct {
		Object struct {
			Revision int64 `json:"revision"`
		} `json:"refreshkeys.dev"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return 0
	}
	return claims.Object.Revision
}
