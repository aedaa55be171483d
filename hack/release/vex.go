package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// vex writes an OpenVEX document: which known vulnerabilities of the dependencies affect the programs. hack/vuln/run makes it
// by govulncheck, and fails without a database.
func (b *builder) vex() error {
	text, err := output(b.command(filepath.Join(b.root, "hack/vuln/run"), "openvex"))
	if err != nil {
		return err
	}
	document, err := vexOf([]byte(text), b.version, b.source.time)
	if err != nil {
		return err
	}
	return os.WriteFile(b.file("refreshkeys.openvex.json"), document, 0o644)
}

// vexOf completes the document of govulncheck: it names the author, the product and this document, and its time is the commit's.
func vexOf(text []byte, version string, at time.Time) ([]byte, error) {
	document := map[string]any{}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	document["@id"] = "https://" + repository + "/releases/download/" + version + "/refreshkeys.openvex.json"
	document["author"] = "Refresh Keys"
	document["timestamp"] = at.Format(time.RFC3339)
	statements, _ := document["statements"].([]any)
	for _, statement := range statements {
		fields, _ := statement.(map[string]any)
		products, _ := fields["products"].([]any)
		for _, product := range products {
			if named, ok := product.(map[string]any); ok {
				named["@id"] = "pkg:golang/" + repository + "@" + version
			}
		}
	}
	whole, err := json.MarshalIndent(document, "", "  ")
	return append(whole, '\n'), err
}
