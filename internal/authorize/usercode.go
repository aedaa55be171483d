package authorize

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	// UserCodeKey is the purpose of the secret for MACs, before the UID of the issuer.
	UserCodeKey = "user code/"
	// UserCodeRandom is the number of random characters of a user code.
	UserCodeRandom = 8
	// Alphabet are the characters of a user code after its prefix (RFC 8628 §6.1): without vowels, so that no code is a word.
	Alphabet = "BCDFGHJKLMNPQRSTVWXZ"

	macLength   = 4
	groupLength = 4
	slotLength  = 5 * time.Minute
	// slotsAccepted are the current slot and those before it: a code is good for 10 minutes at least, and less than 15.
	slotsAccepted = 3
	// maxTyped is longer than any code with separators, in bytes.
	maxTyped = 64
)

// UserCode is a code that a person types to sign a device in. Its MAC shows that the service made it, so that typing errors and guesses
// are refused without a look at any state.
type UserCode struct {
	// Prefix names the client.
	Prefix string `json:"prefix"`
	// Random are UserCodeRandom characters of Alphabet.
	Random string `json:"random"`
	MAC    string `json:"mac"`
}

// NewUserCode returns the code of a client with these random characters, for the time of now.
func NewUserCode(secret []byte, issuerUID string, client *v1alpha1.LoginClient, random string, now time.Time) UserCode {
	return UserCode{Prefix: client.Device.CodePrefix, Random: random, MAC: userCodeMAC(secret, issuerUID, client.ID, random, slotOf(now))}
}

// ParseUserCode returns the code that a person typed; false if it has not the form of one. Spaces, dashes, other separators and case do
// not count.
func ParseUserCode(typed string) (UserCode, bool) {
	if len(typed) > maxTyped {
		return UserCode{}, false
	}
	plain := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Pd) || r == '_' || r == '.' {
			return -1
		}
		return upper(r)
	}, typed)
	at := len(plain) - UserCodeRandom - macLength
	if at < minPrefix || at > maxPrefix || strings.ContainsFunc(plain[:at], notPrefix) || strings.ContainsFunc(plain[at:], notInAlphabet) {
		return UserCode{}, false
	}
	return UserCode{Prefix: plain[:at], Random: plain[at : at+UserCodeRandom], MAC: plain[at+UserCodeRandom:]}, true
}

// The bounds of spec.login.clients[].device.codePrefix.
const minPrefix, maxPrefix = 2, 8

// upper returns the upper-case letter of ASCII. Other letters stay: some have an ASCII letter as their upper case.
func upper(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r - 'a' + 'A'
	}
	return r
}

func notPrefix(r rune) bool     { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') }
func notInAlphabet(r rune) bool { return !strings.ContainsRune(Alphabet, r) }

// String returns the code as people see it, such as TV-BCDF-GHJK-LMNP.
func (c UserCode) String() string {
	groups := []string{c.Prefix}
	for group := range slices.Chunk([]byte(c.Random+c.MAC), groupLength) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, "-")
}

// Made reports whether the code was made with the secret for the client, a short time ago.
func (c UserCode) Made(secret []byte, issuerUID string, client *v1alpha1.LoginClient, now time.Time) bool {
	for age := range uint64(slotsAccepted) {
		want := userCodeMAC(secret, issuerUID, client.ID, c.Random, slotOf(now)-age)
		if hmac.Equal([]byte(want), []byte(c.MAC)) {
			return true
		}
	}
	return false
}

// FindPrefix returns the client that a code names; nil if there is none.
func (c UserCode) FindPrefix(clients []v1alpha1.LoginClient) *v1alpha1.LoginClient {
	at := slices.IndexFunc(clients, func(client v1alpha1.LoginClient) bool {
		return client.Device != nil && client.Device.CodePrefix == c.Prefix
	})
	if at < 0 {
		return nil
	}
	return &clients[at]
}

func slotOf(now time.Time) uint64 {
	return uint64(now.Unix()) / uint64(slotLength/time.Second) //nolint:gosec // no time is before 1970
}

// userCodeMAC returns a MAC as macLength characters of Alphabet.
func userCodeMAC(secret []byte, issuerUID, client, random string, slot uint64) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(issuerUID + "\x00" + client + "\x00" + random + "\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, slot))
	number := binary.BigEndian.Uint64(mac.Sum(nil))
	var text [macLength]byte
	for i := range text {
		text[i] = Alphabet[number%uint64(len(Alphabet))]
		number /= uint64(len(Alphabet))
	}
	return string(text[:])
}
