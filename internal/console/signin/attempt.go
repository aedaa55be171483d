package signin

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// attemptLife is how long a sign-in may take.
	attemptLife = 5 * time.Minute
	// secretBytes is the length of state, nonce and PKCE verifier, before base64url makes 43 characters of it.
	secretBytes = 32
	// mostAttempts is how many sign-ins of one browser may be open, such as in several tabs. All cookies together must fit into a header.
	mostAttempts = 3
	// longestCookie is the longest cookie of a sign-in, its name and value: browsers keep none above 4,096 bytes.
	longestCookie = 4000
	// longestReturn is the longest path to return to: that of a form holds its entries.
	longestReturn = 2560
)

// attempt is a sign-in that has begun. It is sealed in a cookie of the browser that began it.
type attempt struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Return   string    `json:"r"`
	Session  string    `json:"b,omitempty"`
	Redirect string    `json:"u"`
	Until    time.Time `json:"t"`
}

// attempts seals sign-ins, and remembers which were used.
type attempts struct {
	sealer cipher.AEAD

	mu sync.Mutex
	// used are the states that came back, until their end. Login is limited, so there are few.
	used map[[sha256.Size]byte]time.Time
}

// attemptPrefix begins the names of the cookies. Browsers refuse such a cookie of another host, also below a base path: a sibling
// subdomain cannot plant the sign-in of another person. It demands the path /, so that neighbours get the cookie, too: it is sealed.
const attemptPrefix = "__Host-rk-in-"

func newAttempts(random io.Reader) (*attempts, error) {
	key := make([]byte, 32)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &attempts{sealer: sealer, used: map[[sha256.Size]byte]time.Time{}}, nil
}

// cookieTag is how much of a state names its cookie, so that several tabs can sign in at once.
const cookieTag = 8

func nameOf(state string) string { return attemptPrefix + state[:cookieTag] }

// begin remembers a sign-in in the browser.
func (a *attempts) begin(w http.ResponseWriter, r *http.Request, one *attempt) error {
	name := nameOf(one.State)
	value, err := a.seal(name, one)
	if err == nil && len(name)+len(value) > longestCookie {
		one.Return = withoutQuery(one.Return)
		value, err = a.seal(name, one)
	}
	if err != nil {
		return err
	}
	var open []string
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, attemptPrefix) {
			open = append(open, cookie.Name)
		}
	}
	if len(open) >= mostAttempts {
		for _, name := range open {
			writeAttempt(w, name, "", -1)
		}
	}
	writeAttempt(w, name, value, int(attemptLife/time.Second))
	return nil
}

// seal returns the value of the cookie of a sign-in.
func (a *attempts) seal(name string, one *attempt) (string, error) {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	// A query has many &, which would become six bytes each.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(one); err != nil {
		return "", err
	}
	sealed := a.sealer.Seal(nil, nil, plain.Bytes(), []byte(name)) //nolint:gosec // this AEAD makes a random nonce itself
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// writeAttempt sets the cookie of a sign-in. It is Lax, since the provider sends the browser back from another site.
func writeAttempt(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// take returns the sign-in of a state that this browser began, once.
func (a *attempts) take(w http.ResponseWriter, r *http.Request, state string, now time.Time) (*attempt, error) {
	if len(state) != base64.RawURLEncoding.EncodedLen(secretBytes) || strings.ContainsFunc(state, outsideBase64) {
		return nil, errors.New("the console did not make the state")
	}
	name := nameOf(state)
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return nil, errors.New("the browser has not one cookie of the sign-in")
	}
	writeAttempt(w, name, "", -1)
	sealed, err := base64.RawURLEncoding.DecodeString(found[0].Value)
	if err != nil {
		return nil, errors.New("the cookie of the sign-in is malformed")
	}
	plain, err := a.sealer.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, errors.New("the cookie of the sign-in was not sealed by this console since its start")
	}
	one := &attempt{}
	if err := json.Unmarshal(plain, one); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(one.State), []byte(state)) != 1 {
		return nil, errors.New("the state is that of another sign-in")
	}
	if !now.Before(one.Until) {
		return nil, errors.New("the sign-in took too long")
	}
	if !a.first(one, now) {
		return nil, errors.New("the state was used before")
	}
	return one, nil
}

// first reports whether a state comes back for the first time.
func (a *attempts) first(one *attempt, now time.Time) bool {
	key := sha256.Sum256([]byte(one.State))
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, until := range a.used {
		if !now.Before(until) {
			delete(a.used, other)
		}
	}
	if _, again := a.used[key]; again {
		return false
	}
	a.used[key] = one.Until
	return true
}

func outsideBase64(r rune) bool {
	switch {
	case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_':
		return false
	default:
		return true
	}
}

// withoutQuery returns a path without the entries of a form, or the filters of a list.
func withoutQuery(page string) string {
	page, _, _ = strings.Cut(page, "?")
	return page
}

// returnPath returns the path that a person asked for, without a query that is too long. For a path of another host, or one that a
// browser reads as such, it returns the first page. The console checks whether the path is a page.
func returnPath(asked string) string {
	if len(asked) > longestReturn {
		asked = withoutQuery(asked)
	}
	if !strings.HasPrefix(asked, "/") || strings.HasPrefix(asked, "//") || len(asked) > longestReturn ||
		strings.ContainsFunc(asked, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return "/"
	}
	return asked
}
