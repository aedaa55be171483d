package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/bcrypt"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// peopleNamespace is that of people's sessions, and the name of their issuer. It differs from the names on the pages, so that
	// a reader can follow each page in this cluster.
	peopleNamespace = "local"
	// clusterAudience is the audience of the issuer's tokens that the API server accepts.
	clusterAudience = "https://kubernetes.example.com"
	userName        = "demo"
)

// signIn is what a person needs to sign in with a browser: the URLs of the console, at its port, and of an issuer of the token service, and a
// user with a password.
type signIn struct {
	console, issuer, service string
	port                     int
	user, password           string
}

// trustFile is the file by which the API server trusts the issuer of people. The API server reads it again when it changes.
func trustFile(at place) string { return filepath.Join(at.dir, "authentication.json") }

// prepareTrust writes the file for the start of the API server. A cluster that continues has one already.
func prepareTrust(at place) error {
	if _, err := os.Stat(trustFile(at)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(at.dir, 0o700); err != nil {
		return err
	}
	return trust(at)
}

func trust(at place, issuers ...cluster.Trusted) error {
	content, err := cluster.AuthenticationConfiguration(issuers...)
	if err != nil {
		return err
	}
	return os.WriteFile(trustFile(at), content, 0o600)
}

// peopleManifest is an issuer at which people sign in, as docs/console-sign-in.md describes it, and the rights of its only user.
const peopleManifest = `apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s, namespace: refreshkeys-system}
stringData: {htpasswd: %[5]q}
---
apiVersion: jwt.refreshkeys.dev/v1alpha1
kind: JWTIssuer
metadata: {name: %[1]s}
spec:
  url: %[2]s
  policy:
    rules:
    - namespaces: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
      audiences: ["%[3]s"]
  login:
    sessionNamespace: %[1]s
    passwords: {secretRef: {name: %[1]s}}
    clients:
    - {id: refreshkeys-console, name: Refresh Keys, redirectURIs: ["%[4]sauth/callback"], audiences: ["%[3]s"], scopes: [openid], consent: Never}
    - {id: kubectl-refreshkey, name: kubectl, redirectURIs: ["http://127.0.0.1/callback"], audiences: ["%[3]s"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s-%[6]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "%[1]s:%[6]s"}
`

// people lets a user sign in with a browser: at the issuer of people, which the API server trusts, and at a console that is its client.
func people(ctx context.Context, at place, c *cluster.Cluster) (*signIn, error) {
	service, err := c.TokenServerURL(1)
	if err != nil {
		return nil, err
	}
	port, err := c.Port("console-server")
	if err != nil {
		return nil, err
	}
	s := &signIn{
		console: fmt.Sprintf("https://localhost:%d/", port), port: port, issuer: service + "/" + peopleNamespace, service: service, user: userName,
	}
	if s.password, err = password(at); err != nil {
		return nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(s.password), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	manifest := filepath.Join(at.dir, "people.yaml")
	content := fmt.Appendf(nil, peopleManifest, peopleNamespace, s.issuer, clusterAudience, s.console, s.user+":"+string(hash)+"\n", s.user)
	if err := os.WriteFile(manifest, content, 0o600); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "--force-conflicts", "-f", manifest}, {"wait", "--for=condition=Ready", "--timeout=60s", "jwtissuer/" + peopleNamespace},
	} {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return nil, err
		}
	}
	authority, err := cluster.TokenServiceCA(ctx, c)
	if err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	if err := s.admit(ctx, c, bundle, func() error {
		return trust(at, cluster.Trusted{
			URL: s.issuer, Audience: clusterAudience, Authority: string(bundle), Prefix: peopleNamespace + ":", SessionNamespace: peopleNamespace,
		})
	}); err != nil {
		return nil, err
	}
	return s, runConsole(ctx, at, c, s, authority)
}

// password returns the password of the user, which make up makes once for a cluster.
func password(at place) (string, error) {
	file := filepath.Join(at.dir, "people-password")
	kept, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		kept = []byte(rand.Text())
		err = os.WriteFile(file, kept, 0o600)
	}
	return string(kept), err
}

// runConsole runs the console as a cluster does, but on this machine.
func runConsole(ctx context.Context, at place, c *cluster.Cluster, s *signIn, authority string) error {
	binary := filepath.Join(at.root, "bin", "console")
	if err := cluster.Build(ctx, at.root, "./cmd/console", binary); err != nil {
		return err
	}
	tls, err := c.ServingSecret("console", "localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	config := filepath.Join(at.dir, "oidc.yaml")
	lines := fmt.Sprintf("issuerURL: %s\nclientID: refreshkeys-console\ncaFile: %s\nforward: AccessToken\ntokenService: {audience: %q}\n", s.issuer, authority, clusterAudience)
	if err := os.WriteFile(config, []byte(lines), 0o600); err != nil {
		return err
	}
	health, err := c.Port("console-server-health")
	if err != nil {
		return err
	}
	_, err = c.Run(ctx, cluster.Program{
		Name: "console-server", Binary: binary, Health: fmt.Sprintf("http://127.0.0.1:%d/readyz", health),
		Args: []string{
			"--kubeconfig=" + c.Kubeconfig(), fmt.Sprintf("--listen=127.0.0.1:%d", s.port), fmt.Sprintf("--health=127.0.0.1:%d", health),
			"--tls-secret=" + tls, "--oidc-config=" + config, "--token-service=" + s.service, "--token-service-ca-file=" + authority,
		},
	})
	return err
}
