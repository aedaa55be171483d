package compat

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// replicas is the number of replicas of the token service. Clients ask each of them.
const replicas = 2

// patience bounds each wait. A manager that has just started waits for the lease of the one before.
const patience = 3 * time.Minute

// installation is a cluster with Refresh Keys, and the keys that live through all steps.
type installation struct {
	*harness.Harness
	cluster *cluster.Cluster
	steps   int
	// scheduled and oneTime were created in the first step. chain is the last token that an exchange of oneTime has returned.
	scheduled, oneTime *v1alpha1.JWTRefreshKey
	chain              *string
}

// newInstallation returns a cluster without an installation.
func newInstallation(t *testing.T, control *cluster.Cluster) *installation {
	t.Helper()
	oneTime := harness.NewKey("default", "one-time", func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	})
	return &installation{
		Harness: harness.On(t, control.Config(), clock.RealClock{}), cluster: control,
		scheduled: harness.NewKey("default", "scheduled"), oneTime: oneTime, chain: new(string),
	}
}

// in returns the installation for a step.
func (s *installation) in(t *testing.T) *installation {
	in := *s
	in.Harness = s.In(t)
	in.SetDefaultEventuallyTimeout(patience)
	return &in
}

// run installs CRDs, and replaces the programs that are not those of a step.
func (s *installation) run(crd, manager, tokenServer release) {
	s.T.Helper()
	s.Expect(cluster.InstallFrom(s.Ctx, s.cluster, crd.root)).To(gomega.Succeed())
	// The programs outlive the step.
	ctx := context.WithoutCancel(s.Ctx)
	_, err := cluster.RunManagerOf(ctx, s.cluster, manager.program("manager"))
	s.Expect(err).NotTo(gomega.HaveOccurred())
	s.Expect(cluster.EnsureIssuer(s.Ctx, s.cluster, cluster.DefaultIssuer)).To(gomega.Succeed())
	_, err = cluster.RunTokenServersOf(ctx, s.cluster, tokenServer.program("tokenserver"), replicas)
	s.Expect(err).NotTo(gomega.HaveOccurred())
}

// works: what was issued in earlier steps and what is issued now is exchanged at every replica, and a revocation holds.
func (s *installation) works() {
	s.T.Helper()
	if s.steps == 0 {
		s.Expect(s.Admin.Create(s.Ctx, s.scheduled)).To(gomega.Succeed())
		s.Expect(s.Admin.Create(s.Ctx, s.oneTime)).To(gomega.Succeed())
		*s.chain = s.AwaitRevision(s.oneTime, 1)
	}
	// A key keeps at most two superseded tokens: a third rotation would wait until one retires.
	if s.steps < 2 {
		s.rotates(int64(s.steps) + 1)
	} else {
		s.exchanges("scheduled", s.AwaitRevision(s.scheduled, 3))
	}
	s.continuesChain()

	name := fmt.Sprintf("step-%d", s.steps)
	key := harness.NewKey("default", name)
	s.Expect(s.Admin.Create(s.Ctx, key)).To(gomega.Succeed())
	held := s.AwaitRevision(key, 1)
	s.exchanges(name, held)
	s.Edit(key, func() { key.Spec.Revoked = true })
	s.AwaitReason(key, v1alpha1.ReasonRevoked)
	for n := 1; n <= replicas; n++ {
		s.AwaitState(fmt.Sprintf("replica %d refuses the revoked token", n), func() (bool, string) {
			answer := s.refresh(n, held)
			return answer.Error == "invalid_grant", answer.String()
		})
	}
}

// rotates: the present token is exchanged, a rotation follows, and then the new token and the superseded one are exchanged.
func (s *installation) rotates(revision int64) {
	s.T.Helper()
	superseded := s.AwaitRevision(s.scheduled, revision)
	s.exchanges("scheduled", superseded)
	s.Annotate(s.scheduled, v1alpha1.AnnotationRotate, fmt.Sprintf("step-%d", s.steps))
	s.exchanges("scheduled, rotated", s.AwaitRevision(s.scheduled, revision+1))
	s.exchanges("scheduled, superseded", superseded)
}

// continuesChain: the token that the last exchange of the one-time key has returned is exchanged for the next one.
func (s *installation) continuesChain() {
	s.T.Helper()
	answer := s.exchange(1, "one-time", *s.chain)
	if answer.RefreshToken == "" {
		s.T.Fatalf("an exchange of the one-time key returns no refresh token: %s", answer)
	}
	*s.chain = answer.RefreshToken
}

// exchanges: a token is exchanged at every replica.
func (s *installation) exchanges(what, token string) {
	s.T.Helper()
	for n := 1; n <= replicas; n++ {
		s.exchange(n, what, token)
	}
}

// exchange returns the answer of a replica, which must be a success. A replica that is behind answers 503; clients try again.
func (s *installation) exchange(n int, what, token string) (answer answer) {
	s.T.Helper()
	s.AwaitState(fmt.Sprintf("replica %d exchanges the token of %s", n, what), func() (bool, string) {
		answer = s.refresh(n, token)
		if answer.Status != http.StatusOK && answer.Status != http.StatusServiceUnavailable && answer.Status != 0 {
			s.T.Fatalf("replica %d answers the token of %s by %s", n, what, answer)
		}
		return answer.Status == http.StatusOK && answer.AccessToken != "", answer.String()
	})
	return answer
}

// answer is an answer of the token endpoint. Status is 0 if there is none.
type answer struct {
	Status       int    `json:"-"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

// String returns an answer without its tokens.
func (a answer) String() string { return fmt.Sprintf("%d %s %s", a.Status, a.Error, a.Description) }

// refresh sends a refresh token to a replica, with the certificate authority that the Secrets contain.
func (s *installation) refresh(n int, token string) (got answer) {
	s.T.Helper()
	secret, err := s.Secret("default", "scheduled")
	s.Expect(err).NotTo(gomega.HaveOccurred())
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(secret.Data["ca.crt"])
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	at, err := s.cluster.TokenServerURL(n)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	issuer, err := s.cluster.TokenServerURL(1)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	request, err := http.NewRequestWithContext(s.Ctx, http.MethodPost, at+"/token", strings.NewReader(form.Encode()))
	s.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// All replicas serve the URL of the issuer, which here is that of the first one.
	request.Host = strings.TrimPrefix(issuer, "https://")
	response, err := client.Do(request)
	if err != nil {
		return answer{Error: "no answer", Description: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	got.Status = response.StatusCode
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		s.T.Fatalf("replica %d answers %d without JSON: %v", n, response.StatusCode, err)
	}
	return got
}
