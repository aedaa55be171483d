package faults

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// kind is the kind of object that a request concerns.
type kind string

const (
	keySecret    kind = "Secret"
	keyStatus    kind = "status of JWTRefreshKey"
	signingKeys  kind = "Secret with signing keys"
	issuerStatus kind = "status of JWTIssuer"
	otherRequest kind = ""
)

// apiCall describes a request of the operator: the object, and its owner. The owner is a namespace or the
// name of an issuer.
type apiCall struct {
	kind  kind
	verb  string
	owner string
	name  string
}

// writes reports whether the request is a write that counts. Events and Leases do not count.
func (e apiCall) writes() bool {
	return e.kind != otherRequest && e.verb != http.MethodGet
}

func (e apiCall) String() string {
	return fmt.Sprintf("%s %s %s/%s", e.verb, e.kind, e.owner, e.name)
}

const signingKeysPrefix = "signing-keys-"

// apiCallOf derives the call from the path of a request, and from the body where the path lacks the name.
func apiCallOf(request *http.Request, body []byte) apiCall {
	e := apiCall{verb: request.Method}
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	in := slices.Index(parts, "namespaces")
	switch {
	case in >= 0 && len(parts) > in+2:
		e.owner = parts[in+1]
		e.name = strings.Join(parts[min(in+3, len(parts)):min(in+4, len(parts))], "")
		switch resource := parts[in+2]; {
		case resource == "secrets":
			e.kind = keySecret
		case resource == "jwtrefreshkeys" && parts[len(parts)-1] == "status":
			e.kind = keyStatus
		}
	case slices.Contains(parts, "jwtissuers"):
		i := slices.Index(parts, "jwtissuers")
		if len(parts) > i+1 {
			e.owner, e.name = parts[i+1], parts[i+1]
		}
		if parts[len(parts)-1] == "status" {
			e.kind = issuerStatus
		}
	}
	if e.kind == keySecret && e.owner == apiserver.Namespace {
		if e.name == "" {
			e.name = secretIn(body).Name
		}
		e.kind, e.owner = signingKeys, strings.TrimPrefix(e.name, signingKeysPrefix)
	}
	return e
}

// secretIn decodes the Secret in the body of a write, in JSON or protobuf. It returns an empty Secret for
// any other body.
func secretIn(body []byte) *corev1.Secret {
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if secret, ok := object.(*corev1.Secret); err == nil && ok {
		return secret
	}
	return &corev1.Secret{}
}

// entry is one write of the operator.
type entry struct {
	apiCall
	at time.Time
	// generation is the number of the manager in the test.
	generation int
	// answer is the HTTP status; 0 if the request did not reach the API server.
	answer int
	// cut is the side of the write on which the test cut the connection; empty if it did not.
	cut side
	// failure is the error of the request, if there was one.
	failure string
}

// effective reports whether the write took effect.
func (e *entry) effective() bool { return e.answer >= 200 && e.answer < 300 }

// refused reports whether the API server answered Forbidden.
func (e *entry) refused() bool { return e.answer == http.StatusForbidden }

func (e *entry) String() string {
	text := fmt.Sprintf("manager %d: %s -> %d", e.generation, e.apiCall, e.answer)
	if e.cut != "" {
		text += " (" + string(e.cut) + ")"
	}
	if e.failure != "" {
		text += " (" + e.failure + ")"
	}
	return text
}

// journal records the writes of all managers of a test, and every token and private key in them.
type journal struct {
	mu      sync.Mutex
	entries []*entry
	tokens  map[string]map[string]bool // by owner
	keys    map[string]bool            // private keys in PEM
}

func newJournal() *journal {
	return &journal{tokens: map[string]map[string]bool{}, keys: map[string]bool{}}
}

func (j *journal) append(e *entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// ofOwner returns the writes that concern the objects of an owner, in order.
func (j *journal) ofOwner(owner string) []*entry {
	return j.filter(func(e *entry) bool { return e.owner == owner })
}

func (j *journal) filter(want func(*entry) bool) (found []*entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if want(e) {
			found = append(found, e)
		}
	}
	return found
}

// recordSecret records the tokens in a Secret.
func (j *journal) recordSecret(owner string, secret *corev1.Secret) {
	for _, field := range []string{v1alpha1.SecretToken, v1alpha1.SecretAccessToken} {
		if compact := string(secret.Data[field]); strings.Count(compact, ".") == 2 {
			j.recordToken(owner, compact)
		}
	}
}

// recordKeys records the private keys in a Secret.
func (j *journal) recordKeys(secret *corev1.Secret) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, content := range secret.Data {
		if strings.HasPrefix(string(content), "-----BEGIN PRIVATE KEY-----") {
			j.keys[string(content)] = true
		}
	}
}

// scanner returns a scanner for all tokens and private keys that were ever in a Secret, or in a write of
// one.
func (j *journal) scanner(t *testing.T) *secretScanner {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	s := newSecretScanner()
	for _, of := range j.tokens {
		for compact := range of {
			s.addToken(compact)
		}
	}
	for content := range j.keys {
		s.addPrivateKey(t, []byte(content))
	}
	return s
}

func (j *journal) recordToken(owner, compact string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tokens[owner] == nil {
		j.tokens[owner] = map[string]bool{}
	}
	j.tokens[owner][compact] = true
}

// tokensOf returns every token that was ever in a Secret of an owner, or in a write of one.
func (j *journal) tokensOf(owner string) (tokens []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for compact := range j.tokens[owner] {
		tokens = append(tokens, compact)
	}
	return tokens
}

func formatEntries(entries []*entry) string {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = "\t" + e.String()
	}
	return strings.Join(lines, "\n")
}
