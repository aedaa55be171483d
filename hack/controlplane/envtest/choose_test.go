package main

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/tools/setup-envtest/versions"
)

// TestChoose checks which archive of an index is used.
func TestChoose(t *testing.T) {
	tests := map[string]struct {
		index   []string
		version string
		want    string // a part of the error where no archive fits
	}{
		"the version itself, before a newer patch": {index: []string{"1.37.3", "1.37.2", "1.37.0"}, version: "v1.37.2", want: "1.37.2"},
		"the newest patch of the minor version":    {index: []string{"1.38.0", "1.37.0", "1.37.1", "1.36.9"}, version: "v1.37.2", want: "1.37.1"},
		"no other minor version":                   {index: []string{"1.38.0", "1.36.9"}, version: "v1.37.2", want: "has no archive of Kubernetes 1.37"},
		"no other platform":                        {index: []string{"1.37.2-plan9-mips"}, version: "v1.37.2", want: "has no archive of Kubernetes 1.37"},
		"an empty index":                           {version: "v1.37.2", want: "has no archive of Kubernetes 1.37"},
		"an incomplete version":                    {index: []string{"1.37.2"}, version: "v1.37", want: "is no complete version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			item, platform, err := choose(setsOf(t, tt.index), "the index", tt.version)
			got := item.Version.String()
			if err != nil {
				got = err.Error()
			} else if platform.Value != "sum of "+got {
				t.Errorf("the checksum is %q", platform.Value)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s is chosen, want %s", got, tt.want)
			}
		})
	}
}

// setsOf returns an index of versions, for this platform where a version names none.
func setsOf(t *testing.T, names []string) (sets []versions.Set) {
	t.Helper()
	for _, name := range names {
		number, platform, named := strings.Cut(name, "-")
		spec, err := versions.FromExpr(number)
		if err != nil {
			t.Fatal(err)
		}
		item := versions.PlatformItem{Platform: here(), Hash: &versions.Hash{Value: "sum of " + number}}
		if named {
			item.OS, item.Arch, _ = strings.Cut(platform, "-")
		}
		sets = append(sets, versions.Set{Version: *spec.AsConcrete(), Platforms: []versions.PlatformItem{item}})
	}
	return sets
}
