package main

import (
	"strings"
	"testing"
)

// TestLintRefuses holds the rules for the page's sources: each source breaks one.
func TestLintRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		file, source, want string
	}{
		"markup from text":           {"a.ts", `box.innerHTML = name;`, "innerHTML"},
		"markup from text in Preact": {"a.tsx", `const a = <p dangerouslySetInnerHTML={{ __html: name }} />;`, "dangerouslySetInnerHTML"},
		"code from text":             {"a.ts", `eval(text);`, "eval("},
		"a style attribute":          {"a.tsx", `const a = <p style={{ color: "red" }} />;`, "style="},
		"a cookie":                   {"a.ts", `document.cookie = "a";`, "document.cookie"},
		"a text":                     {"a.tsx", `const a = <p>Revoke the key</p>;`, "Revoke the key"},
		"a text beside an element":   {"a.tsx", `const a = <p>Revoke <b>{name}</b></p>;`, "Revoke"},
		"a text after an expression": {"a.tsx", `const a = <p>{f("x", [1, 2])} keys</p>;`, "keys"},
		"a label":                    {"a.tsx", `const a = <button aria-label="Close" />;`, "Close"},
		"a placeholder":              {"a.tsx", `const a = <input placeholder="Search" />;`, "Search"},
		"a long file":                {"a.ts", strings.Repeat("f();\n", maxLines+1), "401 lines"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := lintFile(test.file, test.source)
			for _, fault := range faults {
				if strings.Contains(fault.Error(), test.want) {
					return
				}
			}
			t.Errorf("got %v, want one about %q", faults, test.want)
		})
	}
}

// TestLintAccepts holds what the rules leave alone.
func TestLintAccepts(t *testing.T) {
	for name, source := range map[string]string{
		"text of the catalogue": `const a = <p aria-label={t.close}>{t.title}</p>;`,
		"a class":               `const a = <p class="quiet small"><b class="strong one">{name}</b></p>;`,
		"signs":                 `const a = <p>{name} / {other}</p>;`,
		"a child's attributes":  `const a = <p><Chip tone="bad" word={row.status} /> <Icon name="copy" /></p>;`,
		"an argument":           `const a = <p>{f("word", { x: "y" })}{"•".repeat(3)}</p>;`,
		"a style property":      `box.style.setProperty("left", "1px");`,
	} {
		t.Run(name, func(t *testing.T) {
			if faults := lintFile("a.tsx", source); len(faults) > 0 {
				t.Errorf("got %v, want none", faults)
			}
		})
	}
}

// TestOnlyAllowed holds which packages of npm may be in the bundle.
func TestOnlyAllowed(t *testing.T) {
	for input, allowed := range map[string]bool{
		"main.tsx": true, "node_modules/preact/dist/preact.mjs": true, "../../bin/console-ui/node_modules/@preact/signals-core/dist/a.js": true,
		"node_modules/left-pad/index.js": false, "node_modules/preact-router/index.js": false,
	} {
		if err := onlyAllowed(`{"inputs": {"` + input + `": {}}}`); (err == nil) != allowed {
			t.Errorf("%s: got %v, want allowed: %t", input, err, allowed)
		}
	}
}
