package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// clusterIssuer is the issuer that the API server trusts, and clusterAudience is its audience. The API server
	// reads both at its start, before the token service runs.
	clusterIssuer   = "interop-cluster"
	clusterAudience = "https://kubernetes.example.com"
	// clusterPrefix is the prefix of the issuer's users and groups.
	clusterPrefix = "tokens:"
)

// authenticationConfiguration returns the configuration by which kube-apiserver trusts the issuer, and those of the console and the plugin.
func authenticationConfiguration(authority string) ([]byte, error) {
	issuer := cluster.Trusted{
		URL: fmt.Sprintf("https://%s:%d/%s", host, suite.clusterPort, clusterIssuer), Audience: clusterAudience, Authority: authority,
		Prefix: clusterPrefix, Groups: true,
	}
	return cluster.AuthenticationConfiguration(append(trustForConsole(authority), trustForPlugin(authority), issuer)...)
}

// compactJWT matches a token or a large part of one.
var compactJWT = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)

func withoutTokens(text string) string { return compactJWT.ReplaceAllString(text, "<a token>") }

// kubectl runs kubectl with the API server's address and certificate, and an access token.
func (h *fixture) kubectl(token string, args ...string) (string, error) {
	h.T.Helper()
	assets, err := cluster.FindAssets()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	ctx, cancel := context.WithTimeout(h.Ctx, patience)
	defer cancel()
	scratch := h.T.TempDir()
	authority := filepath.Join(scratch, "ca.crt")
	h.Expect(os.WriteFile(authority, suite.server.Admin.CAData, 0o600)).To(gomega.Succeed())
	address := suite.server.Admin.Host
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	flags := []string{"--kubeconfig=/dev/null", "--cache-dir=" + scratch, "--server=" + address, "--certificate-authority=" + authority, "--token=" + token}
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, filepath.Join(assets, "kubectl"), append(flags, args...)...)
	command.Env = append(os.Environ(), "KUBERC=off")
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(withoutTokens(stderr.String())))
	}
	return stdout.String(), nil
}

// TestKubernetes checks that kube-apiserver, which trusts the issuer, accepts an access token of its audience as
// the token's subject, and refuses other tokens.
func TestKubernetes(t *testing.T) {
	if suite.server.Existing() {
		t.Skip("an existing cluster is not configured to trust the issuer")
	}
	// The API server uses the machine's clock: what the fixture issues an hour ago has expired.
	h := newFixture(t, time.Now().Add(-time.Hour), suite.clusterPort, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Claims: []string{"groups"}}}}
	})
	provider := h.discovery()
	forCluster := func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Audience = clusterAudience
		key.Spec.Claims = map[string]apiextensionsv1.JSON{"groups": {Raw: []byte(`["auditors"]`)}}
	}
	key, other := h.key("ci", forCluster), h.key("orders")
	expired := h.exchange(provider, key)
	h.clock.SetTime(time.Now())
	access := h.exchange(provider, key)
	user := clusterPrefix + "refreshkey:" + h.Name + ":ci"

	whoami := func(token string) string {
		got, err := h.kubectl(token, "auth", "whoami", "--output=jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
		if err != nil {
			return err.Error()
		}
		return got
	}
	// It requests the issuer's metadata every ten seconds until it succeeds.
	h.Eventually(func() string { return whoami(access) }).
		Should(gomega.Equal(fmt.Sprintf(`%s ["%sauditors","system:authenticated"]`, user, clusterPrefix)), "kubectl is refused with an access token")

	t.Run("a ServiceAccount that signed in is no ServiceAccount of the cluster", func(t *testing.T) {
		h := *h
		h.T, h.WithT = t, gomega.NewWithT(t)
		session := h.signedIn(program("till-17", provider), h.projected("till"), oauth.TypeJWT, clusterAudience)
		if got, want := whoami(session.AccessToken), clusterPrefix+"system:serviceaccount:"+h.Name+`:till ["system:authenticated"]`; got != want {
			t.Errorf("it is %s, and should be %s", got, want)
		}
	})

	for _, refused := range []struct{ name, token string }{
		{"a refresh token", h.AwaitRevision(key, 1)},
		{"a token that has ended", expired},
		{"a token of another audience", h.exchange(provider, other)},
		{"a token with another signature", access[:strings.LastIndex(access, ".")] + expired[strings.LastIndex(expired, "."):]},
	} {
		t.Run(refused.name, func(t *testing.T) {
			if got := whoami(refused.token); !strings.Contains(got, "Unauthorized") {
				t.Errorf("it is not refused as unauthorized: %s", got)
			}
		})
	}

	t.Run("RBAC applies to the user and its groups", func(t *testing.T) {
		h := *h
		h.T, h.WithT = t, gomega.NewWithT(t)
		list := []string{"get", "jwtrefreshkeys.jwt.refreshkeys.dev", "--namespace=" + h.Name, "--output=name"}
		_, err := h.kubectl(access, list...)
		h.Expect(err).To(gomega.MatchError(gomega.And(gomega.ContainSubstring("Forbidden"), gomega.ContainSubstring(user))))
		h.Create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "readers"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{v1alpha1.Group}, Resources: []string{"jwtrefreshkeys"}, Verbs: []string{"get", "list"}},
		}})
		h.Create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "auditors"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: clusterPrefix + "auditors"}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "readers"},
		})
		h.Eventually(func() (string, error) { return h.kubectl(access, list...) }).
			Should(gomega.ContainSubstring("/orders"), "a member of the group may not do what the group may")
	})
}
