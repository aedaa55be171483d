// Command floor does only the minimum of any token service: it reads a form
// over TLS, signs one JWT, returns it and writes one log line. It makes no decisions.
// The bench measures the token service against it.
//
//	POST /token   parses the form and signs
//	POST /first   also verifies the refresh token's signature
//
// With -login, it also has the endpoints of a login; see login.
package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "floor: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	set := flag.NewFlagSet("floor", flag.ContinueOnError)
	address := set.String("address", "", "where it serves, over TLS")
	health := set.String("health", "", "where it says that it serves")
	certificate := set.String("certificate", "", "file of the certificate")
	key := set.String("key", "", "file of the certificate's key")
	rings := set.String("rings", "", "file of the issuer's signing keys: the data of their Secret, in JSON")
	answer := set.String("answer", "", "file of an answer of the token service, to be as large")
	folder := set.String("login", "", "folder with the answers of the token service in a login; none when empty")
	if err := set.Parse(args); err != nil {
		return err
	}
	f, err := newFloor(*rings, *answer)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, false) })
	mux.HandleFunc("POST /first", func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, true) })
	if *folder != "" {
		login, err := newLogin(f, *folder)
		if err != nil {
			return err
		}
		login.register(mux)
	}
	server := &http.Server{Addr: *address, Handler: mux, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	go func() {
		_ = http.ListenAndServe(*health, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}()
	return server.ListenAndServeTLS(*certificate, *key)
}

// signatureLength is the length of an ES256 signature, in bytes (RFC 7518 §3.4).
const signatureLength = 64

type floor struct {
	refresh, access *keyring.Key
	// header and payload are copied from an access token of the service.
	header  string
	payload []byte
	answer  oauth.TokenAnswer
	log     logr.Logger
}

func newFloor(ringsFile, answerFile string) (*floor, error) {
	f := &floor{}
	var data map[string][]byte
	if err := readJSON(ringsFile, &data); err != nil {
		return nil, err
	}
	rings, err := keyring.Decode(data)
	if err != nil {
		return nil, err
	}
	if f.refresh, err = rings.Signer(keyring.Refresh); err != nil {
		return nil, err
	}
	if f.access, err = rings.Signer(keyring.Access); err != nil {
		return nil, err
	}
	if err := readJSON(answerFile, &f.answer); err != nil {
		return nil, err
	}
	parts := strings.Split(f.answer.AccessToken, ".")
	if len(parts) != 3 {
		return nil, errors.New("the answer contains no token")
	}
	f.header = parts[0]
	if f.payload, err = base64.RawURLEncoding.DecodeString(parts[1]); err != nil {
		return nil, err
	}
	// As in the token service.
	config := zap.NewProductionConfig()
	config.DisableStacktrace, config.Sampling = true, nil
	logger, err := config.Build()
	f.log = zapr.NewLogger(logger)
	return f, err
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (f *floor) serve(w http.ResponseWriter, r *http.Request, first bool) {
	began := time.Now()
	status, body := http.StatusOK, []byte(nil)
	if answer, err := f.exchange(r, first); err != nil {
		status = http.StatusBadRequest
	} else if body, err = json.Marshal(answer); err != nil {
		status = http.StatusInternalServerError
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
	// The same line as the token service's, with names of the same length.
	f.log.Info("request", "endpoint", "token", "issuer", "default", "status", status, "took", time.Since(began).String(),
		"namespace", "exchanged-0", "name", "orders-00000", "jti", "00000000-0000-7000-8000-000000000000")
}

func (f *floor) exchange(r *http.Request, first bool) (*oauth.TokenAnswer, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	presented := r.PostForm.Get(oauth.ParamRefreshToken)
	if r.PostForm.Get(oauth.ParamGrantType) != oauth.GrantRefreshToken || presented == "" {
		return nil, errors.New("not a refresh request")
	}
	if first {
		if err := f.verify(presented); err != nil {
			return nil, err
		}
	}
	signed := f.header + "." + base64.RawURLEncoding.EncodeToString(f.payload)
	signature, err := f.access.Sign([]byte(signed))
	if err != nil {
		return nil, err
	}
	answer := f.answer
	answer.AccessToken = signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	return &answer, nil
}

func (f *floor) verify(compact string) error {
	end := strings.LastIndexByte(compact, '.')
	if end < 0 {
		return errors.New("not a token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(compact[end+1:])
	if err != nil {
		return err
	}
	public, ok := f.refresh.Public().(*ecdsa.PublicKey)
	if !ok || len(signature) != signatureLength {
		return errors.New("not a signature of ES256")
	}
	digest := sha256.Sum256([]byte(compact[:end]))
	r, s := new(big.Int).SetBytes(signature[:signatureLength/2]), new(big.Int).SetBytes(signature[signatureLength/2:])
	if !ecdsa.Verify(public, digest[:], r, s) {
		return errors.New("the signature is not valid")
	}
	return nil
}
