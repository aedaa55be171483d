package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEachFailureOfASignInHasAText holds that the page has a text for each reason that the server sends it to the sign-in with: those
// of the wire, and those of an answer of the API server or the console.
func TestEachFailureOfASignInHasAText(t *testing.T) {
	console := filepath.Join("..", "..", "internal", "console")
	read := func(names ...string) string {
		var all strings.Builder
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		return all.String()
	}
	reasons := map[string]bool{"Unauthorized": true, "Forbidden": true}
	for _, found := range regexp.MustCompile(`export const \w+: SignInFailure = "(\w+)"`).FindAllStringSubmatch(read(filepath.Join(console, "ui", "app", "wire.ts")), -1) {
		reasons[found[1]] = true
	}
	sources := []string{"signin.go", "person.go", "sessions.go", "answer.go"}
	for i, name := range sources {
		sources[i] = filepath.Join(console, name)
	}
	for _, found := range regexp.MustCompile(`metav1\.StatusReason([A-Z]\w+)`).FindAllStringSubmatch(read(sources...), -1) {
		reasons[found[1]] = true
	}
	// Answers to requests with a body, which no sign-in at a provider has.
	delete(reasons, "BadRequest")
	delete(reasons, "RequestEntityTooLarge")
	_, texts, _ := strings.Cut(read(filepath.Join(console, "ui", "text", "en.ts")), "failed: {")
	texts, _, _ = strings.Cut(texts, "} as Record")
	if len(reasons) < 10 || texts == "" {
		t.Fatalf("found only %d reasons, and the texts %q", len(reasons), texts)
	}
	for reason := range reasons {
		if !strings.Contains(texts, "\n      "+reason+": ") {
			t.Errorf("the page has no text for %s", reason)
		}
	}
}
