// Package version says which build this is. All four commands print it with --version, and the servers export it as the metric
// refreshkeys_build_info.
//
// A release sets Version and Revision with the linker:
//
//	go build -ldflags "-X github.com/refreshkeys/refreshkeys/internal/version.Version=v0.2.0 -X github.com/refreshkeys/refreshkeys/internal/version.Revision=$(git rev-parse HEAD)"
//
// Any other build reads them from what Go recorded in the binary.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Version and Revision are set by the linker, at a release. The revision is a commit of git.
var (
	Version  string
	Revision string
)

// unset stands for a version or a revision that the build does not know.
const (
	unset   = "dev"
	unknown = "unknown"
)

// Info describes a build.
type Info struct {
	// Version is a tag such as v0.2.0, or dev.
	Version string `json:"version"`
	// Revision is the commit, with -dirty after it if the sources differed from it; unknown for none.
	Revision string `json:"revision"`
	// GoVersion is the version of Go that built it.
	GoVersion string `json:"goVersion"`
	// Platform is the operating system and the processor.
	Platform string `json:"platform"`
}

// Get returns what is known about this build.
func Get() Info {
	build, _ := debug.ReadBuildInfo()
	return of(Version, Revision, build)
}

// of returns the description of a build. What the linker set precedes what Go recorded, which may be nil.
func of(version, revision string, build *debug.BuildInfo) Info {
	i := Info{GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	recorded, commit := "", ""
	if build != nil {
		if recorded = build.Main.Version; recorded == "(devel)" {
			recorded = ""
		}
		settings := map[string]string{}
		for _, setting := range build.Settings {
			settings[setting.Key] = setting.Value
		}
		if commit = settings["vcs.revision"]; commit != "" && settings["vcs.modified"] == "true" {
			commit += "-dirty"
		}
	}
	i.Version, i.Revision = cmp.Or(version, recorded, unset), cmp.Or(revision, commit, unknown)
	return i
}

// shortRevision is the number of characters of a commit that people read.
const shortRevision = 12

// String returns the build as one line for people, such as v0.2.0 (revision 1f0e3dad9990, go1.26.0, linux/amd64).
func (i Info) String() string {
	commit, dirty := strings.CutSuffix(i.Revision, "-dirty")
	if len(commit) > shortRevision {
		commit = commit[:shortRevision]
	}
	if dirty {
		commit += "-dirty"
	}
	return fmt.Sprintf("%s (revision %s, %s, %s)", i.Version, commit, i.GoVersion, i.Platform)
}

// Collector returns the metric refreshkeys_build_info: always 1, with the build in its labels.
func (i Info) Collector() prometheus.Collector {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "refreshkeys_build_info", Help: "Always 1. The labels say which build runs.",
	}, []string{"version", "revision", "goversion"})
	gauge.WithLabelValues(i.Version, i.Revision, i.GoVersion).Set(1)
	return gauge
}
