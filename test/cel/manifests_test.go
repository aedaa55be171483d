package cel

import (
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestRefused(t *testing.T) {
	cases := append(readManifests(t, "../invalid"), generatedRefusals()...)
	var refusals []string
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
			t.Errorf("no manifest in ../invalid is refused with %q: add one", rule.message)
		}
	}
}

func TestAccepted(t *testing.T) {
	cases := append(readManifests(t, "."), readManifests(t, "../../config/samples")...)
	for _, m := range append(cases, generatedAcceptances()...) {
		t.Run(m.name, func(t *testing.T) {
			if err := m.submit(t); err != nil {
				t.Errorf("refused, but must be accepted: %v", err)
			}
		})
	}
}
