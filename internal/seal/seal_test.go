package seal

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

type step struct{ Client, State string }

func schedule() keyring.Schedule {
	return keyring.Schedule{
		Algorithm: keyring.ES256, RotateAfter: 24 * time.Hour, Prepublish: time.Hour,
		RefreshKeep: time.Hour, AccessKeep: time.Hour, Seals: true, SealKeep: time.Hour,
	}
}

func advanced(t *testing.T, rings *keyring.Rings, withdrawn []string, now time.Time) *keyring.Rings {
	t.Helper()
	next, err := keyring.Advance(rings, schedule(), withdrawn, nil, now, keyring.Generate)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func sealed(t *testing.T, b *Box) string {
	t.Helper()
	text, err := b.Seal(step{"shop", "s1"}, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOpen checks that a value opens only in an equal box, unchanged, and before its end.
func TestOpen(t *testing.T) {
	rings := advanced(t, nil, nil, noon)
	box := Box{Rings: rings, Issuer: "uid-1", Purpose: "step", Binding: "browser"}
	text := sealed(t, &box)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	refresh, err := rings.Signer(keyring.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	kid, err := base64.RawURLEncoding.DecodeString(refresh.ID)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int) string {
		other := append([]byte(nil), raw...)
		other[at] ^= 1
		return base64.RawURLEncoding.EncodeToString(other)
	}
	for _, c := range []struct {
		name string
		box  Box
		text string
		at   time.Time
		want error
	}{
		{"the same box", box, text, noon, nil},
		{"the last moment", box, text, noon.Add(time.Minute - time.Millisecond), nil},
		{"at its end", box, text, noon.Add(time.Minute), ErrExpired},
		{"another issuer", Box{rings, "uid-2", "step", "browser"}, text, noon, ErrForeign},
		{"another purpose", Box{rings, "uid-1", "code", "browser"}, text, noon, ErrForeign},
		{"another browser", Box{rings, "uid-1", "step", "other"}, text, noon, ErrForeign},
		{"no browser", Box{rings, "uid-1", "step", ""}, text, noon, ErrForeign},
		{"a purpose that continues in the issuer", Box{rings, "1", "step/uid-", "browser"}, text, noon, ErrForeign},
		{"the ring of another issuer", Box{advanced(t, nil, nil, noon), "uid-1", "step", "browser"}, text, noon, ErrUnknownKey},
		{"no ring", Box{nil, "uid-1", "step", "browser"}, text, noon, ErrUnknownKey},
		{"the key of another ring", box, base64.RawURLEncoding.EncodeToString(append(kid, raw[thumbprintSize:]...)), noon, ErrUnknownKey},
		{"another key id", box, changed(0), noon, ErrUnknownKey},
		{"another nonce", box, changed(thumbprintSize), noon, ErrForeign},
		{"another content", box, changed(header), noon, ErrForeign},
		{"another tag", box, changed(len(raw) - 1), noon, ErrForeign},
		{"cut off", box, text[:len(text)-4], noon, ErrForeign},
		{"nothing after the nonce", box, base64.RawURLEncoding.EncodeToString(raw[:header]), noon, ErrForeign},
		{"no nonce", box, base64.RawURLEncoding.EncodeToString(raw[:thumbprintSize]), noon, ErrForeign},
		{"empty", box, "", noon, ErrForeign},
		{"padded", box, text + "=", noon, ErrForeign},
		{"spaces", box, text + "\n", noon, ErrForeign},
		{"too long", box, strings.Repeat("A", maxText+1), noon, ErrForeign},
	} {
		var got step
		err := c.box.Open(c.text, &got, c.at)
		if !errors.Is(err, c.want) || (c.want == nil && got != step{"shop", "s1"}) || (c.want != nil && got != step{}) {
			t.Errorf("%s: %v, %+v; want %v", c.name, err, got, c.want)
		}
	}
}

// TestValuesDiffer checks that equal values do not show that they are equal, and that a value does not show its content.
func TestValuesDiffer(t *testing.T) {
	box := Box{Rings: advanced(t, nil, nil, noon), Issuer: "uid-1", Purpose: "step"}
	one, other := sealed(t, &box), sealed(t, &box)
	if one[50:] == other[50:] {
		t.Error("the same value is sealed to the same text")
	}
	if raw, _ := base64.RawURLEncoding.DecodeString(one); strings.Contains(string(raw), "shop") {
		t.Error("the value can be read")
	}
}

// TestRotation checks that a value opens after a rotation until the key retires, and not after a withdrawal.
func TestRotation(t *testing.T) {
	rings := advanced(t, nil, nil, noon)
	box := Box{Rings: rings, Issuer: "uid-1", Purpose: "step"}
	text := sealed(t, &box)
	first, err := rings.Signer(keyring.Seal)
	if err != nil {
		t.Fatal(err)
	}
	rotated := noon.Add(24 * time.Hour)
	for _, c := range []struct {
		name  string
		rings *keyring.Rings
		want  error
	}{
		{"after a rotation", advanced(t, rings, nil, rotated), nil},
		{"when the key has retired", advanced(t, advanced(t, rings, nil, rotated), nil, rotated.Add(time.Hour)), ErrUnknownKey},
		{"after a withdrawal", advanced(t, rings, []string{first.ID}, noon), ErrUnknownKey},
	} {
		after := Box{Rings: c.rings, Issuer: "uid-1", Purpose: "step"}
		if err := after.Open(text, &step{}, noon); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if next, err := c.rings.Signer(keyring.Seal); err != nil || next.ID == first.ID {
			t.Errorf("%s: the ring seals with %v, %v", c.name, next, err)
		}
	}
}

// TestSealNeedsARing checks that an issuer without a seal ring seals nothing.
func TestSealNeedsARing(t *testing.T) {
	without := schedule()
	without.Seals = false
	rings, err := keyring.Advance(nil, without, nil, nil, noon, keyring.Generate)
	if err != nil {
		t.Fatal(err)
	}
	box := Box{Rings: rings, Issuer: "uid-1", Purpose: "step"}
	if _, err := box.Seal(step{}, noon); !errors.Is(err, keyring.ErrNoActiveKey) {
		t.Errorf("the error is %v", err)
	}
}

// FuzzOpen checks that no text panics or opens.
func FuzzOpen(f *testing.F) {
	rings, err := keyring.Advance(nil, schedule(), nil, nil, noon, keyring.Generate)
	if err != nil {
		f.Fatal(err)
	}
	box := Box{Rings: rings, Issuer: "uid-1", Purpose: "step"}
	text, err := box.Seal(step{"shop", "s1"}, noon.Add(time.Minute))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("")
	f.Fuzz(func(t *testing.T, other string) {
		if err := box.Open(other, &step{}, noon); err == nil && other != text {
			t.Errorf("%q opens", other)
		}
	})
}
