package chart

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// TestTheConsoleHasNoRights compares what the console's ServiceAccount may do with what each ServiceAccount may. With impersonation, it
// may be a person in addition, and nothing else.
func TestTheConsoleHasNoRights(t *testing.T) {
	t.Cleanup(func() {
		if _, err := suite.Kubectl(context.Background(), "delete", "--ignore-not-found", "clusterrole,clusterrolebinding", "refreshkeys-console-impersonation"); err != nil {
			t.Error(err)
		}
		cleanUp(t)
	})
	install := func(components string) {
		t.Helper()
		kubectl(t, "apply", "--server-side", "-k", overlay(t, "resources: [ROOT/config/default]\ncomponents: ["+components+"]"))
	}
	may := func(account, in string) []string {
		t.Helper()
		said := kubectl(t, "auth", "can-i", "--list", "--namespace", in, "--as=system:serviceaccount:"+namespace+":"+account)
		lines := strings.Split(strings.TrimSpace(said), "\n")
		for i := range lines {
			lines[i] = strings.Join(strings.Fields(lines[i]), " ")
		}
		slices.Sort(lines)
		return lines
	}
	install("ROOT/config/console")
	for _, in := range []string{namespace, "default"} {
		// There is no such ServiceAccount, so it has the rights that all have.
		if console, each := may("refreshkeys-console", in), may("any", in); !slices.Equal(console, each) || len(each) < 5 {
			t.Errorf("in %s, the console may\n%s\nand each ServiceAccount\n%s", in, strings.Join(console, "\n"), strings.Join(each, "\n"))
		}
	}
	install("ROOT/config/console, ROOT/config/console-impersonation")
	each, more := may("any", namespace), 0
	for _, line := range may("refreshkeys-console", namespace) {
		if slices.Contains(each, line) {
			continue
		}
		more++
		verbs := line[strings.LastIndex(line, "[")+1:]
		for verb := range strings.FieldsSeq(strings.TrimSuffix(verbs, "]")) {
			if !strings.HasPrefix(verb, "impersonate:user-info") && !strings.HasPrefix(verb, "impersonate-on:user-info:") &&
				(!strings.HasPrefix(line, "self") || verb != "create") {
				t.Errorf("with impersonation, the console may %s", line)
			}
		}
	}
	if more != 8 {
		t.Errorf("%d resources are more than those of each ServiceAccount, and the role has 8", more)
	}
}
