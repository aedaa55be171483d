// Command guidance writes the rows of docs/troubleshooting.md about reasons as JSON, for the console: what a state means, and what
// to do.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

const (
	page = "docs/troubleshooting.md"
	file = "internal/console/view/guidance.json"
)

// guidance is a row of the page.
type guidance struct {
	Means string `json:"means"`
	Do    string `json:"do"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guidance:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	groups, err := rows(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	var written strings.Builder
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(groups); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(written.String()), 0o644)
}

// sections are the headings whose tables are read, and the group of their rows.
var sections = map[string]string{"## A JWTRefreshKey": "keys", "### Why a key is revoked": "revocations", "## A JWTIssuer": "issuers"}

// rows returns the rows of the page's tables with three columns, by group and reason.
func rows(text string) (map[string]map[string]guidance, error) {
	groups, group := map[string]map[string]guidance{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			group = sections[line]
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if group == "" || !strings.HasPrefix(line, "| `") || len(cells) != 3 {
			continue
		}
		reason := strings.Trim(strings.TrimSpace(cells[0]), "`")
		if groups[group] == nil {
			groups[group] = map[string]guidance{}
		}
		row := guidance{Means: plain(cells[1]), Do: plain(buttons.Replace(cells[2]))}
		if strings.Contains(row.Means+row.Do, annotations) {
			return nil, fmt.Errorf("the row %s names an annotation: the console has a button for it, which buttons does not know", reason)
		}
		if strings.HasPrefix(row.Do, "the same") {
			return nil, fmt.Errorf("the row %s refers to another row, which the console does not show beside it: say what to do", reason)
		}
		groups[group][reason] = row
	}
	if len(groups) != len(sections) {
		return nil, fmt.Errorf("%d sections with reasons were found, not %d", len(groups), len(sections))
	}
	return groups, nil
}

// annotations begins the names of all annotations.
const annotations = "jwt.refreshkeys.dev/"

// buttons replaces what the console has a button for.
var buttons = strings.NewReplacer(
	"set `revoked: false`", `press "Restore"`,
	"set the annotation `"+annotations+"rotate`", `press "Issue a new token"`,
	"annotate the key with `"+annotations+"rotate`", `press "Rotate"`,
	"the annotation `"+annotations+"rotate-now`", `"Rotate now"`,
)

var (
	// pointer is what only leads to another place of the documentation.
	pointer = regexp.MustCompile(`[;.][^;.]*\bsee \[[^\]]*\]\([^)]*\)`)
	link    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// plain returns a cell as text: without what only leads to another place, and without the links and the code marks of Markdown.
func plain(cell string) string {
	text := link.ReplaceAllString(pointer.ReplaceAllString(cell, ""), "$1")
	return strings.TrimSpace(strings.ReplaceAll(text, "`", ""))
}
