package guide

// Play names the test that runs the commands of a page, except for those that the page itself assigns to another test
// or to none.
type Play struct {
	// Package is the folder of the test.
	Package, Test string
}

// Plays are the pages with commands, by their path from the root of the repository. Pages whose commands
// all have marks are not among them.
var Plays = map[string]Play{
	"README.md":                              {"test/pages", "TestPages"},
	"docs/bound-tokens.md":                   {"test/service", "TestTheGuideToBoundTokens"},
	"docs/hardening.md":                      {"test/tenancy", "TestTheCommandsOfTheHardeningPage"},
	"docs/how-to/ci.md":                      {"test/pages", "TestJobsOfTheCIPage"},
	"docs/how-to/command-line-tool.md":       {"test/pages", "TestGuidesOfSignIn"},
	"docs/how-to/device-with-a-screen.md":    {"test/pages", "TestGuidesOfSignIn"},
	"docs/how-to/device.md":                  {"test/pages", "TestPages"},
	"docs/how-to/kubectl-login.md":           {"test/pages", "TestGuidesOfSignIn"},
	"docs/how-to/leak.md":                    {"test/pages", "TestPages"},
	"docs/how-to/mount.md":                   {"test/pages", "TestPages"},
	"docs/how-to/partner.md":                 {"test/pages", "TestPages"},
	"docs/how-to/rotate-signing-key.md":      {"test/pages", "TestPages"},
	"docs/how-to/single-page-application.md": {"test/pages", "TestGuidesOfSignIn"},
	"docs/how-to/web-application.md":         {"test/pages", "TestGuidesOfSignIn"},
	"docs/install.md":                        {"test/chart", "TestTheCommandsOfTheInstallPage"},
	"docs/login.md":                          {"test/service", "TestTheGuideToLogin"},
	"docs/operations.md":                     {"test/pages", "TestPages"},
	"docs/plugin.md":                         {"test/plugin", "TestThePage"},
	"docs/sessions.md":                       {"test/pages", "TestPages"},
	"docs/start.md":                          {"test/pages", "TestPages"},
	"docs/troubleshooting.md":                {"test/pages", "TestPages"},
	"docs/workload-login.md":                 {"test/pages", "TestPages"},
}
