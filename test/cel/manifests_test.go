package cel

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// bare is what the API server says of a pattern or a format.
var bare = regexp.MustCompile(`in body (should match|must be of type date-time)`)

// TestRefused shows what the API server answers to each bad value, in sentences that say what to do.
func TestRefused(t *testing.T) {
	cases := append(readManifests(t, invalid), generatedRefusals()...)
	var refusals []string
	all := rules(t)
	for _, m := range cases {
		t.Run(m.name, func(t *testing.T) {
			if len(m.wants) == 0 {
				t.Fatal("the manifest has no line `# want: <part of the message>`")
			}
			err := m.submit(t)
			if err == nil {
				t.Fatalf("accepted, but must be refused with: %q", m.wants)
			}
			refusals = append(refusals, err.Error())
			if m.subresource == "" && bare.MatchString(err.Error()) && !slices.ContainsFunc(all, func(r rule) bool { return r.saidIn(err.Error()) }) {
				t.Errorf("the refusal is a bare regular expression: %v", err)
			}
			if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
				t.Errorf("refused as %s, which is neither Invalid nor Forbidden", apierrors.ReasonForError(err))
			}
			for _, want := range m.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("refused, but the message lacks\n  %s\nand is\n  %v", want, err)
				}
			}
		})
	}
	if len(refusals) == len(cases) { // no case was left out by -run
		t.Run("every rule", func(t *testing.T) { everyRuleRefused(t, refusals) })
	}
}

// everyRuleRefused finds rules that no manifest breaks.
func everyRuleRefused(t *testing.T, refusals []string) {
	for _, rule := range rules(t) {
		if !slices.ContainsFunc(refusals, rule.saidIn) {
			t.Errorf("no invalid file is refused with %q: add one", rule.message)
		}
	}
}

func TestAccepted(t *testing.T) {
	cases := append(readManifests(t, valid), readManifests(t, "../../config/samples/*.yaml")...)
	for _, m := range append(cases, generatedAcceptances()...) {
		t.Run(m.name, func(t *testing.T) {
			if err := m.submit(t); err != nil {
				t.Errorf("refused, but must be accepted: %v", err)
			}
		})
	}
}
