package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// TestTheCommandsOfTheInstallPage runs what docs/install.md says, from its top to its end, as it is.
func TestTheCommandsOfTheInstallPage(t *testing.T) {
	l := newLife(t)
	l.namespaceIsGone()
	page, err := guide.Read(filepath.Join(suite.root, "docs/install.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := guide.Lines(page.Own())
	if len(commands) < 13 {
		t.Fatalf("only %d commands were found", len(commands))
	}
	tools := toolsFolder(t)
	shell := guide.Shell{Dir: suite.root, Env: append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "KUBECONFIG="+suite.Kubeconfig(), "HOME="+tools)}
	removes := false
	for _, command := range commands {
		if strings.HasPrefix(command, "kubectl apply") {
			// Where Helm has not installed it.
			cleanUp(t)
			l.namespaceIsGone()
		}
		takesOver := strings.Contains(command, "--take-ownership")
		if takesOver {
			l.podsAreAdmitted()
		}
		pods := l.podNames()
		removes = removes || strings.Contains(command, "uninstall.keepTokens=false")
		failed := make(chan error, 1)
		go func() {
			_, err := shell.Run(t.Context(), command)
			failed <- err
		}()
		if strings.HasPrefix(command, "helm uninstall") && removes {
			l.playJob()
		}
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		if after := l.podNames(); takesOver && !slices.Equal(pods, after) {
			t.Errorf("what Helm took over was restarted: %v, then %v", pods, after)
		}
		if strings.HasPrefix(command, "helm uninstall") {
			l.kindsAreThere(!removes)
		}
	}
	if !removes {
		t.Error("no command removes tokens")
	}
}

func (l *life) namespaceIsGone() {
	l.T.Helper()
	l.AwaitState("the namespace is gone", func() (bool, string) {
		err := l.Reload(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
}

// toolsFolder holds helm and kubectl under the names that a page calls them by.
func toolsFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, tool := range map[string]string{"helm": suite.helm, "kubectl": suite.KubectlPath()} {
		if err := os.Symlink(tool, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestAnotherNamespace checks that all references to the operator's ServiceAccounts use their namespace.
func TestAnotherNamespace(t *testing.T) {
	values := "{issuerUse: {enabled: true}, uninstall: {keepTokens: false, removeCRDs: true}, namespaces: [shop]}"
	said, err := helm(t.Context(), "template", release, "charts/refreshkeys", "--namespace", "tokens", "--values", valuesFile(t, values))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(said, namespace) || strings.Count(said, "system:serviceaccount:tokens:refreshkeys-") < 2 {
		t.Errorf("a release in the namespace `tokens` names %s", namespace)
	}
}
