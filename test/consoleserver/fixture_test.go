package consoleserver

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// fixture is a console at the API server, for one test.
type fixture struct {
	*harness.Harness
	url    string
	client *http.Client
}

// newFixture returns a console, which the changes of its options change, and a namespace for the test.
func newFixture(t *testing.T, change ...func(*console.Options)) *fixture {
	t.Helper()
	h := harness.New(t, server, clock.RealClock{})
	h.CreateNamespace(h.Name, nil)
	options := console.Options{
		API: rest.AnonymousClientConfig(server.Admin), Clock: clock.RealClock{}, Random: rand.Reader, Log: logr.Discard(),
		Registerer: prometheus.NewRegistry(), Hosts: []string{"127.0.0.1"}, BasePath: "/", Reveal: true,
		SessionIdle: time.Hour, SessionMax: 12 * time.Hour,
	}
	for _, c := range change {
		c(&options)
	}
	served, err := console.New(options)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	https := httptest.NewUnstartedServer(served)
	https.EnableHTTP2 = true
	https.StartTLS()
	t.Cleanup(https.Close)
	t.Cleanup(served.Close)
	return &fixture{Harness: h, url: https.URL, client: https.Client()}
}

// through returns a change of the options: the console reaches the API server through a proxy, whose handler gets the API server. The
// proxy closes when the test ends, or by close.
func through(t *testing.T, handler func(apiServer http.Handler, w http.ResponseWriter, r *http.Request)) (change func(*console.Options), closeProxy func()) {
	t.Helper()
	config := rest.AnonymousClientConfig(server.Admin)
	at, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	apiServer := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }, Transport: transport, FlushInterval: -1}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(apiServer, w, r) }))
	closeProxy = func() {
		// Without a listener, no connection can begin between the end of those that are open and the close, which waits for all.
		_ = proxy.Listener.Close()
		proxy.CloseClientConnections()
		proxy.Close()
	}
	t.Cleanup(closeProxy)
	return func(o *console.Options) { o.API = &rest.Config{Host: proxy.URL} }, closeProxy
}

// visitor is a person who is signed in at the console.
type visitor struct {
	*fixture
	account string
	cookie  *http.Cookie
}

// allow is a rule of RBAC.
func allow(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// everything is the rule of a cluster administrator.
var everything = allow("*", "*", "*")

// visitor signs in a ServiceAccount with the rules in the whole cluster.
func (f *fixture) visitor(rules ...rbacv1.PolicyRule) *visitor {
	f.T.Helper()
	name := harness.UniqueName("person")
	f.grant(name, rules)
	v := &visitor{fixture: f, account: name}
	v.signIn()
	return v
}

// grant creates a ServiceAccount of the test's namespace with rules in the whole cluster.
func (f *fixture) grant(name string, rules []rbacv1.PolicyRule) {
	f.T.Helper()
	f.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.Name, Name: name}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: f.Name, Name: name}},
		})
}

// signIn gets a session with a token of the ServiceAccount. The API server can take a moment to know its token and its rules.
func (v *visitor) signIn() {
	v.T.Helper()
	token := v.AccountToken(v.Name, v.account)
	v.Await("the sign-in of "+v.account, func() error {
		answer := v.send(http.MethodPost, "api/login", wire.Login{Token: token})
		for _, cookie := range answer.response.Cookies() {
			v.cookie = cookie
		}
		return answer.failure()
	})
}

// answer is what the console answers.
type answer struct {
	response *http.Response
	body     []byte
}

// code returns the HTTP status.
func (a *answer) code() int { return a.response.StatusCode }

// refusal returns the answer as a failure.
func (a *answer) refusal() (failure wire.Failure) {
	_ = json.Unmarshal(a.body, &failure)
	return failure
}

// failure returns the answer as an error unless it is 200.
func (a *answer) failure() error {
	if a.code() == http.StatusOK {
		return nil
	}
	return &refused{a.code(), string(a.body)}
}

type refused struct {
	code int
	body string
}

func (r *refused) Error() string { return http.StatusText(r.code) + ": " + r.body }

// send sends a request to a path of the console.
func (v *visitor) send(method, path string, body any) *answer {
	v.T.Helper()
	response := v.open(method, path, body)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	v.Expect(err).NotTo(gomega.HaveOccurred())
	return &answer{response, read}
}

// open sends a request, whose answer the caller reads.
func (v *visitor) open(method, path string, body any, headers ...string) *http.Response {
	v.T.Helper()
	var sent io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		v.Expect(err).NotTo(gomega.HaveOccurred())
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(v.Ctx, method, v.url+"/"+path, sent)
	v.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if v.cookie != nil {
		request.AddCookie(v.cookie)
	}
	response, err := v.client.Do(request)
	v.Expect(err).NotTo(gomega.HaveOccurred())
	return response
}

// ask sends a request that must succeed, and reads the answer.
func ask[T any](v *visitor, method, path string, body any) T {
	v.T.Helper()
	var read T
	answered := v.send(method, path, body)
	v.Expect(answered.failure()).To(gomega.Succeed(), "%s %s", method, path)
	v.Expect(json.Unmarshal(answered.body, &read)).To(gomega.Succeed())
	return read
}

// keyPath returns the path of a key's routes.
func keyPath(key *v1alpha1.JWTRefreshKey) string { return "api/keys/" + key.Namespace + "/" + key.Name }

// manifest returns a manifest of a key with a spec.
func manifest(name string, spec any) json.RawMessage {
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"name": name}, "spec": spec})
	if err != nil {
		panic(err) // the test's own values
	}
	return text
}
