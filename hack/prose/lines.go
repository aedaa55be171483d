package main

import (
	"encoding/json"
	"regexp"
	"strings"
)

// markdown takes a page as it is, without the blocks of code.
func (p *page) markdown(text string) {
	p.extension = ".md"
	inCode := false
	for i, source := range strings.Split(text, "\n") {
		switch fence := strings.HasPrefix(strings.TrimSpace(source), "```"); {
		case fence:
			inCode = !inCode
			source = ""
		case inCode:
			source = ""
		}
		p.lines = append(p.lines, line{i + 1, docs, withoutCode(source)})
	}
}

var commented = regexp.MustCompile(`^(\s*)#+ ?(.*)$|^(.*\S)\s+# (.+)$`)

// comments adds the comments that begin with #: lines of them as a paragraph, and those at the end of a line.
func (p *page) comments(text string, a area) {
	var lines []line
	flush := func() {
		p.add(a, lines...)
		lines = nil
	}
	for i, source := range strings.Split(text, "\n") {
		found := commented.FindStringSubmatch(source)
		switch {
		case found == nil, strings.HasPrefix(source, "#!"):
			flush()
		case found[4] != "":
			flush()
			if !strings.Contains(found[3], "## ") && strings.Count(found[3], `"`)%2 == 0 && strings.Count(found[3], "'")%2 == 0 {
				p.add(a, line{number: i + 1, text: found[4]})
			}
		case strings.TrimSpace(found[2]) == "", strings.HasPrefix(found[2], "    "), strings.HasPrefix(found[2], "#"):
			flush()
		default:
			lines = append(lines, line{number: i + 1, text: strings.TrimSpace(found[2])})
		}
	}
	flush()
}

var textKey = regexp.MustCompile(`^(\s*)(?:- )?(?:summary|description|message|messageExpression): (.+)$`)

// yamlTexts adds the values of the keys that hold text for people, such as those of alerts.
func (p *page) yamlTexts(text string) {
	sources := strings.Split(text, "\n")
	for i := 0; i < len(sources); i++ {
		found := textKey.FindStringSubmatch(sources[i])
		if found == nil {
			continue
		}
		if !strings.ContainsAny(found[2][:1], ">|") {
			p.add(areaOf(p.file, messages), line{number: i + 1, text: strings.Trim(found[2], `"'`)})
			continue
		}
		var lines []line
		for i+1 < len(sources) && strings.HasPrefix(sources[i+1], found[1]+" ") {
			i++
			lines = append(lines, line{number: i + 1, text: strings.TrimSpace(sources[i])})
		}
		p.add(areaOf(p.file, messages), lines...)
	}
}

var makeTarget = regexp.MustCompile(`^[a-z0-9-]+:.*## (.*)$`)

// makeHelp adds what `make help` prints.
func (p *page) makeHelp(text string) {
	for i, source := range strings.Split(text, "\n") {
		if found := makeTarget.FindStringSubmatch(source); found != nil {
			p.add(messages, line{number: i + 1, text: found[1]})
		}
	}
}

// notes adds what Helm prints after an installation. Lines that are indented by five blanks are commands.
func (p *page) notes(text string) {
	for i, source := range strings.Split(text, "\n") {
		if !strings.HasPrefix(source, "     ") {
			p.add(messages, line{number: i + 1, text: strings.TrimSpace(source)})
		}
	}
}

var schemaText = regexp.MustCompile(`^\s*"description": (".*"),?$`)

// schema adds the descriptions of a JSON schema.
func (p *page) schema(text string) {
	for i, source := range strings.Split(text, "\n") {
		var description string
		if found := schemaText.FindStringSubmatch(source); found != nil && json.Unmarshal([]byte(found[1]), &description) == nil {
			p.add(messages, line{number: i + 1, text: description})
		}
	}
}
