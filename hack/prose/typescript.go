package main

import "strings"

// catalogue adds the string literals of a catalogue of texts in TypeScript. A value in a template is a word, and the literals in it are
// texts of their own.
func (p *page) catalogue(source string) {
	s := script{page: p, source: source, number: 1}
	s.code()
}

// slashComments adds the lines that are comments: consecutive ones as a paragraph.
func (p *page) slashComments(source string) {
	var lines []line
	inBlock := false
	for i, text := range strings.Split(source+"\n", "\n") {
		text, comment := strings.TrimSpace(text), inBlock
		for _, begin := range []string{"//", "/**", "/*"} {
			if rest, begins := strings.CutPrefix(text, begin); begins && !inBlock {
				text, comment, inBlock = rest, true, begin != "//"
				break
			}
		}
		if comment {
			text, ends := strings.CutSuffix(text, "*/")
			inBlock = inBlock && !ends
			lines = append(lines, line{number: i + 1, text: strings.TrimSpace(strings.TrimPrefix(text, "*"))})
			continue
		}
		p.add(areaOf(p.file, comments), lines...)
		lines = nil
	}
}

// script is a source with the position to read from. It has no regular expression with a quote or a brace.
type script struct {
	page       *page
	source     string
	at, number int
}

// next returns the next character and moves behind it.
func (s *script) next() string {
	c := s.source[s.at : s.at+1]
	s.at++
	if c == "\n" {
		s.number++
	}
	return c
}

// skip moves behind a text if it is next, and reports whether it was.
func (s *script) skip(text string) bool {
	if !strings.HasPrefix(s.source[s.at:], text) {
		return false
	}
	for range len(text) {
		s.next()
	}
	return true
}

// skipTo moves behind the first occurrence of a text, or to the end.
func (s *script) skipTo(text string) {
	for s.at < len(s.source) && !s.skip(text) {
		s.next()
	}
}

// code adds the literals up to the brace that ends the code.
func (s *script) code() {
	for depth := 0; s.at < len(s.source); {
		switch {
		case s.skip("//"):
			s.skipTo("\n")
		case s.skip("/*"):
			s.skipTo("*/")
		default:
			switch c := s.next(); c {
			case `"`, "'", "`":
				s.literal(c)
			case "{":
				depth++
			case "}":
				if depth == 0 {
					return
				}
				depth--
			}
		}
	}
}

// literal adds a literal, from behind its first quote to its last.
func (s *script) literal(quote string) {
	lines := []line{{number: s.number}}
	for s.at < len(s.source) {
		last := &lines[len(lines)-1].text
		switch {
		case s.skip(quote):
			s.page.add(areaOf(s.page.file, messages), lines...)
			return
		case quote == "`" && s.skip("${"):
			*last += "X"
			s.code()
		case s.skip(`\n`):
			*last += " "
		case s.skip(`\`) && s.at < len(s.source):
			*last += s.next()
		case s.skip("\n"):
			lines = append(lines, line{number: s.number})
		default:
			*last += s.next()
		}
	}
}
