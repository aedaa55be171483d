package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// login gives the answers of the token service in a login again. It compares one bcrypt hash and signs three tokens, but seals, decides and
// stores nothing.
type login struct {
	*floor
	answers map[string]*recorded
	hashes  map[string][]byte
	// tokens is the answer with the tokens, whose signatures are made again.
	tokens oauth.TokenAnswer
}

// recorded is an answer of the token service.
type recorded struct {
	status int
	header http.Header
	body   []byte
}

// newLogin reads the answers and the htpasswd lines in a folder.
func newLogin(f *floor, folder string) (*login, error) {
	l := &login{floor: f, answers: map[string]*recorded{}, hashes: map[string][]byte{}}
	for _, step := range []string{"authorize", "password", "consent", "token"} {
		answer, err := readAnswer(filepath.Join(folder, step))
		if err != nil {
			return nil, err
		}
		l.answers[step] = answer
	}
	lines, err := os.ReadFile(filepath.Join(folder, "htpasswd"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(lines)) {
		user, hash, _ := strings.Cut(strings.TrimSpace(line), ":")
		l.hashes[user] = []byte(hash)
	}
	return l, json.Unmarshal(l.answers["token"].body, &l.tokens)
}

func readAnswer(path string) (*recorded, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	answer, err := http.ReadResponse(bufio.NewReader(file), nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	return &recorded{answer.StatusCode, answer.Header, body}, errors.Join(err, answer.Body.Close())
}

// register adds the endpoints of a login, below the path of any issuer.
func (l *login) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{issuer}/authorize", l.step("authorize", func(r *http.Request) ([]byte, error) { return nil, r.ParseForm() }))
	mux.HandleFunc("POST /{issuer}/authorize/password", l.step("password", l.password))
	mux.HandleFunc("POST /{issuer}/authorize/consent", l.step("consent", func(r *http.Request) ([]byte, error) { return nil, r.ParseForm() }))
	mux.HandleFunc("POST /{issuer}/token", l.step("token", l.redeem))
}

// step answers a request as it was recorded, with another body if do returns one, and writes a line like that of the token service.
func (l *login) step(name string, do func(*http.Request) ([]byte, error)) http.HandlerFunc {
	answer := l.answers[name]
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		body, err := do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if body == nil {
			body = answer.body
		}
		header := w.Header()
		maps.Copy(header, answer.header)
		header.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(answer.status)
		_, _ = w.Write(body)
		fields := []any{"endpoint", "authorize/password", "issuer", "people", "status", answer.status, "took", time.Since(began).String()}
		if name == "token" {
			fields = append(fields, "namespace", "refreshkeys-system", "name", "signin-00000000000000000000000000000000", "jti", "00000000-0000-7000-8000-000000000000")
		}
		l.log.Info("request", fields...)
	}
}

func (l *login) password(r *http.Request) ([]byte, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return nil, bcrypt.CompareHashAndPassword(l.hashes[r.PostForm.Get("username")], []byte(r.PostForm.Get("password")))
}

func (l *login) redeem(r *http.Request) ([]byte, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	answer := l.tokens
	for _, one := range []struct {
		compact *string
		key     *keyring.Key
	}{{&answer.AccessToken, l.access}, {&answer.IDToken, l.access}, {&answer.RefreshToken, l.refresh}} {
		compact := one.compact
		end := strings.LastIndexByte(*compact, '.')
		if end < 0 {
			return nil, errors.New("the recorded answer lacks a token")
		}
		signature, err := one.key.Sign([]byte((*compact)[:end]))
		if err != nil {
			return nil, err
		}
		*compact = (*compact)[:end+1] + base64.RawURLEncoding.EncodeToString(signature)
	}
	return json.Marshal(&answer)
}
