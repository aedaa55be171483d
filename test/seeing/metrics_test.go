package seeing

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
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/test/apiserver"
)

// exposed is a metric as it is found, or as it is documented.
type exposed struct {
	Type   string
	Labels []string
	By     []string
}

var inCode = regexp.MustCompile("`([^`]+)`")

func coded(cell string) (words []string) {
	for _, found := range inCode.FindAllStringSubmatch(cell, -1) {
		words = append(words, found[1])
	}
	slices.Sort(words)
	return words
}

func documentedMetrics(t *testing.T) map[string]exposed {
	t.Helper()
	all := map[string]exposed{}
	for _, cells := range rows(t, "Metrics") {
		all[coded(cells[0])[0]] = exposed{Type: cells[1], Labels: coded(cells[2]), By: strings.Split(cells[3], ", ")}
	}
	return all
}

// scrapes are what the two commands expose at this moment: the text, and what it says.
func (s *site) scrapes(reader string) (text map[string]string, families map[string]map[string]*dto.MetricFamily) {
	s.t.Helper()
	text, families = map[string]string{}, map[string]map[string]*dto.MetricFamily{}
	metrics, err := suite.Port("manager-metrics")
	s.Expect(err).NotTo(gomega.HaveOccurred())
	health, err := suite.Port("tokenserver-1-health")
	s.Expect(err).NotTo(gomega.HaveOccurred())
	for who, at := range map[string]string{
		"manager": fmt.Sprintf("https://127.0.0.1:%d/metrics", metrics), "token service": fmt.Sprintf("http://127.0.0.1:%d/metrics", health),
	} {
		status, body := s.collect(at, reader)
		s.Expect(status).To(gomega.Equal(http.StatusOK), "%s: %s", who, body)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		text[who] = body
		families[who], err = parser.TextToMetricFamilies(strings.NewReader(body))
		s.Expect(err).NotTo(gomega.HaveOccurred())
	}
	return text, families
}

// collect reads metrics as Prometheus does: it does not know the manager's certificate.
func (s *site) collect(at, bearer string) (status int, body string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, at, http.NoBody)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	anybody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := anybody.Do(request)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return read(s.WithT, response)
}

// found are the metrics of ours, and those that the page names of others.
func found(families map[string]map[string]*dto.MetricFamily, named map[string]exposed) map[string]exposed {
	all := map[string]exposed{}
	for who, byName := range families {
		for name, family := range byName {
			if _, documented := named[name]; !documented && !strings.HasPrefix(name, "refreshkeys_") {
				continue
			}
			// What another library registers in every process is told of where it means something.
			if documented := named[name]; !strings.HasPrefix(name, "refreshkeys_") && !slices.Contains(documented.By, who) {
				continue
			}
			labels := map[string]bool{}
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					labels[label.GetName()] = true
				}
			}
			by := slices.Sorted(slices.Values(append([]string{who}, all[name].By...)))
			all[name] = exposed{Type: strings.ToLower(family.GetType().String()), Labels: slices.Sorted(maps.Keys(labels)), By: by}
		}
	}
	return all
}

// TestMetricsAreThoseOfThePage: every metric of ours is documented, with its type, its labels and who
// exposes it; and what is documented is exposed.
func TestMetricsAreThoseOfThePage(t *testing.T) {
	s := newSite(t)
	s.furnish()
	reader := s.reader()
	key, first := s.key("metered-orders")
	s.Expect(s.edit(key, func() { key.Annotations = map[string]string{v1alpha1.AnnotationRotate: "once"} })).To(gomega.Succeed())
	second := s.reaches(key, 2)
	s.refresh(first)
	s.refresh(second)
	status, _ := s.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first + "x"}})
	s.Expect(status).To(gomega.Equal(http.StatusBadRequest))
	session := s.signIn()
	s.granted("/revoke", url.Values{"token": {session}})

	named := documentedMetrics(t)
	var text map[string]string
	s.Eventually(func() string {
		var families map[string]map[string]*dto.MetricFamily
		text, families = s.scrapes(reader)
		return cmp.Diff(named, found(families, named))
	}, patience, time.Second).Should(gomega.BeEmpty(), "-docs/metrics.md +what is exposed")

	s.Expect(s.admin.Get(s.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	for _, secret := range []string{key.Status.JTI, key.Status.Previous[0].JTI, session, "system:serviceaccount:" + namespace} {
		s.Expect(text["manager"]+text["token service"]).NotTo(gomega.ContainSubstring(secret), "what never ends becomes a label")
	}
	s.Expect(text["manager"]).To(gomega.ContainSubstring("metered-orders"))
	s.Expect(text["token service"]).NotTo(gomega.Or(gomega.ContainSubstring("metered-orders"), gomega.ContainSubstring(`"`+namespace+`"`)),
		"the token server tells of single keys")
}

// TestMetricsOfTheManagerAreForReaders: nobody else, as the ServiceMonitor takes for granted.
func TestMetricsOfTheManagerAreForReaders(t *testing.T) {
	s := newSite(t)
	s.furnish()
	port, err := suite.Port("manager-metrics")
	s.Expect(err).NotTo(gomega.HaveOccurred())
	at := fmt.Sprintf("https://127.0.0.1:%d/metrics", port)
	for bearer, want := range map[string]int{
		"": http.StatusUnauthorized, s.accountToken(): http.StatusForbidden, s.reader(): http.StatusOK,
	} {
		status, _ := s.collect(at, bearer)
		s.Expect(status).To(gomega.Equal(want))
	}
}

// reader is the token that the ServiceMonitor shows: of an account that may read metrics and nothing else.
func (s *site) reader() string {
	s.t.Helper()
	root, err := cluster.RepositoryRoot()
	s.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = suite.Kubectl(s.ctx, "apply", "--server-side", "-f", filepath.Join(root, "config", "prometheus", "reader.yaml"))
	s.Expect(err).NotTo(gomega.HaveOccurred())
	var secret corev1.Secret
	s.Eventually(func() (string, error) {
		err := s.admin.Get(s.ctx, client.ObjectKey{Namespace: operators, Name: "refreshkeys-metrics-reader"}, &secret)
		return string(secret.Data[corev1.ServiceAccountTokenKey]), err
	}, patience, pollEvery).ShouldNot(gomega.BeEmpty())
	return string(secret.Data[corev1.ServiceAccountTokenKey])
}

// signIn has the ServiceAccount sign in, and returns the session's refresh token.
func (s *site) signIn() string {
	s.t.Helper()
	body := s.granted("/token", url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token": {s.accountToken(s.url)}, "audience": {audience},
	})
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	s.Expect(json.Unmarshal([]byte(body), &answer)).To(gomega.Succeed())
	return answer.RefreshToken
}

// edit changes an object as a user does: again from the newest state when somebody was quicker.
func (s *site) edit(object client.Object, change func()) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error { return apiserver.Edit(s.ctx, s.admin, object, change) })
}

// askWithoutRight asks about a refresh token as a ServiceAccount that may not.
func (s *site) askWithoutRight(held string) (body string) {
	s.t.Helper()
	form := url.Values{"token": {held}, "token_type_hint": {"refresh_token"}}
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.url+"/introspect", strings.NewReader(form.Encode()))
	s.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Bearer "+s.accountToken(s.url))
	response, err := s.users.Do(request)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	status, body := read(s.WithT, response)
	s.Expect(status).To(gomega.Equal(http.StatusOK))
	return body
}

// TestAuditLogIsThatOfThePage: the lines that the real command writes have the members that are documented,
// of the types that are documented, and no others.
func TestAuditLogIsThatOfThePage(t *testing.T) {
	s := newSite(t)
	s.furnish()
	_, held := s.key("audited-orders")
	s.refresh(held)
	session := s.signIn()
	s.Expect(s.askWithoutRight(session)).To(gomega.Equal(`{"active":false}`))
	s.granted("/revoke", url.Values{"token": {session}})

	written, err := os.ReadFile(suite.audit)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	types, events := map[string]string{}, map[string]bool{}
	for line := range strings.Lines(string(written)) {
		var record map[string]any
		s.Expect(json.Unmarshal([]byte(line), &record)).To(gomega.Succeed())
		events[record["event"].(string)] = true
		for member, value := range record {
			switch value.(type) {
			case string:
				types[member] = "string"
			case float64:
				types[member] = "number"
			default:
				types[member] = fmt.Sprintf("%T", value)
			}
		}
	}
	want := map[string]string{}
	for _, cells := range rows(t, "Audit log") {
		want[coded(cells[0])[0]] = cells[1]
	}
	s.Expect(cmp.Diff(want, types)).To(gomega.BeEmpty(), "-docs/metrics.md +what is written")
	s.Expect(slices.Sorted(maps.Keys(events))).To(gomega.Equal([]string{"exchange", "introspection", "login", "revocation"}))
	for _, event := range slices.Sorted(maps.Keys(events)) {
		s.Expect(chapter(t, "Audit log")).To(gomega.ContainSubstring("`" + event + "`"))
	}
}
