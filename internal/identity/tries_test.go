package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// passwordsOf returns a Passwords with the htpasswd lines; arrived is called for each read of the Secret.
func passwordsOf(t *testing.T, lines string, arrived func()) *Passwords {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, Data: map[string][]byte{PasswordFile: []byte(lines)},
		})
	}))
	t.Cleanup(server.Close)
	clients, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := NewPasswords(clients, "refreshkeys-system", clocktesting.NewFakePassiveClock(noon))
	if err != nil {
		t.Fatal(err)
	}
	return passwords
}

// TestTriesOfOneAddress checks that an address with too many attempts neither locks users out, nor evicts the
// counts of other users by trying many names.
func TestTriesOfOneAddress(t *testing.T) {
	const here, there, elsewhere = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	p := passwordsOf(t, line(t, "jane", "one", bcrypt.MinCost)+line(t, "john", "two", bcrypt.MinCost), func() {})
	try := func(user, password, address string) error {
		return p.Verify(t.Context(), "people", user, password, address)
	}
	for range triesOfUser {
		if err := try("john", "wrong", elsewhere); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
	}
	for i := range triesOfAddress {
		if err := try(fmt.Sprint("user-", i), "wrong", here); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
	}
	for i := range rememberedTries + triesOfUser {
		user := fmt.Sprint("unknown-", i)
		if i >= rememberedTries {
			user = "jane"
		}
		if err := try(user, "wrong", here); !errors.Is(err, ErrTooMany) {
			t.Fatalf("try %d of one address: %v", i, err)
		}
	}
	if err := try("jane", "one", there); err != nil {
		t.Errorf("attempts of another address beyond its limit lock jane out: %v", err)
	}
	if err := try("john", "two", there); !errors.Is(err, ErrTooMany) {
		t.Errorf("the attempts for john are no longer counted: %v", err)
	}
}

// TestTriesOfOneNetwork checks that all addresses of a /64 are counted as one.
func TestTriesOfOneNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "::ffff:192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "", "@": "@",
	} {
		if got := Network(address); got != want {
			t.Errorf("%q is counted as %q, want %q", address, got, want)
		}
	}
	p := passwordsOf(t, line(t, "jane", "one", bcrypt.MinCost), func() {})
	var err error
	for i := range triesOfAddress + 1 {
		err = p.Verify(t.Context(), "people", fmt.Sprint("user-", i), "wrong", fmt.Sprintf("2001:db8::%x", i+1))
	}
	if !errors.Is(err, ErrTooMany) {
		t.Errorf("each address of a /64 is counted by itself: %v", err)
	}
}

// TestTriesOfOneSite checks that the networks of a /48 are counted together as well.
func TestTriesOfOneSite(t *testing.T) {
	p := passwordsOf(t, line(t, "jane", "one", bcrypt.MinCost), func() {})
	var err error
	for i := range triesOfSite + 1 {
		err = p.Verify(t.Context(), "people", fmt.Sprint("user-", i), "wrong", fmt.Sprintf("2001:db8:0:%x::1", i))
	}
	if !errors.Is(err, ErrTooMany) {
		t.Errorf("each /64 of a /48 is counted by itself: %v", err)
	}
	if err := p.Verify(t.Context(), "people", "jane", "one", "2001:db8:1::1"); err != nil {
		t.Errorf("another /48: %v", err)
	}
}

// TestWaitingForASlotIsBounded checks that attempts beyond those that wait are refused at once.
func TestWaitingForASlotIsBounded(t *testing.T) {
	p := passwordsOf(t, line(t, "jane", "one", bcrypt.MinCost), func() {})
	for range cap(p.waiting) {
		p.waiting <- struct{}{}
	}
	if err := p.Verify(t.Context(), "people", "jane", "one", "192.0.2.1"); !errors.Is(err, ErrTooMany) {
		t.Errorf("with a full queue: %v", err)
	}
	<-p.waiting
	if err := p.Verify(t.Context(), "people", "jane", "one", "192.0.2.1"); err != nil {
		t.Errorf("with a place in the queue: %v", err)
	}
}

// TestAClientWaitsUntilItsOwnContextEnds checks that a client waits only until its own context ends while the API server does
// not answer.
func TestAClientWaitsUntilItsOwnContextEnds(t *testing.T) {
	arrived, answer, first := make(chan struct{}, 8), make(chan struct{}), make(chan error, 1)
	p := passwordsOf(t, line(t, "jane", "one", bcrypt.MinCost), func() { arrived <- struct{}{}; <-answer })
	go func() {
		_, err := p.Known(t.Context(), "people", "jane")
		first <- err
	}()
	<-arrived
	second := make(chan error, 1)
	go func() {
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err := p.Known(gone, "people", "jane")
		second <- err
	}()
	select {
	case err := <-second:
		if !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("the client that canceled gets: %v", err)
		}
	case <-time.After(patience):
		t.Error("a client that canceled still waits for the read of another")
	}
	close(answer)
	if err := <-first; err != nil {
		t.Errorf("the client that waited gets: %v", err)
	}
}

// TestUnknownUsersAreRefusedAsLate checks that the time of a refusal does not reveal whether a user exists.
func TestUnknownUsersAreRefusedAsLate(t *testing.T) {
	p := passwordsOf(t, line(t, "jane", "one", bcrypt.DefaultCost), func() {})
	took := func(user string) time.Duration {
		began := time.Now()
		if err := p.Verify(t.Context(), "people", user, "wrong", "192.0.2.1"); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	took("warm")
	// The shortest of several times is that of a hash alone, also on a busy machine. A hash takes tens of
	// milliseconds, and a refusal without one a thousandth of that.
	known, unknown := took("jane"), took("john")
	for range triesOfUser - 1 {
		known, unknown = min(known, took("jane")), min(unknown, took("john"))
	}
	if unknown < known/8 {
		t.Errorf("a known user is refused after %s, and an unknown one after %s", known, unknown)
	}
}
