// Package redact removes everything that could be part of a token from a response of the API server.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	// longest is the largest number of bytes of a response that a condition quotes.
	longest = 320
	// more ends a truncated text.
	more = " ..."
	// withheld replaces removed parts.
	withheld = "[...]"
	// telling is the number of consecutive characters of a token that Answer removes; scattered is the same for the
	// letters and digits that remain of a response.
	telling, scattered = 6, 8
)

// Answer returns a response of the API server without anything that could be part of a token. A validation, a webhook or a
// policy can quote the Secret: its text or its base64 form, whole, in pieces, or byte by byte. Only words, short
// numbers, and names that consist of these remain. held are the values that must not appear.
func Answer(answer string, held ...[]byte) string {
	forms := formsOf(held)
	text := bytesInARow.ReplaceAllString(printable(answer), " "+withheld+" ")
	text = run.ReplaceAllStringFunc(text, func(word string) string {
		if word == withheld || (plain(word) && !forms.contains(word)) {
			return word
		}
		return withheld
	})
	text = gaps.ReplaceAllString(strings.Join(strings.Fields(text), " "), withheld)
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest-len(more)], "") + more
	}
	if forms.scatteredIn(text) {
		return ""
	}
	return text
}

var (
	// run matches characters of tokens and their base64 form, and of names and addresses.
	run = regexp.MustCompile(`\[\.\.\.\]|[A-Za-z0-9+/=_.~-]+`)
	// bytesInARow matches at least four numbers or pairs of digits, as in printed bytes.
	bytesInARow = regexp.MustCompile(`(?i)\b(?:(?:0x)?[0-9a-f]{2}|[0-9]{1,3})(?:[\s,:;]+(?:(?:0x)?[0-9a-f]{2}|[0-9]{1,3})){3,}\b`)
	// gaps matches several removed parts without text between them.
	gaps = regexp.MustCompile(`\[\.\.\.\](?:[^A-Za-z0-9\[]*\[\.\.\.\])+`)

	piece  = regexp.MustCompile(`[A-Za-z0-9]+`)
	word   = regexp.MustCompile(`^(?:[a-z]{1,24}|[A-Z][a-z]{1,24}|[A-Z]{1,5}|(?:[a-z]{2,16})?(?:[A-Z][a-z]{2,16}){1,6})$`)
	number = regexp.MustCompile(`^(?:[0-9]{1,5}|[0-9]{1,4}[a-z]{1,2}|[a-z]{1,6}[0-9]{1,4}(?:(?:alpha|beta|s)[0-9]{0,2})?)$`)
)

// printable replaces characters other than printable ASCII with spaces.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
}

// plain reports whether a run of characters looks like a word, a number, a name or an address, and not like a part of
// a token, which mixes upper case, lower case and digits at random.
func plain(row string) bool {
	if len(row) > 96 {
		return false
	}
	numbers, short := 0, 0
	for _, p := range piece.FindAllString(row, -1) {
		switch {
		case number.MatchString(p):
			numbers++
		case !word.MatchString(p):
			return false
		}
		if len(p) < 3 {
			short++
		}
	}
	return numbers <= 5 && short <= 6
}

// tokenForms returns the forms of the values that must not appear.
type tokenForms struct{ windows, compact map[string]bool }

func formsOf(held [][]byte) *tokenForms {
	f := &tokenForms{windows: map[string]bool{}, compact: map[string]bool{}}
	for _, value := range held {
		once := base64.StdEncoding.EncodeToString(value)
		for _, form := range []string{
			string(value), once, base64.RawURLEncoding.EncodeToString(value), base64.StdEncoding.EncodeToString([]byte(once)), hex.EncodeToString(value),
		} {
			addWindows(f.windows, form, telling)
			addWindows(f.compact, compact(form), scattered)
		}
	}
	return f
}

func addWindows(windows map[string]bool, text string, width int) {
	for i := 0; i+width <= len(text); i++ {
		windows[text[i:i+width]] = true
	}
}

func compact(text string) string {
	return strings.ToLower(strings.Join(piece.FindAllString(text, -1), ""))
}

// contains reports whether a run of characters contains a piece of a value.
func (f *tokenForms) contains(row string) bool { return anyWindow(f.windows, row, telling) }

// scatteredIn reports whether several pieces, each too short for contains, together form a part of a value.
func (f *tokenForms) scatteredIn(text string) bool {
	return anyWindow(f.compact, compact(strings.ReplaceAll(text, withheld, "")), scattered)
}

func anyWindow(windows map[string]bool, text string, width int) bool {
	for i := 0; len(windows) > 0 && i+width <= len(text); i++ {
		if windows[text[i:i+width]] {
			return true
		}
	}
	return false
}
