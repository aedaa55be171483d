package cluster

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

// Join returns the cluster of the current kubeconfig, whose control plane runs elsewhere. Run starts programs for it on this
// machine, and Stop stops only these. A new folder dir holds their files.
func Join(dir string) (*Cluster, error) {
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, ports: map[string]int{}, prober: &http.Client{Timeout: probeTimeout}}
	kubectl, err := exec.LookPath(kubectlName)
	if err == nil {
		c.assets = filepath.Dir(kubectl)
	} else if c.assets, err = FindAssets(); err != nil {
		return nil, err
	}
	// A copy without the other contexts, with the content of the files that it names.
	current, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil {
		return nil, err
	}
	if err := clientcmdapi.MinifyConfig(current); err != nil {
		return nil, err
	}
	if err := clientcmdapi.FlattenConfig(current); err != nil {
		return nil, err
	}
	c.joined = current.Clusters[current.Contexts[current.CurrentContext].Cluster]
	if err := clientcmd.WriteToFile(*current, c.Kubeconfig()); err != nil {
		return nil, err
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig()); err != nil {
		return nil, err
	}
	c.config = unthrottled.Config(c.config)
	return c, nil
}
