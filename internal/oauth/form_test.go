package oauth

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forms are bodies and their expected parameters; nil if ParseForm must refuse the body.
var forms = []struct {
	name, body string
	want       Form
}{
	{"nothing", "", Form{}},
	{"one parameter", "a=1", Form{"a": {"1"}}},
	{"two parameters", "a=1&b=2", Form{"a": {"1"}, "b": {"2"}}},
	{"escapes", "a=%2B+%26%3d&%62=2", Form{"a": {"+ &="}, "b": {"2"}}},
	{"an equals sign in a value", "a==b=", Form{"a": {"=b="}}},
	{"a control character", "a=%00%0a", Form{"a": {"\x00\n"}}},
	{"letters of all alphabets", "ä=é", Form{"ä": {"é"}}},
	// RFC 6749 §3.2: parameters sent without a value must be treated as if they were omitted.
	{"an empty value", "a=&b=2", Form{"b": {"2"}}},
	{"no value", "a&b=2", Form{"b": {"2"}}},
	{"an empty value beside another", "a=&a=1&a", Form{"a": {"1"}}},
	{"nothing between ampersands", "&&a=1&", Form{"a": {"1"}}},
	{"no name", "=1", Form{"": {"1"}}},
	{"names in other letters are other names", "a=1&A=2", Form{"a": {"1"}, "A": {"2"}}},
	// RFC 6749 §3.2: parameters must not be included more than once.
	{"twice", "a=1&a=2", nil},
	{"twice the same", "a=1&a=1", nil},
	{"twice, once escaped", "a=1&%61=2", nil},
	{"twice without a name", "=1&=2", nil},
	// RFC 8707 §2 and RFC 8693 §2.1 except these two.
	{"resource twice", "resource=1&resource=2", Form{"resource": {"1", "2"}}},
	{"audience twice", "audience=1&audience=2", Form{"audience": {"1", "2"}}},
	{"Resource twice", "Resource=1&Resource=2", nil},
	{"a semicolon", "a=1;b=2", nil},
	{"a cut escape", "a=%4", nil},
	{"an escape of no digits", "a=%gg", nil},
	{"bad UTF-8", "a=%ff", nil},
	{"bad UTF-8, as it is", "a=\xff", nil},
	{"bad UTF-8 in a name", "%ff=a", nil},
	{"half a surrogate", "a=%ed%a0%80", nil},
	{"64 parameters, all but one empty", "b=1" + strings.Repeat("&a=", 63), Form{"b": {"1"}}},
	{"65 parameters, all but one empty", "b=1" + strings.Repeat("&a=", 64), nil},
	{"64 ampersands", strings.Repeat("&", 64), nil},
	{"JSON", `{"a":"1"}`, Form{}},
}

func TestParseForm(t *testing.T) {
	for _, tt := range forms {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseForm([]byte(tt.body))
			if tt.want == nil {
				var refusal *Error
				if got != nil || !errors.As(err, &refusal) || refusal.Code != InvalidRequest {
					t.Fatalf("ParseForm returned %v and the error %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseFormOfManyParameters(t *testing.T) {
	for n, good := range map[int]bool{1: true, MaxParameters: true, MaxParameters + 1: false, 10_000: false} {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("p%d=1", i))
		}
		form, err := ParseForm([]byte(strings.Join(all, "&")))
		if (err == nil) != good || (good && len(form) != n) {
			t.Errorf("ParseForm of %d parameters returned %d and the error %v", n, len(form), err)
		}
	}
}

func TestGet(t *testing.T) {
	form := Form{"a": {"1", "2"}}
	if form.Get("a") != "1" || form.Get("b") != "" || Form(nil).Get("a") != "" {
		t.Error("Get does not return the first value, or empty")
	}
}

func TestWireText(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"plain text, as it is: ~": "plain text, as it is: ~",
		`a "quoted" text`:         "a 'quoted' text",
		`a back\slash`:            "a back'slash",
		"two\r\nlines":            "two''lines",
		"a NUL\x00":               "a NUL'",
		"a DEL\x7f":               "a DEL'",
		"é, 世":                    "', '",
		"bad UTF-8 \xff":          "bad UTF-8 '",
		"!#[]":                    "!#[]",
	} {
		if got := wireText(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
		if got := Refuse(InvalidRequest, text).Description; got != want {
			t.Errorf("Refuse(%q) has the description %q", text, got)
		}
	}
	// RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E, which are not replaced.
	for r := range rune(256) {
		allowed := r == 0x20 || r == 0x21 || (r >= 0x23 && r <= 0x5b) || (r >= 0x5d && r <= 0x7e)
		if got := wireText(string(r)); (got == string(r)) != (allowed || r == '\'') {
			t.Errorf("%q becomes %q", r, got)
		}
	}
}
