package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// maxLines is how long a source may be.
const maxLines = 400

// banned is what no source may contain, with the reason.
var banned = []struct {
	pattern *regexp.Regexp
	reason  string
}{
	{regexp.MustCompile(`\b(inner|outer)HTML\b|insertAdjacentHTML|dangerouslySetInnerHTML|\bdocument\.write\b|srcdoc`), "text becomes markup only as elements of Preact"},
	{regexp.MustCompile(`\beval\(|new Function\(|setTimeout\(\s*["'` + "`" + `]`), "no text becomes code"},
	{regexp.MustCompile(`\sstyle=|setAttribute\("style"|\.cssText\b`), "the Content-Security-Policy has no inline style: use a class, or style.setProperty"},
	{regexp.MustCompile(`\bsessionStorage\b|document\.cookie`), "nothing is kept in the browser but preferences"},
}

// words find text for people in the output of esbuild for an element: its children and the attributes that are read out.
var (
	attribute = regexp.MustCompile(`(?:"aria-label"|"aria-description"|\btitle|\bplaceholder|\balt|\blabel|\bhint): "([^"\\]*[A-Za-z]{2}[^"]*)"`)
	onlyChild = regexp.MustCompile(`\bchildren: "([^"\\]*[A-Za-z]{2}[^"]*)"`)
	children  = regexp.MustCompile(`\bchildren: \[`)
	letters   = regexp.MustCompile(`[A-Za-z]{2}`)
)

// lint holds the sources to the rules of the page.
func lint(p paths) error {
	var faults []error
	err := filepath.WalkDir(p.ui, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == "node_modules" {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		extension := filepath.Ext(path)
		if entry.IsDir() || extension != ".ts" && extension != ".tsx" && extension != ".css" || entry.Name() == "wire.ts" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(p.root, path)
		if err != nil {
			return err
		}
		faults = append(faults, lintFile(name, string(text))...)
		return nil
	})
	return errors.Join(append(faults, err)...)
}

func lintFile(name, text string) []error {
	var faults []error
	lines := strings.Split(text, "\n")
	if len(lines) > maxLines+1 {
		faults = append(faults, fmt.Errorf("%s: %d lines; at most %d", name, len(lines)-1, maxLines))
	}
	for number, line := range lines {
		for _, b := range banned {
			if found := b.pattern.FindString(line); found != "" {
				faults = append(faults, fmt.Errorf("%s:%d: %q: %s", name, number+1, strings.TrimSpace(found), b.reason))
			}
		}
	}
	if strings.HasSuffix(name, ".tsx") {
		for _, found := range literals(text) {
			faults = append(faults, fmt.Errorf("%s: %q: text for people belongs in text/en.ts", name, found))
		}
	}
	return faults
}

// literals returns the text for people that a source contains itself.
func literals(source string) []string {
	result := api.Transform(source, api.TransformOptions{Loader: api.LoaderTSX, JSX: api.JSXAutomatic, JSXImportSource: "preact"})
	code := string(result.Code)
	var found []string
	for _, pattern := range []*regexp.Regexp{attribute, onlyChild} {
		for _, match := range pattern.FindAllStringSubmatch(code, -1) {
			found = append(found, match[1])
		}
	}
	for _, at := range children.FindAllStringIndex(code, -1) {
		for _, text := range directStrings(code[at[1]:]) {
			if letters.MatchString(text) {
				found = append(found, text)
			}
		}
	}
	return found
}

// directStrings returns the string literals that are elements of the array that code begins with.
func directStrings(code string) []string {
	var found []string
	depth := 0
	element := true
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case '[', '(', '{':
			depth++
		case ']', ')', '}':
			depth--
			if depth < 0 {
				return found
			}
		case ',':
			element = depth == 0
		case '"', '\'', '`':
			end := i + 1
			for end < len(code) && code[end] != c {
				if code[end] == '\\' {
					end++
				}
				end++
			}
			if depth == 0 && element {
				found = append(found, code[i+1:min(end, len(code))])
			}
			i = end
			element = false
		case ' ', '\n', '\t':
		default:
			element = element && depth > 0
		}
	}
	return found
}
