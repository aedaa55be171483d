package prometheus

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

var (
	// added are the labels that the Prometheus operator adds to what it collects.
	added = []string{"namespace", "pod", "job", "instance", "container", "endpoint", "service"}
	// alertsOfPrometheus is the metric by which Prometheus reports alerts.
	alertsOfPrometheus = metric{kind: "gauge", labels: map[string]bool{"alertname": true, "alertstate": true}}
)

// labelsOf are the labels that a metric can have once it is collected; nil where there is no such metric.
func labelsOf(name string, known map[string]metric) map[string]bool {
	if name == "ALERTS" {
		return alertsOfPrometheus.labels
	}
	var more []string
	found, ok := known[name]
	if !ok {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if found, ok = known[base]; !ok || found.kind != "histogram" {
			return nil
		}
		if strings.HasSuffix(name, "_bucket") {
			more = []string{"le"}
		}
	} else if found.kind == "histogram" {
		return nil
	}
	all := maps.Clone(found.labels)
	for _, label := range slices.Concat(added, more) {
		all[label] = true
	}
	return all
}

// check reports what a query names that there is not.
func check(t *testing.T, query string, known map[string]metric) parser.Expr {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h").Replace(query))
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			has := labelsOf(node.Name, known)
			if has == nil {
				t.Errorf("there is no metric %s", node.Name)
				return nil
			}
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != model.MetricNameLabel && !has[matcher.Name] {
					t.Errorf("%s has no label %s", node.Name, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			named(t, node.Expr, node.Grouping, known)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				named(t, node.LHS, node.VectorMatching.MatchingLabels, known)
				named(t, node.RHS, node.VectorMatching.MatchingLabels, known)
			}
		}
		return nil
	})
	return parsed
}

// named reports labels that a query groups or matches by and that what it is about does not have.
func named(t *testing.T, about parser.Expr, grouping []string, known map[string]metric) {
	t.Helper()
	for _, selectors := range parser.ExtractSelectors(about) {
		for _, matcher := range selectors {
			if matcher.Name != model.MetricNameLabel {
				continue
			}
			for _, label := range grouping {
				if has := labelsOf(matcher.Value, known); has != nil && !has[label] {
					t.Errorf("%s is grouped by %s, which it does not have", matcher.Value, label)
				}
			}
		}
	}
}

// TestAlertsNameWhatIsExposed: an alert on a metric that there is not never fires.
func TestAlertsNameWhatIsExposed(t *testing.T) {
	known := documented(t)
	for _, alert := range alerts(t) {
		t.Run(alert.Alert, func(t *testing.T) { check(t, alert.Expr.String(), known) })
	}
}

var (
	legendLabel = regexp.MustCompile(`{{(\w+)}}`)
	labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)
)

// TestDashboardNamesWhatIsExposed: so does a panel that stays empty.
func TestDashboardNamesWhatIsExposed(t *testing.T) {
	known := documented(t)
	board := readDashboard(t)
	for _, panel := range board.Panels {
		t.Run(panel.Title, func(t *testing.T) {
			if panel.Type != "row" && len(panel.Targets) == 0 {
				t.Error("it asks nothing")
			}
			for _, target := range panel.Targets {
				parsed := check(t, target.Expr, known)
				for _, label := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					named(t, parsed, label[1:], known)
				}
			}
		})
	}
	for _, variable := range board.Templating.List {
		if variable.Type != "query" {
			continue
		}
		asked := labelValues.FindStringSubmatch(variable.Definition)
		if asked == nil || !labelsOf(asked[1], known)[asked[2]] {
			t.Errorf("the variable %s names a metric or label that does not exist: %s", variable.Name, variable.Definition)
		}
	}
}

// TestDashboardIsWhole checks that a user who imports the dashboard can select the data source and sees every panel.
func TestDashboardIsWhole(t *testing.T) {
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, panel := range readDashboard(t).Panels {
		if ids[panel.ID] {
			t.Errorf("%s: its id is another's too", panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			if target.Datasource.UID != "${datasource}" || panel.Datasource.UID != "${datasource}" {
				t.Errorf("%s: its data are not where the variable says", panel.Title)
			}
		}
		at := panel.GridPos
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if under := cells[[2]int{x, y}]; under != "" || x >= 24 {
					t.Fatalf("%s lies over %q or beside the page", panel.Title, under)
				}
				cells[[2]int{x, y}] = panel.Title
			}
		}
	}
}
