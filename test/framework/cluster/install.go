package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	managerName      = "manager"
	managerNamespace = "refreshkeys-system"
	managerAccount   = "refreshkeys-manager"

	establishedWithin = "60s"
	issuerWithin      = "90s"
)

// Install applies the CRDs with their admission policy, and the operator's
// namespace, ServiceAccounts and roles. It may be repeated.
func Install(ctx context.Context, c *Cluster) error {
	root, err := RepositoryRoot()
	if err != nil {
		return err
	}
	return InstallFrom(ctx, c, root)
}

// InstallFrom is Install from the checkout at root, such as that of an earlier release.
func InstallFrom(ctx context.Context, c *Cluster, root string) error {
	for _, part := range []string{"crd", "rbac"} {
		began := time.Now()
		// Force conflicts: manual changes of installed objects are overwritten.
		_, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(root, "config", part))
		if err != nil {
			return fmt.Errorf("install config/%s: %w", part, err)
		}
		c.report("config/%s applied in %.1fs", part, time.Since(began).Seconds())
	}
	_, err := c.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout="+establishedWithin,
		"crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
	return err
}

// BuildManager builds bin/manager from this checkout and returns its path.
func BuildManager(ctx context.Context) (string, error) { return build(ctx, managerName) }

// build builds a command into bin/ and returns its path.
func build(ctx context.Context, command string) (string, error) {
	root, err := RepositoryRoot()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(root, "bin", command)
	return binary, Build(ctx, root, "./cmd/"+command, binary)
}

// Build builds a main package of the checkout at root into a file, as a release is built: without cgo, also in an environment
// that turns it on, so that all suites share the compiled packages.
func Build(ctx context.Context, root, pkg, file string) error {
	// Without VCS information, the binary changes only if the code changes.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", file, pkg)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// RunManager builds the manager and runs it beside the control plane, with the
// rights of its own ServiceAccount only. Call Install first. A manager
// that already runs is replaced only if its code or flags have changed.
func RunManager(ctx context.Context, c *Cluster, flags ...string) (*Process, error) {
	binary, err := BuildManager(ctx)
	if err != nil {
		return nil, err
	}
	return RunManagerOf(ctx, c, binary, flags...)
}

// RunManagerOf is RunManager with a binary that exists, such as that of an earlier release.
func RunManagerOf(ctx context.Context, c *Cluster, binary string, flags ...string) (*Process, error) {
	kubeconfig := filepath.Join(c.Dir(), "manager.kubeconfig")
	if err := c.ServiceAccountKubeconfig(ctx, managerNamespace, managerAccount, kubeconfig); err != nil {
		return nil, err
	}
	metrics, err := c.Port("manager-metrics")
	if err != nil {
		return nil, err
	}
	health, err := c.Port("manager-health")
	if err != nil {
		return nil, err
	}
	args := []string{
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + managerNamespace,
		"--metrics-bind-address=" + loopback(metrics),
		"--health-probe-bind-address=" + loopback(health),
		"--tls-names=" + tokenServerHost,
	}
	return c.Run(ctx, Program{Name: managerName, Binary: binary, Args: append(args, flags...), Health: "http://" + loopback(health) + "/readyz"})
}

// DefaultIssuer is the issuer of refresh keys that name none.
const DefaultIssuer = "default"

// EnsureIssuer creates a JWTIssuer for the token service of this cluster, unless it exists,
// and waits until it is ready.
func EnsureIssuer(ctx context.Context, c *Cluster, name string) error {
	issuer := "jwtissuer/" + name
	found, err := c.Kubectl(ctx, "get", issuer, "--ignore-not-found", "--output=name")
	if err != nil {
		return err
	}
	if len(found) == 0 {
		url, err := c.TokenServerURL(1)
		if err != nil {
			return err
		}
		manifest := filepath.Join(c.Dir(), "issuer.yaml")
		if err := os.WriteFile(manifest, fmt.Appendf(nil, issuerManifest, name, url), 0o600); err != nil {
			return err
		}
		if _, err := c.Kubectl(ctx, "apply", "--server-side", "-f", manifest); err != nil {
			return err
		}
	}
	began := time.Now()
	c.report("waiting for JWTIssuer %s to be ready ...", name)
	if _, err := c.Kubectl(ctx, "wait", "--for=condition=Ready", "--timeout="+issuerWithin, issuer); err != nil {
		return errors.Join(err, whyNotReady(ctx, c, issuer))
	}
	c.report("JWTIssuer %s is ready after %.1fs", name, time.Since(began).Seconds())
	return nil
}

const issuerManifest = `apiVersion: jwt.refreshkeys.dev/v1alpha1
kind: JWTIssuer
metadata:
  name: %s
spec:
  url: %s
`

func whyNotReady(ctx context.Context, c *Cluster, object string) error {
	conditions, err := c.Kubectl(ctx, "get", object,
		`--output=jsonpath={range .status.conditions[*]}{.type}={.status} ({.reason}): {.message}{"\n"}{end}`)
	if err != nil {
		return err
	}
	said := strings.TrimSpace(string(conditions))
	if said == "" {
		said = "it has no conditions: no controller has processed it"
	}
	if manager := c.Process(managerName); manager != nil {
		said += "\nthe manager's log is " + manager.LogPath()
	}
	return fmt.Errorf("%s: %s", object, said)
}
