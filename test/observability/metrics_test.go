package observability

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// metric is a metric as a command exposes it, or as the page documents it.
type metric struct {
	Type   string
	Labels []string
	By     []string
}

var inCode = regexp.MustCompile("`([^`]+)`")

// codeWords returns the sorted words in code in a cell.
func codeWords(cell string) (words []string) {
	for _, found := range inCode.FindAllStringSubmatch(cell, -1) {
		words = append(words, found[1])
	}
	slices.Sort(words)
	return words
}

func documentedMetrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	for _, cells := range tableRows(t, "Metrics") {
		all[codeWords(cells[0])[0]] = metric{Type: cells[1], Labels: codeWords(cells[2]), By: strings.Split(cells[3], ", ")}
	}
	return all
}

// scrape returns what the two commands expose: the text, and the metric families in it.
func (h *fixture) scrape(reader string) (text map[string]string, families map[string]map[string]*dto.MetricFamily) {
	h.T.Helper()
	text, families = map[string]string{}, map[string]map[string]*dto.MetricFamily{}
	metrics, err := suite.Port("manager-metrics")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	health, err := suite.Port("tokenserver-1-health")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	for command, at := range map[string]string{
		"manager": fmt.Sprintf("https://127.0.0.1:%d/metrics", metrics), "token service": fmt.Sprintf("http://127.0.0.1:%d/metrics", health),
	} {
		status, body := h.readMetrics(at, reader)
		h.Expect(status).To(gomega.Equal(http.StatusOK), "%s: %s", command, body)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		text[command] = body
		families[command], err = parser.TextToMetricFamilies(strings.NewReader(body))
		h.Expect(err).NotTo(gomega.HaveOccurred())
	}
	return text, families
}

// readMetrics reads metrics as Prometheus does, without a check of the manager's certificate.
func (h *fixture) readMetrics(at, bearer string) (status int, body string) {
	h.T.Helper()
	request, err := http.NewRequestWithContext(h.Ctx, http.MethodGet, at, http.NoBody)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	prometheus := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := prometheus.Do(request)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return readResponse(h.WithT, response)
}

// exposedMetrics returns the operator's own metrics, and those of libraries that the page documents.
func exposedMetrics(families map[string]map[string]*dto.MetricFamily, named map[string]metric) map[string]metric {
	all := map[string]metric{}
	for command, byName := range families {
		for name, family := range byName {
			if _, documented := named[name]; !documented && !strings.HasPrefix(name, "refreshkeys_") {
				continue
			}
			// A library may register a metric in both commands. The page lists it only where it is useful.
			if documented := named[name]; !strings.HasPrefix(name, "refreshkeys_") && !slices.Contains(documented.By, command) {
				continue
			}
			labels := map[string]bool{}
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					labels[label.GetName()] = true
				}
			}
			by := slices.Sorted(slices.Values(append([]string{command}, all[name].By...)))
			all[name] = metric{Type: strings.ToLower(family.GetType().String()), Labels: slices.Sorted(maps.Keys(labels)), By: by}
		}
	}
	return all
}

// TestMetricsAreThoseOfThePage checks that the page documents every metric of the operator with its type,
// its labels and the exposing command, and that every documented metric is exposed.
func TestMetricsAreThoseOfThePage(t *testing.T) {
	h := newFixture(t)
	h.createFixtures()
	reader := h.readerToken()
	key, first := h.createKey("metered-orders")
	h.Edit(key, func() { key.Annotations = map[string]string{v1alpha1.AnnotationRotate: "once"} })
	second := h.awaitRevision(key, 2)
	h.refresh(first)
	h.refresh(second)
	status, _ := h.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first + "x"}})
	h.Expect(status).To(gomega.Equal(http.StatusBadRequest))
	session := h.signIn()
	h.postOK("/revoke", url.Values{"token": {session}})

	named := documentedMetrics(t)
	var text map[string]string
	h.Eventually(func() string {
		var families map[string]map[string]*dto.MetricFamily
		text, families = h.scrape(reader)
		return cmp.Diff(named, exposedMetrics(families, named))
	}, waitTimeout, time.Second).Should(gomega.BeEmpty(), "-docs/metrics.md +what is exposed")

	h.Expect(h.Reload(key)).To(gomega.Succeed())
	for _, secret := range []string{key.Status.JTI, key.Status.Previous[0].JTI, session, "system:serviceaccount:" + namespace} {
		h.Expect(text["manager"]+text["token service"]).NotTo(gomega.ContainSubstring(secret), "a label has unbounded values")
	}
	h.Expect(text["manager"]).To(gomega.ContainSubstring("metered-orders"))
	h.Expect(text["token service"]).NotTo(gomega.Or(gomega.ContainSubstring("metered-orders"), gomega.ContainSubstring(`"`+namespace+`"`)),
		"the token service exposes labels of single keys")
}

// TestMetricsOfTheManagerAreForReaders checks that the manager's metrics need a token with the right to
// read them, as the ServiceMonitor expects.
func TestMetricsOfTheManagerAreForReaders(t *testing.T) {
	h := newFixture(t)
	h.createFixtures()
	port, err := suite.Port("manager-metrics")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	at := fmt.Sprintf("https://127.0.0.1:%d/metrics", port)
	for bearer, want := range map[string]int{
		"": http.StatusUnauthorized, h.AccountToken(namespace, account): http.StatusForbidden, h.readerToken(): http.StatusOK,
	} {
		status, _ := h.readMetrics(at, bearer)
		h.Expect(status).To(gomega.Equal(want))
	}
}

// readerToken returns the token that the ServiceMonitor uses, of an account that may only read metrics.
func (h *fixture) readerToken() string {
	h.T.Helper()
	root, err := cluster.RepositoryRoot()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = suite.Kubectl(h.Ctx, "apply", "--server-side", "-f", filepath.Join(root, "config", "prometheus", "reader.yaml"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	var secret corev1.Secret
	h.Eventually(func() (string, error) {
		err := h.Admin.Get(h.Ctx, client.ObjectKey{Namespace: operatorNamespace, Name: "refreshkeys-metrics-reader"}, &secret)
		return string(secret.Data[corev1.ServiceAccountTokenKey]), err
	}).ShouldNot(gomega.BeEmpty())
	return string(secret.Data[corev1.ServiceAccountTokenKey])
}

// signIn signs in as the ServiceAccount, and returns the session's refresh token.
func (h *fixture) signIn() string {
	h.T.Helper()
	body := h.postOK("/token", url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token": {h.AccountToken(namespace, account, h.url)}, "audience": {harness.Audience},
	})
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	h.Expect(json.Unmarshal([]byte(body), &answer)).To(gomega.Succeed())
	return answer.RefreshToken
}

// signInWithoutAPage sends the form of a login page, which the issuer does not have.
func (h *fixture) signInWithoutAPage() {
	h.T.Helper()
	response, err := h.users.PostForm(h.url+"/authorize/password", url.Values{"username": {"jane"}})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	status, body := readResponse(h.WithT, response)
	h.Expect(status).To(gomega.Equal(http.StatusNotFound), body)
}

// askWithoutRight introspects a refresh token as a ServiceAccount without that right.
func (h *fixture) askWithoutRight(held string) (body string) {
	h.T.Helper()
	form := url.Values{"token": {held}, "token_type_hint": {"refresh_token"}}
	request, err := http.NewRequestWithContext(h.Ctx, http.MethodPost, h.url+"/introspect", strings.NewReader(form.Encode()))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Bearer "+h.AccountToken(namespace, account, h.url))
	response, err := h.users.Do(request)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	status, body := readResponse(h.WithT, response)
	h.Expect(status).To(gomega.Equal(http.StatusOK))
	return body
}

// endOthers begins another session, and then lists the sessions of the subject and ends the other ones by the given session.
func (h *fixture) endOthers(session string) {
	h.T.Helper()
	h.signIn()
	body := h.postOK("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {session}, "resource": {h.url}, "scope": {"sessions"}})
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	h.Expect(json.Unmarshal([]byte(body), &answer)).To(gomega.Succeed())
	for _, c := range []struct{ method, path, body string }{{http.MethodGet, "/sessions", ""}, {http.MethodPost, "/sessions/end", `{"others":true}`}} {
		request, err := http.NewRequestWithContext(h.Ctx, c.method, h.url+c.path, strings.NewReader(c.body))
		h.Expect(err).NotTo(gomega.HaveOccurred())
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+answer.AccessToken)
		response, err := h.users.Do(request)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		status, body := readResponse(h.WithT, response)
		h.Expect(status).To(gomega.Equal(http.StatusOK), body)
	}
}

// TestAuditLogIsThatOfThePage checks that the audit log of the real command has exactly the documented
// members, with the documented types.
func TestAuditLogIsThatOfThePage(t *testing.T) {
	h := newFixture(t)
	h.createFixtures()
	_, held := h.createKey("audited-orders")
	h.refresh(held)
	session := h.signIn()
	h.Expect(h.askWithoutRight(session)).To(gomega.Equal(`{"active":false}`))
	h.endOthers(session)
	h.signInWithoutAPage()
	h.postOK("/revoke", url.Values{"token": {session}})

	written, err := os.ReadFile(suite.audit)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	types, events := map[string]string{}, map[string]bool{}
	for line := range strings.Lines(string(written)) {
		var record map[string]any
		h.Expect(json.Unmarshal([]byte(line), &record)).To(gomega.Succeed())
		events[record["event"].(string)] = true
		for member, value := range record {
			switch value.(type) {
			case string:
				types[member] = "string"
			case float64:
				types[member] = "number"
			case []any:
				types[member] = "list"
			default:
				types[member] = fmt.Sprintf("%T", value)
			}
		}
	}
	want := map[string]string{}
	for _, cells := range tableRows(t, "Audit log") {
		want[codeWords(cells[0])[0]] = cells[1]
	}
	h.Expect(cmp.Diff(want, types)).To(gomega.BeEmpty(), "-docs/metrics.md +what is written")
	h.Expect(slices.Sorted(maps.Keys(events))).To(gomega.Equal([]string{"exchange", "introspection", "login", "revocation", "sessions", "sessions-end", "sign-in"}))
	for _, event := range slices.Sorted(maps.Keys(events)) {
		h.Expect(section(t, "Audit log")).To(gomega.ContainSubstring("`" + event + "`"))
	}
}
