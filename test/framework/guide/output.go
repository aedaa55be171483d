package guide

import (
	"fmt"
	"regexp"
	"strings"
)

// variable are the patterns in output that differ from run to run, with their placeholders.
var variable = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), "TOKEN"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "HASH"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC)?`), "TIME"},
	{regexp.MustCompile(`(\bexp|\biat|\bnbf|expires_in"|_timeout"):( ?)\d+`), "$1:${2}SECONDS"},
	// Identifiers come before ages: a part of one can look like an age.
	{regexp.MustCompile(`(?m)(^|[^A-Za-z0-9_-])[A-Za-z0-9_-]{43}([^A-Za-z0-9_-]|$)`), "${1}KID${2}"},
	{regexp.MustCompile(`\bsession-[a-z0-9]+`), "SESSION"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|[smhdy])(\d+[smh])*\b`), "AGE"},
	{regexp.MustCompile(`(localhost|127\.0\.0\.1):\d+`), "HOST"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// Masked returns a text with its tokens replaced.
func Masked(text string) string {
	return variable[0].pattern.ReplaceAllString(text, variable[0].stands)
}

// Lasting returns a command's output without the parts that differ from run to run.
func Lasting(text string) string {
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.stands)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// differs reports whether a run prints other than the page shows.
func (s Step) differs(printed string) bool {
	return s.Shown != nil && Lasting(printed) != Lasting(*s.Shown)
}

// difference says what differs, in the order of a diff of a page and a run.
func (s Step) difference(page *Page, printed string) error {
	return fmt.Errorf("%s:%d: %s\nprints:\n%s\nand the page shows:\n%s", page.Path, s.Line, strings.TrimSpace(s.Commands), Masked(printed), *s.Shown)
}

// Updated returns the text of the page with what a run printed, where it differs. The outputs are those of the steps.
func (p *Page) Updated(steps []Step, printed []string) string {
	lines := strings.SplitAfter(p.Text, "\n")
	for i := len(printed) - 1; i >= 0; i-- { // from the end, so that earlier lines keep their numbers
		step := steps[i]
		if !step.differs(printed[i]) {
			continue
		}
		begin := step.Line - 1 + strings.Count(step.Commands, "\n")
		end := begin + strings.Count(*step.Shown, "\n")
		lines = append(lines[:begin:begin], append([]string{printed[i]}, lines[end:]...)...)
	}
	return strings.Join(lines, "")
}
