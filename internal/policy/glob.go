package policy

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// glob is a compiled pattern: its parts from left to right. Literals and placeholders match
// their own text and are never empty; wild parts match the text between these.
type glob []part

type part struct {
	kind partKind
	// text is the literal, or the key of the label.
	text string
}

type partKind int

const (
	// literal is text that matches itself.
	literal partKind = iota
	// namespaceName is `{namespace}`: the name of the key's namespace.
	namespaceName
	// namespaceLabel is `{label:KEY}`: the value of a label of the key's namespace.
	namespaceLabel
	// segment is `*`: any characters except `/` and `:`, so that it matches within one path segment, and not from a host into its port.
	segment
	// anything is `**`: any characters.
	anything
)

const (
	placeholderNamespace = "namespace"
	placeholderLabel     = "label:"
	separators           = "/:"
)

func (p *part) wild() bool { return p.kind == segment || p.kind == anything }

// stands returns the text that a part matches; false for a placeholder without a value. The value
// is never a pattern.
func (p *part) stands(r *Request) (string, bool) {
	switch p.kind {
	case namespaceName:
		return r.Namespace, r.Namespace != ""
	case namespaceLabel:
		value := r.NamespaceLabels[p.text]
		return value, value != ""
	default:
		return p.text, true
	}
}

var errBraces = errors.New("braces enclose a placeholder, {namespace} or {label:KEY} with the name of a label, and nothing else; correct it, or match a brace by *")

func compileGlobs(field string, patterns []string) ([]glob, error) {
	compiled := make([]glob, 0, len(patterns))
	for _, pattern := range patterns {
		g, err := compileGlob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", field, pattern, err)
		}
		compiled = append(compiled, g)
	}
	return compiled, nil
}

func compileGlob(pattern string) (glob, error) {
	var g glob
	for rest := pattern; rest != ""; {
		at := strings.IndexAny(rest, "*{}")
		if at < 0 {
			at = len(rest)
		}
		if at > 0 {
			g, rest = append(g, part{literal, rest[:at]}), rest[at:]
			continue
		}
		switch {
		case strings.HasPrefix(rest, "**"):
			g, rest = append(g, part{kind: anything}), rest[2:]
		case rest[0] == '*':
			g, rest = append(g, part{kind: segment}), rest[1:]
		default:
			name, after, closed := strings.Cut(rest[1:], "}")
			p, err := placeholder(name)
			if rest[0] != '{' || !closed || err != nil {
				return nil, errBraces
			}
			g, rest = append(g, p), after
		}
	}
	return g, nil
}

func placeholder(name string) (part, error) {
	if name == placeholderNamespace {
		return part{kind: namespaceName}, nil
	}
	key, isLabel := strings.CutPrefix(name, placeholderLabel)
	if !isLabel || len(validation.IsQualifiedName(key)) > 0 {
		return part{}, errBraces
	}
	return part{namespaceLabel, key}, nil
}

// matches reports whether the glob matches the whole text, in the namespace of a request.
func (g glob) matches(text string, r *Request) bool {
	// The parts before the first wild part, and after the last one, can match at one place only.
	for len(g) > 0 && !g[0].wild() {
		value, known := g[0].stands(r)
		if !known || !strings.HasPrefix(text, value) {
			return false
		}
		g, text = g[1:], text[len(value):]
	}
	if len(g) == 0 {
		return text == ""
	}
	for !g[len(g)-1].wild() {
		value, known := g[len(g)-1].stands(r)
		if !known || !strings.HasSuffix(text, value) {
			return false
		}
		g, text = g[:len(g)-1], text[:len(text)-len(value)]
	}
	if len(g) == 1 {
		return g[0].kind == anything || !strings.ContainsAny(text, separators)
	}
	return g.spans(text, r)
}

// longestText is the length limit of an audience, the longest text that globs match.
const longestText = 512

// spans implements matches for any glob. It updates the set of positions in text at which the parts so far can
// end, so its time is bounded by the product of the two lengths.
func (g glob) spans(text string, r *Request) bool {
	var room [longestText + 1]bool
	ends := room[:]
	if len(text) >= len(ends) {
		ends = make([]bool, len(text)+1)
	}
	ends = ends[:len(text)+1]
	ends[0] = true
	for i := range g {
		if g[i].wild() {
			stretch(ends, text, g[i].kind)
			continue
		}
		value, known := g[i].stands(r)
		if !known {
			return false
		}
		// Begin at the end, so that no position is moved twice.
		for at := len(text); at >= 0; at-- {
			if ends[at] {
				ends[at] = false
				if strings.HasPrefix(text[at:], value) {
					ends[at+len(value)] = true
				}
			}
		}
	}
	return ends[len(text)]
}

// stretch adds the positions that a wild part reaches from those in the set.
func stretch(ends []bool, text string, kind partKind) {
	for at := range len(text) {
		if ends[at] && (kind == anything || !strings.Contains(separators, text[at:at+1])) {
			ends[at+1] = true
		}
	}
}
