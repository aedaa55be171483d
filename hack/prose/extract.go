package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// area is the kind of text that findings are counted by.
type area string

const (
	docs        area = "docs"
	messages    area = "messages"
	apiComments area = "API comments"
	comments    area = "code comments"
	tests       area = "tests"
)

var areas = []area{docs, messages, apiComments, comments, tests}

// page is the text of a file, in the lines that Vale reads.
type page struct {
	file, extension string
	lines           []line
}

// line is one line of text and the line of the source that it comes from.
type line struct {
	number int
	area   area
	text   string
}

func (p *page) text() string {
	var text strings.Builder
	for _, l := range p.lines {
		text.WriteString(l.text + "\n")
	}
	return text.String()
}

// add appends a paragraph: lines of the source from a number on. An empty line ends it.
func (p *page) add(a area, lines ...line) {
	if !slices.ContainsFunc(lines, func(l line) bool { return words.MatchString(l.text) }) {
		return
	}
	for _, l := range lines {
		p.lines = append(p.lines, line{l.number, a, withoutCode(l.text)})
	}
	p.lines = append(p.lines, line{lines[len(lines)-1].number, a, ""})
}

// words matches text that can be a part of a sentence.
var words = regexp.MustCompile(`[A-Za-z]{2}[,;:]? [A-Za-z%]`)

// codeLike matches what is code in a sentence: in backquotes or quotes, verbs of a format, actions of a template, and words
// with dots, slashes, underscores, equals signs or capitals inside.
var codeLike = regexp.MustCompile("`[^`]*`|\\{\\{.*?\\}\\}|%[-+#]?[0-9.]*[a-zA-Z]\\b|https?://\\S+|" +
	`\$?[\w-]*[\w)][./_=@]\w[\w./_=@*()-]*|\b[a-z]+[A-Z]\w*|--[a-z]\S*|\b[A-Z]\w*[a-z][A-Z]\w*`)

// withoutCode replaces code by a letter that stands for it.
func withoutCode(text string) string { return codeLike.ReplaceAllString(text, "X") }

var skipped = regexp.MustCompile(`^(\.git|bin|LICENSE|docs/api\.md|config/crd/bases|charts/refreshkeys/files|hack/prose/(styles|prose_test\.go)|` +
	`test/contract/testdata|.*/fuzz/.*|.*zz_generated.*|.*/node_modules|.*go\.(mod|sum))$`)

// extractTree returns the text of the files below a directory that match one of the paths; of all if there are none.
func extractTree(directory string, paths []string) (pages []*page, err error) {
	err = filepath.WalkDir(directory, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(directory, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case skipped.MatchString(name) && entry.IsDir():
			return filepath.SkipDir
		case entry.IsDir() || !entry.Type().IsRegular() || skipped.MatchString(name) || !wanted(name, paths):
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		found, err := extract(name, text)
		if err == nil && found != nil && len(found.lines) > 0 {
			pages = append(pages, found)
		}
		return err
	})
	return pages, err
}

func wanted(name string, paths []string) bool {
	return len(paths) == 0 || slices.ContainsFunc(paths, func(pattern string) bool {
		pattern = path.Clean(strings.TrimSuffix(pattern, "/..."))
		matched, err := path.Match(pattern, name)
		return pattern == "." || name == pattern || strings.HasPrefix(name, pattern+"/") || (err == nil && matched)
	})
}

// extract returns the text of one file; nil for a kind of file that has none.
func extract(name string, source []byte) (*page, error) {
	p, text := &page{file: name, extension: ".txt"}, string(source)
	switch base := path.Base(name); {
	case strings.HasSuffix(name, ".go"):
		return p, p.golang(source)
	case strings.HasSuffix(name, ".md"):
		p.markdown(text)
	case strings.HasPrefix(text, "// Code generated"):
		return nil, nil
	case strings.HasSuffix(name, ".ts"), strings.HasSuffix(name, ".tsx"), strings.HasSuffix(name, ".mjs"):
		p.slashComments(text)
		if strings.HasPrefix(name, "internal/console/ui/text/") {
			p.catalogue(text)
		}
	case base == "NOTES.txt":
		p.notes(text)
	case strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"), strings.HasSuffix(name, ".tpl"):
		p.comments(text, areaOf(name, comments))
		p.yamlTexts(text)
	case base == "values.schema.json":
		p.schema(text)
	case base == "Makefile":
		p.comments(text, comments)
		p.makeHelp(text)
	case strings.HasSuffix(name, ".txtar"):
		p.comments(text, tests)
	case strings.HasSuffix(name, ".sh"), strings.HasPrefix(text, "#!"):
		p.comments(text, areaOf(name, comments))
	default:
		return nil, nil
	}
	return p, nil
}

// areaOf returns the area of a text in a file: tests if the file belongs to a test.
func areaOf(name string, other area) area {
	switch {
	case strings.HasSuffix(name, "_test.go"), strings.HasPrefix(name, "test/"):
		return tests
	case other == comments && strings.HasPrefix(name, "api/"):
		return apiComments
	default:
		return other
	}
}
