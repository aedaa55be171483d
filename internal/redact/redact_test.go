package redact

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// aToken looks like a token, but is not one.
func aToken(random *rand.Rand) string {
	part := func(n int) string {
		raw := make([]byte, n)
		for i := range raw {
			raw[i] = byte(random.UintN(256))
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"` + part(32) + `","typ":"rt+jwt"}`))
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"https://orders.example.com","client_id":"refreshkey:shop:orders","jti":"` + part(16) + `"}`))
	return header + "." + payload + "." + part(64)
}

func TestAnswersKeepWhatHelps(t *testing.T) {
	token := aToken(rand.New(rand.NewPCG(1, 2)))
	for answer, want := range map[string]string{
		`Internal error occurred: failed calling webhook "secrets.unreachable.example.com": failed to call webhook: Post "https://127.0.0.1:1/validate?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused`: "",
		`secrets "orders" is forbidden: exceeded quota: none, requested: secrets=1, used: secrets=0, limited: secrets=0`:                                                                                                "",
		`admission webhook "validate.kyverno.svc-fail" denied the request: the label app.kubernetes.io/name is required`:                                                                                                "",
		`failed calling webhook "a.example.com": tls: failed to verify certificate: x509: certificate signed by unknown authority`:                                                                                      "",
		`the server was unable to return a response in the time allotted, but may still be processing the request`:                                                                                                      "",
		`ValidatingAdmissionPolicy 'secrets' with binding 'secrets' denied request: failed expression: object.metadata.namespace != 'shop'`:                                                                             "",
		"I do not like this token: " + token:                                         "I do not like this token: [...]",
		"data: map[token:" + base64.StdEncoding.EncodeToString([]byte(token)) + "]!": "data: map[token:[...]]!",
		fmt.Sprintf("token is %v, is it not", []byte(token)):                         "token is [ [...] ], is it not",
		"no such pod orders-5d8f6c7b9d-x2x4q":                                        "no such pod [...]",
	} {
		if want == "" {
			want = answer
		}
		if got := Answer(answer, []byte(token)); got != want {
			t.Errorf("%s\nbecame\n%s\nwanted\n%s", answer, got, want)
		}
	}
}

// quotations are forms in which a message can quote a value.
var quotations = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
	},
	func(s string) string { return hex.EncodeToString([]byte(s)) },
	strings.ToUpper,
	strings.ToLower,
	func(s string) string { return fmt.Sprint([]byte(s)) },
	func(s string) string { return fmt.Sprintf("%#v", []byte(s)) },
	func(s string) string { return fmt.Sprintf("% x", s) },
	func(s string) string { return strings.Join(strings.Split(s, ""), " ") },
	func(s string) string { return strings.Join(strings.Split(s, ""), "\n") },
	func(s string) string { return fmt.Sprintf("%q", s) },
}

// FuzzAnswers checks that Answer removes every part of a quoted token: the whole token, a range of it, or pieces of any
// length.
func FuzzAnswers(f *testing.F) {
	for i := range len(quotations) {
		f.Add(uint64(i), uint8(i), uint16(0), uint16(1000), uint8(0), "denied the request: ", `", is what it says`)
		f.Add(uint64(i), uint8(i), uint16(17), uint16(40), uint8(9), "data.token: Invalid value: \"", "\": too long")
	}
	f.Fuzz(func(t *testing.T, seed uint64, how uint8, from, length uint16, chunk uint8, before, after string) {
		token := aToken(rand.New(rand.NewPCG(seed, 7)))
		quoted := quotations[int(how)%len(quotations)](token)
		start := int(from) % len(quoted)
		part := quoted[start:min(len(quoted), start+int(length))]
		if chunk > 0 {
			part = inChunks(part, int(chunk))
		}
		got := Answer(before+part+after, []byte(token))
		if len(got) > longest {
			t.Errorf("%d bytes", len(got))
		}
		if leaks := leaked(got, token); leaks != "" {
			t.Errorf("%q became %q, which repeats %q", before+part+after, got, leaks)
		}
	})
}

func inChunks(text string, size int) string {
	var chunks []string
	for ; len(text) > size; text = text[size:] {
		chunks = append(chunks, text[:size])
	}
	return strings.Join(append(chunks, text), " ")
}

// leaked returns a part of a token, of 8 letters and digits in any of its forms, that a text contains.
func leaked(text, token string) string {
	lower := func(s string) string {
		return strings.Map(func(r rune) rune {
			if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
				return r
			}
			return -1
		}, strings.ToLower(s))
	}
	in := lower(strings.ReplaceAll(text, withheld, ""))
	for _, quote := range quotations[:5] {
		form := lower(quote(token))
		for i := 0; i+8 <= len(form); i++ {
			if strings.Contains(in, form[i:i+8]) {
				return form[i : i+8]
			}
		}
	}
	return ""
}

// TestAnswersAboutValuesThatAreNotKnown checks messages that quote the value of another Secret, such as an earlier one.
func TestAnswersAboutValuesThatAreNotKnown(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		token := aToken(random)
		quoted := quotations[random.IntN(5)](token)
		start := random.IntN(len(quoted))
		part := quoted[start:min(len(quoted), start+24+random.IntN(400))]
		if len(part) < 24 {
			continue
		}
		got := Answer("denied: " + part + " is not allowed")
		for i := 0; i+12 <= len(part); i++ {
			if strings.Contains(got, part[i:i+12]) {
				t.Fatalf("%q became %q", part, got)
			}
		}
	}
}

// TestAnswersLeaveOutWordsOfAValue checks that a piece of a value is left out also if it reads like a word.
func TestAnswersLeaveOutWordsOfAValue(t *testing.T) {
	if got, want := Answer("the password correcthorse is too weak", []byte("correcthorse")), "the password [...] is too weak"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
