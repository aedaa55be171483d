package authorize

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

var (
	noon   = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	secret = []byte("0123456789abcdef0123456789abcdef")
	tv     = Find(clients, "tv")
)

// TestParseUserCode checks which texts are codes, and what they say.
func TestParseUserCode(t *testing.T) {
	want := UserCode{Prefix: "TV", Random: "BCDFGHJK", MAC: "LMNP"}
	for _, c := range []struct {
		typed string
		want  bool
	}{
		{"TV-BCDF-GHJK-LMNP", true},
		{"TVBCDFGHJKLMNP", true},
		{"tv bcdf ghjk lmnp", true},
		{" \tTv–bcdf—GHJK_lm.np\n", true},
		{"T-V-B-C-D-F-G-H-J-K-L-M-N-P", true},
		{"", false},
		{"-", false},
		{"BCDF-GHJK-LMNP", false},
		{"T-BCDF-GHJK-LMNP", false},
		{"TVTVTVTVT-BCDF-GHJK-LMNP", false},
		{"TV-BCDF-GHJK-LMN", false},
		{"TV-BCDF-GHJK-LMNA", false},
		{"TV-BCDF-GHJK-LMN0", false},
		{"TV-BCDF-GHJK-LMNP!", false},
		{"T/V-BCDF-GHJK-LMNP", false},
		{"TV-BCDF-GHJK-LMNſ", false},
		{"ΤV-BCDF-GHJK-LMNP", false},
		{"TV-BCDF-GHJK-LMNP" + strings.Repeat(" ", maxTyped), false},
	} {
		got, ok := ParseUserCode(c.typed)
		if ok != c.want || (ok && got != want) {
			t.Errorf("%q: %+v, %t", c.typed, got, ok)
		}
	}
	digits, ok := ParseUserCode("42bcdfghjklmnp")
	if !ok || digits.Prefix != "42" || digits.String() != "42-BCDF-GHJK-LMNP" {
		t.Errorf("a prefix of digits: %+v", digits)
	}
}

// FuzzParseUserCode checks that each text that is a code has its form, and is read the same as it is shown.
func FuzzParseUserCode(f *testing.F) {
	form := regexp.MustCompile(`^[A-Z0-9]{2,8}(-[` + Alphabet + `]{4}){3}$`)
	for _, typed := range []string{"TV-BCDF-GHJK-LMNP", " tv bcdfghjk–lmnp", "TV-BCDF-GHJK-LMNſ", "\xff", strings.Repeat("B", maxTyped)} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := ParseUserCode(typed)
		if !ok {
			if code != (UserCode{}) {
				t.Errorf("%q is no code, and %+v", typed, code)
			}
			return
		}
		again, ok := ParseUserCode(code.String())
		if !ok || again != code || !form.MatchString(code.String()) {
			t.Errorf("%q is %q, and again %+v, %t", typed, code, again, ok)
		}
	})
}

// TestMade checks the issuer, the client and the time of a code.
func TestMade(t *testing.T) {
	code := NewUserCode(secret, "uid-1", tv, "BCDFGHJK", noon)
	other := &v1alpha1.LoginClient{ID: "radio", Device: tv.Device}
	changed := code
	changed.Random = "BCDFGHJL"
	for _, c := range []struct {
		name   string
		code   UserCode
		secret string
		issuer string
		client *v1alpha1.LoginClient
		after  time.Duration
		want   bool
	}{
		{"at once", code, string(secret), "uid-1", tv, 0, true},
		{"in the last second", code, string(secret), "uid-1", tv, 15*time.Minute - time.Second, true},
		{"too late", code, string(secret), "uid-1", tv, 15 * time.Minute, false},
		{"in the slot before", code, string(secret), "uid-1", tv, -time.Second, false},
		{"another key", code, string(secret[1:]), "uid-1", tv, 0, false},
		{"another issuer", code, string(secret), "uid-2", tv, 0, false},
		{"another client", code, string(secret), "uid-1", other, 0, false},
		{"other characters", changed, string(secret), "uid-1", tv, 0, false},
		{"no MAC", UserCode{Prefix: "TV", Random: "BCDFGHJK"}, string(secret), "uid-1", tv, 0, false},
	} {
		if got := c.code.Made([]byte(c.secret), c.issuer, c.client, noon.Add(c.after)); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	if code.FindPrefix(clients) != tv || (UserCode{Prefix: "XX"}).FindPrefix(clients) != nil || (UserCode{}).FindPrefix(clients) != nil {
		t.Error("the prefix names another client")
	}
}

// TestMACsSpread checks that the characters of MACs are used evenly.
func TestMACsSpread(t *testing.T) {
	counts := map[rune]int{}
	for i := range 5000 {
		code := NewUserCode(secret, "uid-1", tv, "BCDFGHJK", noon.Add(time.Duration(i)*slotLength))
		for _, r := range code.MAC {
			counts[r]++
		}
	}
	for _, r := range Alphabet {
		if counts[r] < 850 || counts[r] > 1150 {
			t.Errorf("%c occurs %d times of 20000", r, counts[r])
		}
	}
}

// TestCheckDevice checks who may begin.
func TestCheckDevice(t *testing.T) {
	scoped := append(slices.Clone(clients), v1alpha1.LoginClient{ID: "box", Scopes: []string{"openid", "offline_access", "a"}, Device: tv.Device})
	for _, c := range []struct {
		id, scope string
		want      oauth.Code
	}{
		{"tv", "", ""}, {"tv", "offline_access", ""}, {"box", "openid a", ""}, {"box", " a  a ", ""}, //nolint:dupword // a scope that is given twice
		{"", "", oauth.InvalidRequest}, {"none", "", oauth.InvalidClient}, {"shop", "", oauth.UnauthorizedClient}, {"tv", "openid", oauth.InvalidScope},
		{"box", "b", oauth.InvalidScope},
	} {
		client, err := CheckDevice(scoped, c.id, c.scope)
		var refused *oauth.Error
		if errors.As(err, &refused); (refused == nil) != (c.want == "") || (refused != nil && refused.Code != c.want) || (err == nil && client.ID != c.id) {
			t.Errorf("%s, %q: %v, want %s", c.id, c.scope, err, c.want)
		}
	}
	if got := DeviceScopes(Find(scoped, "box")); !slices.Equal(got, []string{"openid", "a"}) {
		t.Errorf("the scopes are %q", got)
	}
}

// TestStandsIn checks that an approval is for what the issuer still declares.
func TestStandsIn(t *testing.T) {
	good := Approval{Client: "tv", Audience: "https://orders.example.com"}
	for name, c := range map[string]struct {
		change func(*Approval)
		want   bool
	}{
		"as declared":      {func(*Approval) {}, true},
		"another client":   {func(a *Approval) { a.Client = "shop" }, false},
		"no client":        {func(a *Approval) { a.Client = "" }, false},
		"another audience": {func(a *Approval) { a.Audience = "https://bills.example.com" }, false},
		"another scope":    {func(a *Approval) { a.Scopes = []string{"a"} }, false},
	} {
		approval := good
		c.change(&approval)
		if got := approval.StandsIn(clients) != nil; got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestDeviceNames checks that the names differ by code, issuer and use, and how long their codes can be presented.
func TestDeviceNames(t *testing.T) {
	one, other := UserCode{"TV", "BCDFGHJK", "LMNP"}, UserCode{"TV", "BCDFGHJK", "LMNQ"}
	code := Code{ID: one.String()}
	names := []string{one.SessionName("1"), one.SessionName("2"), other.SessionName("1"), one.BoundSessionName("1"), code.SessionName("1")}
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != 5 {
		t.Errorf("the names are %q", names)
	}
	for name, want := range map[string]time.Duration{
		one.SessionName("1"): DeviceLife, one.BoundSessionName("1"): DeviceLife, code.SessionName("1"): CodeLife, "session-1": 0, "orders": 0, "": 0,
	} {
		if got := PresentedFor(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if ApprovalBinding("a", "b-c") == ApprovalBinding("a-b", "c") {
		t.Error("two objects have one binding")
	}
}

// TestNewDeviceRequest checks that what no link of the service holds is left out.
func TestNewDeviceRequest(t *testing.T) {
	if got := NewDeviceRequest("TV-BCDF", "sealed"); got.Code != "TV-BCDF" || got.From != "sealed" {
		t.Errorf("%+v", got)
	}
	if got := NewDeviceRequest(strings.Repeat("B", maxTyped+1), strings.Repeat("A", maxFrom+1)); got.Code != "" || got.From != "" {
		t.Errorf("%+v", got)
	}
	if got := (&Request{Device: &DeviceRequest{}}).Targets(); got != nil {
		t.Errorf("the forms may lead to %q", got)
	}
}
