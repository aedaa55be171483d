package console

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMetricsAreThoseOfThePageOfMetrics checks that docs/metrics.md lists all metrics of the console with their types and labels.
func TestMetricsAreThoseOfThePageOfMetrics(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Metrics of the console\n")
	section, _, _ = strings.Cut(section, "\n## ")
	named := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\|([^|]*)\\|").FindAllStringSubmatch(section, -1) {
		labels := regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[3], -1)
		named[row[1]] = []string{row[2]}
		for _, label := range labels {
			named[row[1]] = append(named[row[1]], label[1])
		}
	}
	f := newFixture(t)
	f.signedIn(f.cluster.user("ada"))
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exposed := map[string][]string{}
	for _, family := range families {
		labels := map[string]bool{}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = true
			}
		}
		exposed[family.GetName()] = append([]string{strings.ToLower(family.GetType().String())}, slices.Sorted(maps.Keys(labels))...)
	}
	for _, row := range named {
		slices.Sort(row[1:])
	}
	if difference := cmp.Diff(named, exposed); difference != "" {
		t.Errorf("-docs/metrics.md +what is exposed: %s", difference)
	}
}
