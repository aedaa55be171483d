package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// ErrNotBuilt is returned if the control plane's binaries do not exist yet. Tests
// skip on it.
var ErrNotBuilt = errors.New("the control plane is not built: run hack/controlplane/build.sh (about 9 minutes, once)")

const module = "github.com/refreshkeys/refreshkeys"

// RepositoryRoot finds the root of this repository from the working directory
// upwards.
func RepositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		// Compare the module: hack/controlplane has a go.mod of its own.
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && declaresModule(string(content)) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a checkout of %s: run this from the repository", start, module)
		}
	}
}

func declaresModule(goMod string) bool {
	for line := range strings.Lines(goMod) {
		if strings.TrimSpace(line) == "module "+module {
			return true
		}
	}
	return false
}

// FindAssets returns the folder of the control plane's binaries:
// $KUBEBUILDER_ASSETS, else the newest version under bin/k8s of the repository.
// The error is ErrNotBuilt if there is none.
func FindAssets() (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return filepath.Abs(assets)
	}
	root, err := RepositoryRoot()
	if err != nil {
		return "", err
	}
	built, err := filepath.Glob(filepath.Join(root, "bin", "k8s", "*"))
	if err != nil {
		return "", err
	}
	var newest string
	var newestVersion *version.Version
	for _, dir := range built {
		v, err := version.ParseGeneric(filepath.Base(dir))
		if err != nil {
			continue
		}
		if newestVersion == nil || newestVersion.LessThan(v) {
			newest, newestVersion = dir, v
		}
	}
	if newest == "" {
		return "", ErrNotBuilt
	}
	return newest, nil
}

// assets returns the folder of the binaries, after it has checked that all required ones exist.
func (o Options) assets() (string, error) {
	dir := o.Assets
	if dir == "" {
		var err error
		if dir, err = FindAssets(); err != nil {
			return "", err
		}
	}
	needed := []string{etcdName, apiServerName, kubectlName}
	if o.ControllerManager {
		needed = append(needed, controllerManagerName)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, checkAssets(dir, needed...)
}

// checkAssets returns an error that names a missing binary.
func checkAssets(dir string, names ...string) error {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			continue
		}
		if os.Getenv("KUBEBUILDER_ASSETS") != "" {
			return fmt.Errorf("%s holds no %s: complete that folder, or unset KUBEBUILDER_ASSETS and run hack/controlplane/build.sh", dir, name)
		}
		return fmt.Errorf("%w; %s holds no %s", ErrNotBuilt, dir, name)
	}
	return nil
}
