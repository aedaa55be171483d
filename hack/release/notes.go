package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// earlier is a version before this one, and its commit.
type earlier struct{ version, commit string }

// notes writes the release notes: the part of the changelog about this version, how to verify the files, and earlier versions.
func (b *builder) notes() error {
	changelog, err := os.ReadFile(filepath.Join(b.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	list, err := os.ReadFile(filepath.Join(b.root, "hack/release/versions"))
	if err != nil {
		return err
	}
	before, err := readEarlier(string(list))
	if err != nil {
		return err
	}
	text, err := notesOf(string(changelog), b.version, before)
	if err != nil {
		return err
	}
	return os.WriteFile(b.file("NOTES.md"), []byte(text), 0o644)
}

// readEarlier returns the versions in the file hack/release/versions, whose lines are VERSION COMMIT.
func readEarlier(text string) ([]earlier, error) {
	var all []earlier
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 2 || !versionForm.MatchString(fields[0]) || !commitForm.MatchString(fields[1]) {
			return nil, fmt.Errorf("versions: %q is not VERSION COMMIT", line)
		}
		all = append(all, earlier{fields[0], fields[1]})
	}
	return all, nil
}

var commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)

// notesOf returns the release notes of a version.
func notesOf(changelog, version string, before []earlier) (string, error) {
	changes := section(changelog, version)
	if changes == "" {
		changes = section(changelog, "Unreleased")
	}
	if changes == "" {
		return "", fmt.Errorf("CHANGELOG.md has no section %s or Unreleased", version)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Refresh Keys %s\n\n%s\n\n## Verify\n\n", version, absoluteLinks(changes, version))
	fmt.Fprintf(&text, "`SHA256SUMS` lists the files, `SHA256SUMS.sig` signs it, and `provenance.intoto.json` says from which commit and how they "+
		"were built (SLSA Build L1). [Verify a release](https://%s/blob/%s/docs/releasing.md#verify-a-release) shows the commands.\n", repository, version)
	if len(before) > 0 {
		text.WriteString("\n## Earlier versions\n\n")
	}
	for _, each := range before {
		fmt.Fprintf(&text, "%s is the commit `%s`. To tag it: `git tag --annotate --message %s %s %s`\n", each.version, each.commit, each.version, each.version, each.commit)
	}
	return text.String(), nil
}

// section returns the text below a heading of the second level. It ends where the changes of the first version begin,
// which no heading of the second level separates.
func section(changelog, title string) string {
	var found []string
	inside := false
	for _, line := range strings.Split(changelog, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			name, _, _ := strings.Cut(heading, " ")
			inside = name == title
			continue
		}
		if line == "### Earlier changes" {
			inside = false
		}
		if inside {
			found = append(found, line)
		}
	}
	return strings.TrimSpace(strings.Join(found, "\n"))
}

var relativeLink = regexp.MustCompile(`\]\(([a-zA-Z][^):]*)\)`)

// absoluteLinks returns text whose links to files of the repository are addresses, for readers of the notes alone.
func absoluteLinks(text, version string) string {
	return relativeLink.ReplaceAllString(text, "](https://"+repository+"/blob/"+version+"/$1)")
}

// errNoFiles is the error of a folder that holds no release.
var errNoFiles = errors.New("the folder holds no release: run make release")
