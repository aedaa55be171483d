// Package prometheus holds the alerts and the dashboard of config/prometheus to what they promise: the
// alerts by promtool, every query by the metrics that docs/metrics.md lists. That page is held to what
// both commands really expose by test/observability.
package prometheus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

const root = "../.."

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// objects are those of a file of config, by their kinds. What the API server would not know is an error.
func objects(t *testing.T, text string, kinds map[string]any) {
	t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var head struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatal(err)
		}
		into, wanted := kinds[head.Kind]
		if !wanted {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Fatalf("%s: %v", head.Kind, err)
		}
		delete(kinds, head.Kind)
	}
	for kind := range kinds {
		t.Fatalf("there is no %s", kind)
	}
}

// alerts are all rules, in their order.
func alerts(t *testing.T) (all []monitoring.Rule) {
	t.Helper()
	var rules monitoring.PrometheusRule
	objects(t, read(t, "config", "prometheus", "rules.yaml"), map[string]any{"PrometheusRule": &rules})
	for _, group := range rules.Spec.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}

// dashboard is what is read of it here.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID         int    `json:"id"`
	Type       string `json:"type"`
	Title      string `json:"title"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Datasource   struct {
			UID string `json:"uid"`
		} `json:"datasource"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) (board dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "config", "prometheus", "dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	return board
}

// metric is a row of docs/metrics.md.
type metric struct {
	kind   string
	labels map[string]bool
}

var code = regexp.MustCompile("`([^`]+)`")

// documented are the metrics that docs/metrics.md lists, by name.
func documented(t *testing.T) map[string]metric {
	t.Helper()
	page := read(t, "docs", "metrics.md")
	_, chapter, _ := strings.Cut(page, "\n## Metrics\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	found := map[string]metric{}
	for line := range strings.Lines(chapter) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		m := metric{kind: strings.TrimSpace(cells[2]), labels: map[string]bool{}}
		for _, label := range code.FindAllStringSubmatch(cells[3], -1) {
			m.labels[label[1]] = true
		}
		found[code.FindStringSubmatch(cells[1])[1]] = m
	}
	if len(found) == 0 {
		t.Fatal("docs/metrics.md lists no metrics")
	}
	return found
}
