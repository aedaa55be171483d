package prometheus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// promtool is the real one, as `make alerts` builds it.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	binary := os.Getenv("PROMTOOL")
	if binary == "" {
		t.Fatal("there is no $PROMTOOL: run make alerts, which builds it")
	}
	if out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("promtool %s: %v\n%s", args[0], err, out)
	}
}

// groups writes the rules in the format of Prometheus, and returns the path of the file. It keeps only the listed
// annotations, because tests compare all annotations exactly.
func groups(t *testing.T, name string, annotations ...string) string {
	t.Helper()
	var object struct {
		Spec struct {
			Groups []map[string]any `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "config", "prometheus", "rules.yaml")), &object); err != nil {
		t.Fatal(err)
	}
	for _, group := range object.Spec.Groups {
		for _, rule := range group["rules"].([]any) {
			said := rule.(map[string]any)["annotations"].(map[string]any)
			for which := range said {
				if !slices.Contains(annotations, which) {
					delete(said, which)
				}
			}
		}
	}
	text, err := yaml.Marshal(object.Spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func suites(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "config", "prometheus", "tests", "*.yaml"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%d files with tests of alerts, error %v", len(found), err)
	}
	return found
}

// TestRulesAreGood: Prometheus takes them, templates included.
func TestRulesAreGood(t *testing.T) {
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", groups(t, "rules.yaml", "summary", "description", "runbook_url"))
}

// TestAlerts checks that each alert fires at the expected minute, not earlier, and not in a healthy system.
func TestAlerts(t *testing.T) {
	rules := groups(t, "rules.yaml", "summary")
	for _, suite := range suites(t) {
		t.Run(filepath.Base(suite), func(t *testing.T) {
			text, err := os.ReadFile(suite)
			if err != nil {
				t.Fatal(err)
			}
			// Files are found beside that which names them.
			copied := filepath.Join(filepath.Dir(rules), filepath.Base(suite))
			if err := os.WriteFile(copied, text, 0o600); err != nil {
				t.Fatal(err)
			}
			promtool(t, "test", "rules", copied)
		})
	}
}

// suite is what is read here of promtool's format.
type suite struct {
	Tests []struct {
		AlertRuleTest []struct {
			EvalTime  string `json:"eval_time"`
			AlertName string `json:"alertname"`
			ExpAlerts []struct {
				ExpLabels map[string]string `json:"exp_labels"`
			} `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

// tried records for each alert whether a test shows it firing, with which labels, and not firing before.
func tried(t *testing.T) (fires map[string]map[string]bool, silent map[string]bool) {
	t.Helper()
	fires, silent = map[string]map[string]bool{}, map[string]bool{}
	for _, path := range suites(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var read suite
		if err := yaml.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		for _, test := range read.Tests {
			for _, one := range test.AlertRuleTest {
				if len(one.ExpAlerts) == 0 {
					silent[one.AlertName] = true
					continue
				}
				if fires[one.AlertName] == nil {
					fires[one.AlertName] = map[string]bool{}
				}
				for _, alert := range one.ExpAlerts {
					for label := range alert.ExpLabels {
						fires[one.AlertName][label] = true
					}
				}
			}
		}
	}
	return fires, silent
}

var (
	usedLabel = regexp.MustCompile(`\$labels\.(\w+)`)
	severity  = regexp.MustCompile(`^(info|warning|critical)$`)
)

// TestEveryAlertIsTriedAndSaysWhatToDo: none is without a test both ways, a severity that can be routed, a
// text that tells what to do, and a chapter to read on in.
func TestEveryAlertIsTriedAndSaysWhatToDo(t *testing.T) {
	fires, silent := tried(t)
	handbook := read(t, "docs", "troubleshooting.md")
	for _, alert := range alerts(t) {
		name := alert.Alert
		if fires[name] == nil || !silent[name] {
			t.Errorf("%s: no test shows when it fires and when it does not yet", name)
		}
		if !severity.MatchString(alert.Labels["severity"]) {
			t.Errorf("%s: severity %q is none", name, alert.Labels["severity"])
		}
		for _, annotation := range []string{"summary", "description"} {
			said := alert.Annotations[annotation]
			if !strings.HasSuffix(said, ".") {
				t.Errorf("%s: %s says no sentence: %q", name, annotation, said)
			}
			for _, label := range usedLabel.FindAllStringSubmatch(said, -1) {
				if !fires[name][label[1]] {
					t.Errorf("%s: %s names the label %s, which the alert does not have", name, annotation, label[1])
				}
			}
		}
		const page = "https://github.com/refreshkeys/refreshkeys/blob/main/docs/troubleshooting.md"
		if want := page + "#" + strings.ToLower(name); alert.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is not %s", name, want)
		}
		if !strings.Contains(handbook, fmt.Sprintf("\n### %s\n", name)) {
			t.Errorf("%s: docs/troubleshooting.md has no chapter of it", name)
		}
	}
}

// TestReasonsExist: a reason that an alert asks for is one that the operator gives, and each that
// keeps a key from being ready alerts.
func TestReasonsExist(t *testing.T) {
	source := read(t, "api", "v1alpha1", "conditions.go")
	known := map[string]bool{"Unknown": true}
	for _, found := range regexp.MustCompile(`(?m)^\t(?:Reason|Revoked)\w+ +(?:RevocationReason )?= "(\w+)"`).FindAllStringSubmatch(source, -1) {
		known[found[1]] = true
	}
	asked := map[string]bool{}
	matcher := regexp.MustCompile(`reason[!=]?[~=]"([^"]+)"`)
	for _, alert := range alerts(t) {
		for _, found := range matcher.FindAllStringSubmatch(alert.Expr.String(), -1) {
			for reason := range strings.SplitSeq(found[1], "|") {
				asked[reason] = true
				if !known[reason] {
					t.Errorf("%s: there is no reason %s", alert.Alert, reason)
				}
			}
		}
	}
	keys, _, _ := strings.Cut(source, "// Reasons of the conditions of a JWTIssuer.")
	for _, found := range regexp.MustCompile(`(?m)^\tReason\w+ += "(\w+)"`).FindAllStringSubmatch(keys, -1) {
		if reason := found[1]; !asked[reason] && reason != "Issued" && reason != "OverlapPending" {
			t.Errorf("no alert covers refresh keys with the reason %s", reason)
		}
	}
}
