// Package start is what the commands have in common before they begin their work.
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
)

// KubeconfigUsage describes the flag that RestConfig is for.
const KubeconfigUsage = "path of the kubeconfig file; when empty: the configuration of a pod in the cluster"

// NamespacesUsage describes the flag that CheckNamespaces is for.
const NamespacesUsage = "the namespaces whose refresh keys are served, separated by commas; each needs only a Role. Default: all namespaces"

// CheckNamespaces refuses what is no name of a namespace. An empty one among others would stand for
// all of them.
func CheckNamespaces(names []string) error {
	for _, name := range names {
		if said := content.IsDNS1123Label(name); len(said) > 0 {
			return fmt.Errorf("--namespaces: %q is not a valid namespace name: %s", name, strings.Join(said, "; "))
		}
	}
	return nil
}

// RestConfig is how to reach the API server.
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

// Logger writes JSON lines to stderr, up to a verbosity, and is the libraries' logger from
// then on. With sampled set, lines of one text that come too fast are left out.
func Logger(verbosity int8, sampled bool) logr.Logger {
	log := logline.NewLogger(zapcore.Lock(os.Stderr), verbosity, sampled)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	return log
}
