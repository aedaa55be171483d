package faults

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestCanary checks I6 of docs/architecture.md: tokens and private keys are in Secrets and nowhere else. It runs
// canarySteps with every log message enabled, and then searches the log, the metrics and all objects.
func TestCanary(t *testing.T) {
	c := newCanary(t)
	for _, step := range canarySteps {
		t.Logf("step: %s", step.name)
		step.run(c)
	}
	c.stop()
	c.search()
}

// canary runs a manager that logs everything, with an echoing proxy between it and the API server.
type canary struct {
	*issuerFixture
	proxy   *echoingProxy
	metrics string // the last answer of the metrics endpoint
	address string
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	c := &canary{issuerFixture: &issuerFixture{fixture: newFixture(t, clock), name: harness.UniqueName("canary"), clock: clock}, proxy: &echoingProxy{}}
	c.proxy.addOwner(c.name)
	captureKlog(t, c.log)
	c.CreateNamespace(c.name, nil)
	c.CreateIssuer(c.name, hourlyKeys)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.address = listener.Addr().String()
	c.Expect(listener.Close()).To(gomega.Succeed())
	wire := newWire(c.journal, 1)
	c.issuerFixture.stop = c.startManagerWith(
		ctrl.Options{Logger: c.log.logger(maxVerbosity), Metrics: metricsserver.Options{BindAddress: c.address}},
		func(next http.RoundTripper) http.RoundTripper { return wire.wrap(c.proxy.wrap(next)) },
		func(o *controllers.Options) { o.ReissuePerSecond = 1000 },
	)
	return c
}

// maxVerbosity is above every verbosity in use.
const maxVerbosity = 127

// captureKlog sends klog to the book, too. It sets klog to verbosity 7, the highest that must not log the
// bodies of requests. The manager has no flag for that.
func captureKlog(t *testing.T, book *logbook) {
	t.Helper()
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	set := func(v string) {
		if err := flags.Set("v", v); err != nil {
			t.Fatal(err)
		}
	}
	set("7")
	klog.SetLogger(book.logger(maxVerbosity))
	t.Cleanup(func() {
		set("0")
		klog.ClearLogger()
	})
}

// stop reads the metrics and stops the manager.
func (c *canary) stop() {
	c.T.Helper()
	request, err := http.NewRequestWithContext(c.Ctx, http.MethodGet, "http://"+c.address+"/metrics", http.NoBody)
	c.Expect(err).NotTo(gomega.HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	c.Expect(err).NotTo(gomega.HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.metrics = string(text)
	c.Expect(c.metrics).To(gomega.ContainSubstring("controller_runtime_reconcile_total"))
	c.issuerFixture.stop()
}

// search fails the test for every secret in the log, the metrics or an object.
func (c *canary) search() {
	c.T.Helper()
	s := c.journal.scanner(c.T)
	s.addEncodings("the token of the ServiceAccount", c.manager.BearerToken)
	log := c.log.text()
	c.T.Logf("searching for %d tokens and %d private keys in %d MB of log", len(c.journal.tokensOf(c.name)), len(c.journal.keys), len(log)>>20)
	c.Expect(len(c.journal.tokensOf(c.name))).To(gomega.BeNumerically(">", 15))
	c.Expect(len(c.journal.keys)).To(gomega.BeNumerically(">", 15))
	for where, text := range map[string]string{"the log": log, "the metrics": c.metrics} {
		if found := s.find(text); len(found) > 0 {
			c.T.Errorf("%s contains %s", where, strings.Join(found, "\nand "))
		}
	}
	checked := 0
	for where, text := range c.allObjects() {
		checked++
		if found := s.find(text); len(found) > 0 {
			c.T.Errorf("%s contains %s", where, strings.Join(found, "\nand "))
		}
	}
	c.T.Logf("searched %d objects", checked)
	c.checkScanner(s)
}

// checkScanner checks that the scanner finds secrets where they are: in a ConfigMap with a token, and in
// the Secrets.
func (c *canary) checkScanner(s *secretScanner) {
	c.T.Helper()
	tokens := c.journal.tokensOf(c.name)
	planted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "planted"}, Data: map[string]string{"oops": tokens[0]}}
	c.Expect(c.Admin.Create(c.Ctx, planted)).To(gomega.Succeed())
	found := s.find(c.allObjects()["configmaps."+c.name+"/planted"])
	c.Expect(found).NotTo(gomega.BeEmpty(), "the scanner did not find the token in a ConfigMap")
	for _, secret := range []*corev1.Secret{secretNamed(c.name, keyName), signingKeysSecret(c.name)} {
		_, err := harness.Get(c.Harness, secret)
		c.Expect(err).NotTo(gomega.HaveOccurred())
		text, err := json.Marshal(secret)
		c.Expect(err).NotTo(gomega.HaveOccurred())
		c.Expect(s.find(string(text))).NotTo(gomega.BeEmpty(), "the scanner did not find the secrets in Secret %s", secret.Name)
	}
}

// allObjects returns every object of the API server as JSON, of Secrets all but the data.
func (c *canary) allObjects() map[string]string {
	c.T.Helper()
	kinds, err := discovery.NewDiscoveryClientForConfigOrDie(c.config).ServerPreferredResources()
	c.Expect(err).NotTo(gomega.HaveOccurred())
	objects := map[string]string{}
	reader := dynamic.NewForConfigOrDie(c.config)
	for _, group := range kinds {
		version, err := schema.ParseGroupVersion(group.GroupVersion)
		c.Expect(err).NotTo(gomega.HaveOccurred())
		for _, resource := range group.APIResources {
			if !slices.Contains(resource.Verbs, "list") {
				continue
			}
			c.addObjects(reader, version.WithResource(resource.Name), objects)
		}
	}
	for _, kind := range []string{"events.", "events.events.k8s.io.", "jwtrefreshkeys.", "jwtissuers.", "secrets."} {
		c.Expect(objects).To(gomega.HaveKey(gomega.HavePrefix(kind)))
	}
	return objects
}

func (c *canary) addObjects(reader dynamic.Interface, kind schema.GroupVersionResource, objects map[string]string) {
	c.T.Helper()
	list, err := reader.Resource(kind).List(c.Ctx, metav1.ListOptions{})
	c.Expect(err).NotTo(gomega.HaveOccurred(), "%s", kind)
	for _, object := range list.Items {
		if kind.Resource == "secrets" {
			unstructured.RemoveNestedField(object.Object, "data")
		}
		text, err := object.MarshalJSON()
		c.Expect(err).NotTo(gomega.HaveOccurred())
		group := kind.Resource
		if kind.Group != "" {
			group += "." + kind.Group
		}
		objects[fmt.Sprintf("%s.%s/%s", group, object.GetNamespace(), object.GetName())] = string(text)
	}
}

// await waits until check succeeds, and otherwise fails with the message.
func (c *canary) await(message string, check func() error) {
	c.T.Helper()
	c.Eventually(check).Should(gomega.Succeed(), message)
}

func (c *canary) keyRef(name string) *v1alpha1.JWTRefreshKey { return newKey(c.name, name, c.name) }
