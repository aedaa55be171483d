// Package start contains what the commands share before they begin their work.
package start

import (
	"fmt"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refreshkeys/refreshkeys/internal/logline"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

// KubeconfigUsage is the help text of the --kubeconfig flag.
const KubeconfigUsage = "path of the kubeconfig file; when empty: the configuration of a pod in the cluster"

// NamespacesUsage is the help text of the --namespaces flag.
const NamespacesUsage = "the namespaces with refresh keys to serve, separated by commas; each needs only a Role. Default: all namespaces"

// VersionUsage is the help text of the --version flag.
const VersionUsage = "print the version, and exit"

// VersionLine returns what a command prints for --version.
func VersionLine(command string) string {
	return command + " version " + version.Get().String()
}

// CheckNamespaces returns an error for an invalid namespace name. An empty name in a list would mean all
// namespaces.
func CheckNamespaces(names []string) error {
	for _, name := range names {
		if said := content.IsDNS1123Label(name); len(said) > 0 {
			return fmt.Errorf("--namespaces: %q is not a valid namespace name: %s", name, strings.Join(said, "; "))
		}
	}
	return nil
}

// RestConfig returns the client configuration of a kubeconfig file, or of the pod if the path is empty.
func RestConfig(kubeconfig string) (config *rest.Config, err error) {
	if kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	return config, nil
}

// Logger returns a logger of JSON lines to stderr up to a verbosity, and sets it as the logger of the libraries.
// If sampled is set, repeated lines with the same text are dropped.
func Logger(verbosity int8, sampled bool) logr.Logger {
	log := logline.NewLogger(zapcore.Lock(os.Stderr), verbosity, sampled)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	return log
}
