package v1alpha1

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestMessagesOfRulesStateTheirBounds checks that each bound in the message of a CEL rule is a bound of the rule, or the
// maximum length beside it.
func TestMessagesOfRulesStateTheirBounds(t *testing.T) {
	marker := regexp.MustCompile("(?m)^\\s*// \\+kubebuilder:validation:XValidation:rule=(\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`).*message=(\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`)")
	bound := regexp.MustCompile(`(?:at most|at least|and|to|than) ([0-9]+)([hms]?)\b`)
	files, err := filepath.Glob("*_types.go")
	if err != nil {
		t.Fatal(err)
	}
	bounds := 0
	for _, file := range append(files, "jwtissuer_login.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, comment := range comments(string(text)) {
			for _, found := range marker.FindAllStringSubmatch(comment, -1) {
				rule, message := found[1], found[2]
				for _, stated := range bound.FindAllStringSubmatch(message, -1) {
					bounds++
					if !contains(rule, stated[1]+stated[2]) && !strings.Contains(comment, "MaxLength="+stated[1]+"\n") {
						t.Errorf("%s: the message %s states the bound %s%s, which the rule does not have: %s", file, message, stated[1], stated[2], rule)
					}
				}
			}
		}
	}
	if bounds < 8 {
		t.Errorf("only %d bounds were found in messages", bounds)
	}
}

// comments returns the comments of a file, each with all its lines.
func comments(text string) (all []string) {
	var comment strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "//") {
			comment.WriteString(line)
		} else if comment.Len() > 0 {
			all = append(all, comment.String())
			comment.Reset()
		}
	}
	return all
}

// contains reports whether a rule has the bound: as a number, or as two less in a pattern with one character before and
// one after it.
func contains(rule, bound string) bool {
	number := func(text string) bool {
		return regexp.MustCompile(`(^|[^0-9])` + text + `([^0-9]|$)`).MatchString(rule)
	}
	if number(bound) {
		return true
	}
	n, err := strconv.Atoi(bound)
	return err == nil && strings.Contains(rule, "{0,"+strconv.Itoa(n-2)+"}")
}
