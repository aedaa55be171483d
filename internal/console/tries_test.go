package console

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestTriesToSignIn checks the limits of tries to sign in: of one address, which locks out no other, and of all together.
func TestTriesToSignIn(t *testing.T) {
	f := newFixture(t)
	try := func(from string) int {
		t.Helper()
		return f.do(call{method: http.MethodPost, path: "/api/login", body: `{"token":"guess"}`, from: from}).StatusCode
	}
	counts := map[int]int{}
	for n := range 100 {
		counts[try(fmt.Sprintf("192.0.2.1:%d", 1000+n))]++
	}
	if counts[401] != triesOfAddress || counts[429] != 90 {
		t.Errorf("answers of 100 tries in one moment: %v", counts)
	}
	if got := try("192.0.2.2:1000"); got != http.StatusUnauthorized {
		t.Errorf("from another address: %d", got)
	}
	clear(counts)
	for n := range 100 {
		counts[try(fmt.Sprintf("198.51.100.%d:1000", n))]++
	}
	if want := triesOfAll - triesOfAddress - 1; counts[401] != want || counts[429] != 100-want {
		t.Errorf("answers of 100 addresses in the same moment: %v", counts)
	}
	f.fake.Step(time.Second)
	if got := try("192.0.2.1:1000"); got != http.StatusUnauthorized {
		t.Errorf("a second later: %d", got)
	}
}

// TestWhichAddressesAreOneClient checks which addresses share their tries.
func TestWhichAddressesAreOneClient(t *testing.T) {
	for _, c := range []struct {
		name, one, other string
		same             bool
	}{
		{"two ports", "192.0.2.1:1000", "192.0.2.1:1001", true},
		{"two addresses", "192.0.2.1:1000", "192.0.2.2:1000", false},
		{"IPv4 in two forms", "192.0.2.1:1000", "[::ffff:192.0.2.1]:1000", true},
		{"two addresses of one IPv6 network", "[2001:db8::1]:1000", "[2001:db8::ffff:1]:1000", true},
		{"two IPv6 networks", "[2001:db8::1]:1000", "[2001:db8:0:1::1]:1000", false},
		{"two zones", "[fe80::1%eth0]:1000", "[fe80::1%eth1]:1000", true},
		{"what is no address", "@", "pipe", true},
	} {
		if got := clientOf(c.one) == clientOf(c.other); got != c.same {
			t.Errorf("%s: one client: %t, want %t", c.name, got, c.same)
		}
	}
}

// TestAPersonWhoGoesToSignInAboveTheLimit checks that the browser is sent to a page that says why, and not to an answer for scripts.
func TestAPersonWhoGoesToSignInAboveTheLimit(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BasePath, o.SignIn = "/refresh/", &planted{} })
	for range triesOfAddress {
		f.do(call{method: http.MethodGet, path: "/refresh/auth/login"})
	}
	for asked, want := range map[string]string{
		"":                             "/refresh/signin?failed=TooManyRequests",
		"?return=%2Fkeys%3Fq%3Dorders": "/refresh/signin?failed=TooManyRequests&return=%2Fkeys%3Fq%3Dorders",
		"?return=//evil.example":       "/refresh/signin?failed=TooManyRequests",
	} {
		answer := f.do(call{method: http.MethodGet, path: "/refresh/auth/login" + asked})
		if got := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || got != want {
			t.Errorf("%q: %d to %q, want %q", asked, answer.StatusCode, got, want)
		}
	}
}
