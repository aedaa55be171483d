package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// floor is the least percentage of its statements that a package's own tests run, for the packages in floored. They hold the
// decisions of the token service and of the plugin, which suites with an API server reach slowly.
const floor = 70.0

// floored are the packages that have the floor, below the module.
var floored = []string{
	"internal/binding", "internal/dpop", "internal/grant", "internal/outlook", "internal/plugin/cli", "internal/plugin/commands", "internal/registry", "internal/session",
	"internal/tokenserver",
}

// covered matches the line of `go test -cover` about a package that passes.
var covered = regexp.MustCompile(`(?m)^ok  \t` + regexp.QuoteMeta(module) + `(\S+)\t.*coverage: ([0-9.]+)% of statements`)

// belowFloor returns what a package lacks, from the lines about it, or nothing.
func belowFloor(result string) string {
	for _, match := range covered.FindAllStringSubmatch(result, -1) {
		percent, err := strconv.ParseFloat(match[2], 64)
		if held := " " + strings.Join(floored, " ") + " "; err == nil && percent < floor && strings.Contains(held, " "+match[1]+" ") {
			return fmt.Sprintf("%s: its tests cover %.1f %% of the statements, and must cover %.0f %%\n", match[1], percent, floor)
		}
	}
	return ""
}
