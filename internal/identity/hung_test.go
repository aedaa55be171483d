package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// soon is the longest time of a good login while another provider, or another client's token, causes waiting. On
	// a slow machine it may take slowdown times as long as before anything causes waiting.
	soon     = 100 * time.Millisecond
	slowdown = 5
	// patience bounds waits for what happens at once, and is long enough for a busy machine.
	patience = 20 * time.Second
)

// hang makes the provider accept requests for its documents, and answer none until the test ends.
func (p *idp) hang(t *testing.T) {
	t.Helper()
	over := make(chan struct{})
	hung := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}
	p.mu.Lock()
	p.answer[discoveryPath], p.answer[keysPath] = hung, hung
	p.mu.Unlock()
	// This runs before the server is closed, which waits for the answers.
	t.Cleanup(func() { close(over) })
}

// unknownKeyTokens presents 200 tokens that cannot be verified, each with an unknown kid. They wait until leave is
// called.
func unknownKeyTokens(t *testing.T, providers *Providers, p *idp) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var begun atomic.Int64
	compact := make([]string, 200)
	for i := range compact {
		compact[i] = p.sign(t, fmt.Sprint("unknown-", i), p.claims(nil))
	}
	for _, one := range compact {
		all.Add(1)
		go func() {
			defer all.Done()
			begun.Add(1)
			if _, err := providers.Verify(ctx, p.entry(), one); !errors.Is(err, upstream.ErrUnavailable) {
				t.Errorf("a token with an unknown kid gets: %v", err)
			}
		}()
	}
	for begun.Load() < int64(len(compact)) {
		runtime.Gosched()
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// signIn verifies a good id_token of the provider, which is valid for days.
func signIn(t *testing.T, providers *Providers, p *idp) error {
	t.Helper()
	_, err := providers.Verify(context.Background(), p.entry(), p.sign(t, "k1", p.claims(map[string]any{"exp": noon.Add(100 * time.Hour).Unix()})))
	return err
}

// first verifies an id_token before any document of the provider is cached.
func first(t *testing.T, providers *Providers, p *idp) {
	t.Helper()
	if err := signIn(t, providers, p); err != nil {
		t.Fatalf("a first login: %v", err)
	}
}

// lasts returns how long a login takes: the median of five, since a busy machine may delay any of them.
func lasts(t *testing.T, providers *Providers, p *idp, what string) time.Duration {
	t.Helper()
	var all []time.Duration
	for range 5 {
		done, began := make(chan error, 1), time.Now()
		go func() { done <- signIn(t, providers, p) }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			all = append(all, time.Since(began))
		case <-time.After(patience):
			t.Fatalf("%s: not answered after %s", what, patience)
		}
	}
	slices.Sort(all)
	t.Logf("%s: %s", what, all)
	return all[len(all)/2]
}

// quick checks that a login takes at most limit.
func quick(t *testing.T, providers *Providers, p *idp, limit time.Duration, what string) {
	t.Helper()
	if took := lasts(t, providers, p, what); took > limit {
		t.Errorf("%s takes %s, and may take %s", what, took, limit)
	}
}

// TestAHungProviderDelaysNoOtherLogin checks that a provider that accepts connections and never answers is
// requested once at a time, and that logins at other providers do not wait for it. If its keys are cached, its own
// logins do not wait either, an hour after the fetch and later. Its goroutines end within the timeout of a fetch.
func TestAHungProviderDelaysNoOtherLogin(t *testing.T) {
	known, other, never := newIDP(t), newIDP(t), newIDP(t)
	clock := clocktesting.NewFakePassiveClock(noon)
	providers := NewProviders(clock)
	providers.within = time.Second
	first(t, providers, known)
	first(t, providers, other)
	limit := max(soon, slowdown*lasts(t, providers, other, "before a provider hangs"))
	known.hang(t)
	never.hang(t)
	before := runtime.NumGoroutine()

	clock.SetTime(noon.Add(freshFor))
	leaveKnown, leaveNever := unknownKeyTokens(t, providers, known), unknownKeyTokens(t, providers, never)
	quick(t, providers, other, limit, "at another provider")
	quick(t, providers, known, limit, "at the same provider, an hour after its keys were fetched")
	leaveKnown()
	leaveNever()
	for name, asked := range map[string]int{
		"discovery of the one": known.count(discoveryPath), "keys of the one": known.count(keysPath), "discovery of the other": never.count(discoveryPath),
	} {
		if most := map[bool]int{true: 2, false: 1}[strings.HasSuffix(name, "one")]; asked > most {
			t.Errorf("%s were asked for %d times, want at most %d", name, asked, most)
		}
	}
	clock.SetTime(noon.Add(staleFor - time.Second))
	quick(t, providers, known, limit, "a day later, less a second")

	// Together less than upstreamFor, the limit of a fetch outside of tests.
	deadline := time.Now().Add(providers.within + 6*time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		stacks := make([]byte, 1<<16)
		t.Errorf("%d goroutines, and %d before:\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
	}
}

// TestCachedKeysEndAfterADay checks that keys are no longer used after fetching failed for a day.
func TestCachedKeysEndAfterADay(t *testing.T) {
	p := newIDP(t)
	clock := clocktesting.NewFakePassiveClock(noon)
	providers := NewProviders(clock)
	first(t, providers, p)
	p.respond(keysPath, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) })
	clock.SetTime(noon.Add(staleFor))
	compact := p.sign(t, "k1", p.claims(map[string]any{"exp": noon.Add(100 * time.Hour).Unix()}))
	if _, err := providers.Verify(context.Background(), p.entry(), compact); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("with keys of the previous day: %v", err)
	}
}

// TestWithdrawnKeysGo checks that a key that the provider no longer publishes is not used after the hourly fetch.
func TestWithdrawnKeysGo(t *testing.T) {
	p := newIDP(t)
	clock := clocktesting.NewFakePassiveClock(noon)
	providers := NewProviders(clock)
	first(t, providers, p)
	p.publish("k2", newIDP(t).key.Public())
	clock.SetTime(noon.Add(freshFor))
	compact := p.sign(t, "k1", p.claims(map[string]any{"exp": noon.Add(100 * time.Hour).Unix()}))
	deadline := time.Now().Add(patience)
	for {
		if _, err := providers.Verify(context.Background(), p.entry(), compact); errors.Is(err, ErrRefused) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a withdrawn key is accepted %s after newer keys were due", patience)
		}
	}
}

// TestFailuresAreRememberedFromTheirEnd checks that the pause after a failed fetch begins when the fetch ends.
func TestFailuresAreRememberedFromTheirEnd(t *testing.T) {
	p := newIDP(t)
	clock := clocktesting.NewFakePassiveClock(noon)
	providers := NewProviders(clock)
	p.respond(discoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		clock.SetTime(clock.Now().Add(upstreamFor))
		http.Error(w, "broken", http.StatusInternalServerError)
	})
	compact := p.sign(t, "k1", p.claims(nil))
	for range 3 {
		if _, err := providers.Verify(context.Background(), p.entry(), compact); !errors.Is(err, upstream.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if asked := p.count(discoveryPath); asked != 1 {
		t.Errorf("discovery was requested %d times, want once", asked)
	}
	p.respond(discoveryPath, nil)
	clock.SetTime(clock.Now().Add(upstreamEvery))
	if _, err := providers.Verify(context.Background(), p.entry(), compact); err != nil {
		t.Errorf("it does not recover: %v", err)
	}
}

// TestANewKeyAfterAnUnknownKid checks that a token of a new key returns ErrUnavailable, and not a refusal, if the
// key was published within 5 s of a fetch for another unknown kid.
func TestANewKeyAfterAnUnknownKid(t *testing.T) {
	p := newIDP(t)
	clock := clocktesting.NewFakePassiveClock(noon)
	providers := NewProviders(clock)
	verify := func(compact string) error {
		_, err := providers.Verify(context.Background(), p.entry(), compact)
		return err
	}
	first(t, providers, p)
	clock.SetTime(noon.Add(upstreamEvery))
	if err := verify(p.sign(t, "unknown", p.claims(nil))); !errors.Is(err, ErrRefused) {
		t.Fatalf("a token with an unknown kid, after the fetch: %v", err)
	}
	clock.SetTime(noon.Add(upstreamEvery + time.Second))
	next := newIDP(t).key
	p.publish("k2", next.Public())
	rotated := signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: next, KeyID: "k2"}}, p.claims(nil))
	if err := verify(rotated); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("a token of a key that was published a second after the fetch: %v", err)
	}
	if err := verify(p.sign(t, "k1", p.claims(map[string]any{"sub": "jane"})) + "x"); !errors.Is(err, ErrRefused) {
		t.Errorf("a forgery with a known kid: %v", err)
	}
	clock.SetTime(noon.Add(2*upstreamEvery + time.Second))
	if err := verify(rotated); err != nil {
		t.Errorf("it does not recover: %v", err)
	}
}

// TestAFailureIsNotReturnedTwice checks that a later caller does not get the result of a fetch that has ended.
func TestAFailureIsNotReturnedTwice(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon)
	for range 20000 {
		good := false
		d := newDocument(clock, upstreamFor, func(context.Context) (bool, error) {
			if !good {
				return false, errors.New("broken")
			}
			return true, nil
		})
		if _, err := d.read(t.Context()); err == nil {
			t.Fatal("no failure")
		}
		good = true
		clock.SetTime(clock.Now().Add(upstreamEvery))
		if _, err := d.read(t.Context()); err != nil {
			t.Fatalf("a later caller gets the earlier failure: %v", err)
		}
	}
}

// TestEntriesThatChange checks that an entry that changes often does not use more memory.
func TestEntriesThatChange(t *testing.T) {
	p := newIDP(t)
	providers := NewProviders(clocktesting.NewFakePassiveClock(noon))
	entry := p.entry()
	bundle := entry.CABundle
	for i := range 2 * rememberedProviders {
		entry.CABundle = fmt.Sprintf("# version %d\n%s", i, bundle)
		if _, err := providers.provider(entry); err != nil {
			t.Fatal(err)
		}
	}
	if kept := providers.known.Len(); kept > rememberedProviders {
		t.Errorf("%d providers are cached", kept)
	}
}

// TestWaitingIsBounded checks that at most mostWaiting callers wait for one document.
func TestWaitingIsBounded(t *testing.T) {
	release := make(chan struct{})
	d := newDocument(clocktesting.NewFakePassiveClock(noon), upstreamFor, func(context.Context) (int, error) { <-release; return 1, nil })
	results := make(chan error, 2*mostWaiting)
	for range 2 * mostWaiting {
		go func() {
			_, err := d.read(t.Context())
			results <- err
		}()
	}
	for range mostWaiting {
		if err := <-results; !errors.Is(err, errTooManyWait) {
			t.Fatalf("a caller above the limit gets: %v", err)
		}
	}
	close(release)
	for range mostWaiting {
		if err := <-results; err != nil {
			t.Errorf("a caller that waited gets: %v", err)
		}
	}
}

// TestReadKeys checks that keys that are not for signatures, and keys of an unknown type, are left out.
func TestReadKeys(t *testing.T) {
	public, err := (&jose.JSONWebKey{Key: newIDP(t).key.Public(), KeyID: "k1"}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	with := func(members string) string { return strings.TrimSuffix(string(public), "}") + members + "}" }
	for _, c := range []struct {
		name, set string
		want      int
	}{
		{"one", `{"keys":[` + with("") + `]}`, 1},
		{"for signatures", `{"keys":[` + with(`,"use":"sig","key_ops":["verify"]`) + `]}`, 1},
		{"for encryption", `{"keys":[` + with(`,"use":"enc"`) + `]}`, 0},
		{"for wrapping", `{"keys":[` + with(`,"key_ops":["wrapKey"]`) + `]}`, 0},
		{"for nothing", `{"keys":[` + with(`,"key_ops":[]`) + `]}`, 0},
		{"with keys of unknown types", `{"keys":[{"kty":"AKP","pub":"AAAA"},{"kty":"OKP","crv":"Ed448","x":"AA"},` + with("") + `]}`, 1},
		{"a secret", `{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"}]}`, 0},
		{"none", `{"keys":[]}`, 0},
		{"something else", `{"error":"x"}`, 0},
		{"no JSON", `<html>`, 0},
	} {
		keys, err := readKeys([]byte(c.set))
		if len(keys) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %d keys, %v; want %d", c.name, len(keys), err, c.want)
		}
	}
}
