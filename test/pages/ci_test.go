package pages

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

const (
	github = "https://token.actions.githubusercontent.com"
	gitlab = "https://gitlab.com"
	// requestToken is the bearer token with which a job of GitHub Actions asks for its id_token.
	requestToken = "job-of-the-test"
)

// runners is an OpenID Connect provider that signs id_tokens of jobs by RS256, as GitHub and GitLab do. Like GitHub, it answers a job that
// asks for its id_token with a bearer token.
type runners struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey
	// claims are those of the next id_token, but for iss and the times.
	claims map[string]any
}

func newRunners(t *testing.T) *runners {
	t.Helper()
	const bits = 2048
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	r := &runners{t: t, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		r.reply(w, map[string]any{"issuer": r.URL, "jwks_uri": r.URL + "/jwks", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		r.reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: r.key.Public(), KeyID: "runner", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("/request", func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "bearer "+requestToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.reply(w, map[string]any{"count": 1, "value": r.idToken(q.URL.Query().Get("audience"))})
	})
	r.Server = httptest.NewTLSServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *runners) reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// idToken returns an id_token of the claims for an audience.
func (r *runners) idToken(audience string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: r.key, KeyID: "runner"}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		r.t.Error(err)
		return ""
	}
	now := time.Now()
	standard := jwt.Claims{
		Issuer: r.URL, Audience: jwt.Audience{audience}, ID: rand.Text(), IssuedAt: jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(5 * time.Minute)),
	}
	text, err := jwt.Signed(signer).Claims(standard).Claims(r.claims).Serialize()
	if err != nil {
		r.t.Error(err)
	}
	return text
}

// entry returns the line of issuerURL for this provider, whose certificate authority is private.
func (r *runners) entry() string {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	return "issuerURL: " + r.URL + "\n      caBundle: " + strconv.Quote(string(authority))
}

// claimsOfGitHub returns the claims that GitHub documents for a job of a branch of octo-org/orders.
func claimsOfGitHub(branch string) map[string]any {
	ref := "refs/heads/" + branch
	return map[string]any{
		"sub": "repo:octo-org/orders:ref:" + ref, "ref": ref, "sha": "example-sha", "repository": "octo-org/orders", "repository_owner": "octo-org",
		"actor_id": "12", "repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65", "run_id": "42", "run_number": "10",
		"run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat", "workflow": "deploy", "head_ref": "", "base_ref": "",
		"event_name": "push", "ref_type": "branch", "job_workflow_ref": "octo-org/orders/.github/workflows/deploy.yml@" + ref,
	}
}

// claimsOfGitLab returns the claims that GitLab documents for a job of a branch of my-group/orders.
func claimsOfGitLab(branch string) map[string]any {
	return map[string]any{
		"sub": "project_path:my-group/orders:ref_type:branch:ref:" + branch, "namespace_id": "72", "namespace_path": "my-group", "project_id": "20",
		"project_path": "my-group/orders", "user_id": "1", "user_login": "sample-user", "user_email": "sample-user@example.com", "user_access_level": "developer",
		"pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": branch, "ref_type": "branch", "ref_path": "refs/heads/" + branch,
		"ref_protected": "true", "runner_id": 1, "runner_environment": "self-hosted", "sha": "example-sha", "project_visibility": "private",
		"ci_config_ref_uri": "gitlab.example.com/my-group/orders//.gitlab-ci.yml@refs/heads/" + branch,
	}
}

// TestJobsOfTheCIPage plays docs/how-to/ci.md, with local providers in place of GitHub and GitLab, and then runs the steps of the workflow
// of the page and of its GitLab job: those of the declared branch get tokens, renew them and sign out. Those of another branch get none.
func TestJobsOfTheCIPage(t *testing.T) {
	h := newFixture(t)
	actions, gitlabCI := newRunners(t), newRunners(t)
	service, err := suite.TokenServerURL(1)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	t.Cleanup(func() { h.RemoveIssuer("ci") })
	page, shell := h.pageOf("docs/how-to/ci.md"), h.shell("")
	shell.Typed = strings.NewReplacer("issuerURL: "+github, actions.entry(), "issuerURL: "+gitlab, gitlabCI.entry(), "https://tokens.example.com/ci", service+"/ci")
	h.Expect(page.Unnamed()).To(gomega.BeEmpty(), "a reader does not have these files")
	h.Expect(shell.Files(page, "")).To(gomega.Succeed())
	_, err = shell.Play(h.Ctx, page, page.Own())
	h.Expect(err).NotTo(gomega.HaveOccurred())

	audience := service + "/ci"
	_, err = shell.Run(h.Ctx, "until curl --silent --fail --output metadata --cacert ca.crt "+audience+"/.well-known/openid-configuration; do sleep 0.1; done")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	shell.Env = append(shell.Env, "ACTIONS_ID_TOKEN_REQUEST_URL="+actions.URL+"/request?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+requestToken,
		"CURL_CA_BUNDLE="+h.written("provider.crt", actions.Certificate().Raw))
	for branch, succeeds := range map[string]bool{"main": true, "feature": false} {
		actions.claims, gitlabCI.claims = claimsOfGitHub(branch), claimsOfGitLab(branch)
		h.job(shell, "GitHub, "+branch, stepsOfWorkflow(t, page.Files["deploy.yml"]), succeeds)
		job := shell
		job.Env = append(job.Env, "ORDERS_ID_TOKEN="+gitlabCI.idToken(audience))
		h.job(job, "GitLab, "+branch, stepsOfGitLab(t, page.Files["gitlab-ci.yml"]), succeeds)
	}
	sessions := h.sh("kubectl get jrk --namespace ci -o custom-columns=SUBJECT:.status.session.subject,REVOKED:.status.revocationReason --no-headers | sort | tr -s ' '")
	h.Expect(sessions).To(gomega.Equal("github:repo:octo-org/orders:ref:refs/heads/main Logout\ngitlab:project_path:my-group/orders:ref_type:branch:ref:main Logout"))
}

// written writes a certificate to a file, and returns its path.
func (h *fixture) written(name string, certificate []byte) string {
	h.T.Helper()
	file := filepath.Join(h.dir, name)
	h.Expect(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600)).To(gomega.Succeed())
	return file
}

// job runs the steps of a job until one fails, and checks whether the job succeeds and which tokens it has while it works.
func (h *fixture) job(shell guide.Shell, name string, steps []string, succeeds bool) {
	h.T.Helper()
	var said string
	var err error
	for _, step := range steps {
		// The steps of a job share a folder, and each has a shell of its own.
		if said, err = shell.Run(h.Ctx, step); err != nil {
			break
		}
	}
	if (err == nil) != succeeds {
		h.T.Errorf("%s: %v", name, err)
	}
	if !succeeds && !strings.Contains(said, "no tokens: invalid_target") {
		h.T.Errorf("%s: the job is not told why: %s", name, guide.Masked(said))
	}
}

// stepsOfWorkflow returns the commands of a workflow of GitHub Actions.
func stepsOfWorkflow(t *testing.T, text string) (commands []string) {
	t.Helper()
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Steps []struct{ Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
		t.Fatal(err)
	}
	if workflow.Permissions["id-token"] != "write" {
		t.Error("the job may not ask for an id_token")
	}
	for _, step := range workflow.Jobs["deploy"].Steps {
		if step.Run != "" {
			commands = append(commands, step.Run)
		}
	}
	return commands
}

// stepsOfGitLab returns the commands of a job of GitLab: GitLab runs those of script in one shell, and those of after_script in another one.
func stepsOfGitLab(t *testing.T, text string) []string {
	t.Helper()
	var file struct {
		Deploy struct {
			Tokens map[string]struct{ Aud string } `json:"id_tokens"`
			Script []string                        `json:"script"`
			After  []string                        `json:"after_script"`
		} `json:"deploy"`
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	if file.Deploy.Tokens["ORDERS_ID_TOKEN"].Aud == "" {
		t.Error("the job asks for no id_token")
	}
	return []string{strings.Join(file.Deploy.Script, "\n"), strings.Join(file.Deploy.After, "\n")}
}
