package cli

import "testing"

// TestWrap checks that paragraphs are filled, and that indented lines stay.
func TestWrap(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"short", "one two", "one two"},
		{"long", "one two three four", "one two\nthree four"},
		{"a paragraph of two lines", "one\ntwo three\nfour", "one two\nthree four"},
		{"two paragraphs", "one two three\n\nfour", "one two\nthree\n\nfour"},
		{"a list", "one two:\n  - three four five\nsix", "one two:\n  - three four five\nsix"},
		{"a long word", "a https://tokens.example.com b", "a\nhttps://tokens.example.com\nb"},
		{"characters, not bytes", "éééééé éééé x", "éééééé\néééé x"},
	} {
		if got := Wrap(c.text, 10); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
