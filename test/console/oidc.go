package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/bcrypt"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// peopleNamespace is that of people's sessions, and the name of their issuer.
	peopleNamespace = "people"
	// clusterAudience is the audience of the issuer's tokens that the API server accepts.
	clusterAudience = "https://kubernetes.example.com"
	clientID        = "console"
	// ownConsole is the console at which people sign in at the login page of the issuer itself.
	ownConsole = "own"
	// idTokenLifetime is short, so that a test sees how an id_token is followed by the next one.
	idTokenLifetime = "20s"
)

// users are those of the provider: each is used by one test. The last one may use no client.
var users = []string{"forwarded", "renewed", "exchanged", "impersonated", "traveller", "owner", "reader", "visitor", "looks", "denied"}

// signIns returns the consoles at which people sign in by OpenID Connect: by name, the lines of --oidc-config after those of the client.
func signIns(c *cluster.Cluster, w *world, tokenServiceCA string) map[string]string {
	trusting, renewed := "caFile: "+c.Authority()+"\n", "scopes: [openid, profile, offline_access]\n"
	return map[string]string{
		"forward":     trusting + renewed,
		"impersonate": trusting + renewed + "forward: Impersonation\ngroupsClaim: groups\n",
		"exchange": trusting + fmt.Sprintf("forward: Exchange\ntokenService: {issuerURL: %s, audience: %s, caFile: %s}\n",
			w.OIDC.Issuer, w.OIDC.Audience, tokenServiceCA),
		ownConsole: fmt.Sprintf("caFile: %s\nforward: AccessToken\ntokenService: {audience: %s}\n", tokenServiceCA, w.OIDC.Audience),
		// It does not know the private authority of the provider.
		"untrusting": "",
	}
}

// oidc is what the tests know of the sign-in by OpenID Connect.
type oidc struct {
	// Provider is the URL of the provider, and Password that of all its users.
	Provider string `json:"provider"`
	Password string `json:"password"`
	ClientID string `json:"clientID"`
	// Issuer is the URL of the issuer of people's sessions, in Namespace, and Audience that of its tokens for the API server.
	Issuer    string `json:"issuer"`
	Namespace string `json:"namespace"`
	Audience  string `json:"audience"`
}

// trustFile is the file that lets the API server trust issuers. It is read at its start, and again when it changes: most of its
// content is known only after the start.
func trustFile(dir string) string { return filepath.Join(dir, "authentication.json") }

func trust(dir string, issuers ...cluster.Trusted) error {
	content, err := cluster.AuthenticationConfiguration(issuers...)
	if err != nil {
		return err
	}
	return os.WriteFile(trustFile(dir), content, 0o600)
}

// provide runs the provider and the consoles at which people sign in there, and lets the API server trust the provider and the issuer of
// people's sessions.
func provide(ctx context.Context, c *cluster.Cluster, w *world, binaries binaries, flags []string, tokenServiceCA string) error {
	port, err := c.Port("provider")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(c.Authority())
	if err != nil {
		return err
	}
	w.OIDC = oidc{
		Provider: fmt.Sprintf("https://127.0.0.1:%d", port), Password: rand.Text(), ClientID: clientID,
		Issuer: w.TokenServers[0] + "/" + peopleNamespace, Namespace: peopleNamespace, Audience: clusterAudience,
	}
	consoles := signIns(c, w, tokenServiceCA)
	secret, err := runProvider(ctx, c, w, binaries.provider, port, slices.Sorted(maps.Keys(consoles)))
	if err != nil {
		return err
	}
	if err := createPeople(ctx, c, w, string(authority)); err != nil {
		return err
	}
	ofTokenService, err := os.ReadFile(tokenServiceCA)
	if err != nil {
		return err
	}
	if err := trust(c.Dir(),
		cluster.Trusted{URL: w.OIDC.Provider, Audience: clientID, Authority: string(authority), Prefix: "oidc:", Groups: true},
		cluster.Trusted{URL: w.OIDC.Issuer, Audience: clusterAudience, Authority: string(ofTokenService), Prefix: "people:", SessionNamespace: peopleNamespace},
	); err != nil {
		return err
	}
	return runSignIns(ctx, c, w, binaries.console, flags, secret, consoles)
}

// runProvider runs the provider, and returns the file with the secret of its client.
func runProvider(ctx context.Context, c *cluster.Cluster, w *world, binary string, port int, consoles []string) (secretFile string, err error) {
	certificate, key, err := c.ServingCertificate("provider", "127.0.0.1")
	if err != nil {
		return "", err
	}
	people := map[string]any{}
	for _, name := range users {
		id := "id-" + name
		people[id] = map[string]any{"ID": id, "Username": name, "Password": w.OIDC.Password, "PreferredLanguage": "en"}
	}
	content, err := json.Marshal(people)
	if err != nil {
		return "", err
	}
	secret, file := rand.Text(), filepath.Join(c.Dir(), "users.json")
	secretFile = filepath.Join(c.Dir(), "client-secret")
	for path, content := range map[string][]byte{file: content, secretFile: []byte(secret)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", err
		}
	}
	args := []string{
		"-listen", fmt.Sprintf("127.0.0.1:%d", port), "-certificate", certificate, "-key", key, "-users", file, "-secret", secret,
		"-groups", "auditors", "-lifetime", idTokenLifetime, "-deny", "id-" + users[len(users)-1],
	}
	for _, name := range consoles {
		at, err := c.Port("console-" + name)
		if err != nil {
			return "", err
		}
		args = append(args, "-redirect", fmt.Sprintf("https://localhost:%d/auth/callback", at), "-after-logout", fmt.Sprintf("https://localhost:%d/signin", at))
	}
	_, err = c.Run(ctx, cluster.Program{Name: "provider", Binary: binary, Args: append(args, clientID), Health: w.OIDC.Provider + "/healthz"})
	return secretFile, err
}

// peopleManifest is the issuer of people's sessions, as docs/console-sign-in.md describes it.
const peopleManifest = `apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
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
    oidc:
    - {issuerURL: "%[4]s", audiences: [%[5]s], subjectPrefix: "idp:", caBundle: %[6]q}
    passwords: {secretRef: {name: %[1]s}}
    clients:
    - {id: %[5]s, name: The console, redirectURIs: ["%[7]s"], audiences: ["%[3]s"], scopes: [openid]}
---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s, namespace: refreshkeys-system}
stringData: {htpasswd: %[8]q}
`

// ownUsers are those who sign in at the issuer with a password: each is used by one test, and the last one by the pictures.
var ownUsers = []string{"story", "denier", "plain", "jane"}

func createPeople(ctx context.Context, c *cluster.Cluster, w *world, authority string) error {
	manifest := filepath.Join(c.Dir(), "people.yaml")
	port, err := c.Port("console-" + ownConsole)
	if err != nil {
		return err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(w.OIDC.Password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	lines := ""
	for _, user := range ownUsers {
		lines += user + ":" + string(hash) + "\n"
	}
	content := fmt.Appendf(nil, peopleManifest, peopleNamespace, w.OIDC.Issuer, clusterAudience, w.OIDC.Provider, clientID, authority,
		fmt.Sprintf("https://localhost:%d/auth/callback", port), lines)
	if err := os.WriteFile(manifest, content, 0o600); err != nil {
		return err
	}
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	account, impersonation := filepath.Join(root, "config/console/serviceaccount.yaml"), filepath.Join(root, "config/console-impersonation/role.yaml")
	for _, args := range [][]string{
		{"apply", "--server-side", "-f", manifest, "-f", account, "-f", impersonation},
		{"wait", "--for=condition=Ready", "--timeout=60s", "jwtissuer/" + peopleNamespace},
	} {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// runSignIns runs the consoles at which people sign in.
func runSignIns(ctx context.Context, c *cluster.Cluster, w *world, binary string, flags []string, secretFile string, consoles map[string]string) error {
	account := filepath.Join(c.Dir(), "console.kubeconfig")
	if err := c.ServiceAccountKubeconfig(ctx, "refreshkeys-system", "refreshkeys-console", account); err != nil {
		return err
	}
	for name, lines := range consoles {
		file := filepath.Join(c.Dir(), "oidc-"+name+".yaml")
		content := fmt.Sprintf("issuerURL: %s\nclientID: %s\nclientSecretFile: %s\n", w.OIDC.Provider, clientID, secretFile) + lines
		if name == ownConsole {
			content = fmt.Sprintf("issuerURL: %s\nclientID: %s\n", w.OIDC.Issuer, clientID) + lines
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
		own := append(slices.Clone(flags), "--oidc-config="+file)
		if name == "impersonate" {
			own = append(own, "--impersonate", "--kubeconfig="+account)
		}
		if err := runConsole(ctx, c, w, name, own, binary); err != nil {
			return err
		}
	}
	return nil
}
