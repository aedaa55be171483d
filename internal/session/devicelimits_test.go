package session_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestLimitsOfDevices checks the limits of what devices and people can do with codes, and that each counts by itself.
func TestLimitsOfDevices(t *testing.T) {
	r := replica.New(t)
	logins, issuer := r.Grants.Logins(), r.Found()
	allowed := func(try func(i int) error) (n int) {
		for i := range 1000 {
			if try(i) == nil {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name        string
		try         func(i int) error
		first, next int
	}{
		{"devices of an issuer", func(int) error { return logins.DeviceMayBegin(issuer) }, 600, 100},
		{"one person from many addresses", func(i int) error { return logins.MayTryCode(issuer, "ada", fmt.Sprint("192.0.2.", i%250)) }, 5, 0},
		{"many people from one address", func(i int) error { return logins.MayTryCode(issuer, fmt.Sprint("user-", i), "198.51.100.1") }, 20, 1},
		{"many people from one network", func(i int) error {
			return logins.MayTryCode(issuer, fmt.Sprint("other-", i), fmt.Sprintf("2001:db8::%x", i))
		}, 20, 1},
		{"many people from many networks of one site", func(i int) error {
			return logins.MayTryCode(issuer, fmt.Sprint("more-", i), fmt.Sprintf("2001:db8:1:%x::1", i))
		}, 100, 8},
		{"polls of one device", func(int) error { return logins.MayPoll("a code") }, 1, 1},
		{"polls of many devices", func(i int) error { return logins.MayPoll(fmt.Sprint("code ", i)) }, 1000, 1000},
	} {
		if got := allowed(c.try); got != c.first {
			t.Errorf("%s: %d at once, want %d", c.name, got, c.first)
		}
		forward(r, authorize.PollInterval)
		if got := allowed(c.try); got != c.next {
			t.Errorf("%s: %d after %s, want %d", c.name, got, authorize.PollInterval, c.next)
		}
	}
	forward(r, 12*time.Second)
	if err := logins.MayTryCode(issuer, "ada", "203.0.113.1"); err != nil {
		t.Errorf("a person after the pause: %v", err)
	}
	if err := logins.MayPoll("a code"); err != nil {
		t.Errorf("a device after the pause: %v", err)
	}
}
