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
var ErrNotBuilt = errors.New("there is no control plane: run hack/controlplane/build.sh, which downloads it, or builds it (about 9 minutes, once)")

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

// FindAssets returns the folder of the control plane's binaries: $KUBEBUILDER_ASSETS, or else what hack/controlplane/build.sh has
// chosen and recorded, or else the newest version under bin/k8s of the repository. The error is ErrNotBuilt if there is none.
func FindAssets() (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return filepath.Abs(assets)
	}
	built, err := builtFolder()
	if err != nil {
		return "", err
	}
	if dir := filepath.Join(built, chosenVersion(built)); dir != built && holds(dir, apiServerName) {
		return dir, nil
	}
	if dir := newestWith(built, apiServerName); dir != "" {
		return dir, nil
	}
	return "", ErrNotBuilt
}

// builtFolder returns the folder in which build.sh has a folder for each version.
func builtFolder() (string, error) {
	root, err := RepositoryRoot()
	return filepath.Join(root, "bin", "k8s"), err
}

// chosenVersion returns the version that build.sh has recorded, the first word of the file `chosen`, or "" if there is none.
func chosenVersion(built string) string {
	record, err := os.ReadFile(filepath.Join(built, "chosen"))
	if fields := strings.Fields(string(record)); err == nil && len(fields) > 0 {
		return fields[0]
	}
	return ""
}

// newestWith returns the folder of the newest version that holds a program, or "" if there is none.
func newestWith(built, program string) (newest string) {
	entries, err := os.ReadDir(built)
	if err != nil {
		return ""
	}
	var newestVersion *version.Version
	for _, entry := range entries {
		dir := filepath.Join(built, entry.Name())
		v, err := version.ParseGeneric(entry.Name())
		if err != nil || !holds(dir, program) {
			continue
		}
		if newestVersion == nil || newestVersion.LessThan(v) {
			newest, newestVersion = dir, v
		}
	}
	return newest
}

func holds(dir, program string) bool {
	_, err := os.Stat(filepath.Join(dir, program))
	return err == nil
}

// Binary returns the path of a program of the control plane or of a node. Binaries that were downloaded are only those of an API
// server; build.sh builds the others alone, into the folder of the version that it pins.
func Binary(assets, program string) string {
	if !holds(assets, program) {
		if built, err := builtFolder(); err == nil {
			if dir := newestWith(built, program); dir != "" {
				return filepath.Join(dir, program)
			}
		}
	}
	return filepath.Join(assets, program)
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
		if _, err := os.Stat(Binary(dir, name)); err == nil {
			continue
		}
		if os.Getenv("KUBEBUILDER_ASSETS") != "" {
			return fmt.Errorf("%s holds no %s: run make controlplane, complete that folder, or unset KUBEBUILDER_ASSETS", dir, name)
		}
		return fmt.Errorf("%w; %s holds no %s", ErrNotBuilt, dir, name)
	}
	return nil
}
