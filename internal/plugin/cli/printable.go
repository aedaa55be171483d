package cli

import (
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Printable returns a text for one line of a terminal, such as a text from the cluster: with spaces for breaks of lines, and with escapes
// such as \x1b for characters that a terminal does not show but obeys, or that change the order of others.
func Printable(text string) string {
	return escaped(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(text))
}

// escaped returns a text with escapes for characters that are neither graphic nor in kept.
func escaped(text string, kept ...rune) string {
	var made strings.Builder
	for _, r := range text {
		if unicode.IsGraphic(r) || strings.ContainsRune(string(kept), r) {
			made.WriteRune(r)
			continue
		}
		made.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return made.String()
}

// lines is a stream of lines for people.
type lines struct{ out io.Writer }

// Write implements io.Writer. Each call has whole characters.
func (l *lines) Write(text []byte) (int, error) {
	if _, err := io.WriteString(l.out, escaped(string(text), '\n', '\t')); err != nil {
		return 0, err
	}
	return len(text), nil
}
