package service

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// attackHarness is a harness with one replica under attack. The attacker has everything, the signing keys
// included, so that tokens are refused for their content and not only for their signature.
type attackHarness struct {
	*harness
	*forger
	// front is the server of the replica; its log is kept.
	front *httptest.Server
	log   *logbook
	// trap counts requests to the URLs of jku and x5u.
	trap    atomic.Int64
	trapURL string
	// caller is the token of a ServiceAccount that may ask about tokens.
	caller string
	// key is the refresh key of the good token, and other is a second one.
	key, other *v1alpha1.JWTRefreshKey
	otherGood  string
	// rows counts the sent requests, and secrets are texts that no log line may contain.
	rows    int
	secrets []string
}

// logbook keeps the lines of a log.
type logbook struct {
	mu      sync.Mutex
	written []string
}

func (l *logbook) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.written = append(l.written, prefix+" "+args)
	}, funcr.Options{Verbosity: 10})
}

func (l *logbook) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.written)
}

func besiege(t *testing.T) *attackHarness {
	t.Helper()
	h := newHarness(t, clock.RealClock{})
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}}}}
	})
	h.manage()
	s := &attackHarness{harness: h, log: &logbook{}}
	s.front = s.open(h.replica(), nil)
	s.key = h.key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"orders:read", "orders:write"} })
	s.other = h.key("stock")
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.trap.Add(1) }))
	t.Cleanup(trap.Close)
	s.trapURL, s.caller = trap.URL, s.callerToken()
	s.otherGood = s.secret(h.reaches(s.other, 1))
	s.forger = newForger(t, s.signingKeys(), s.secret(h.reaches(s.key, 1)))
	s.secret(s.caller)
	if got := s.send(t, s.exchange(s.good)); got.outcome() != "200" {
		t.Fatalf("before the attacks, the good token gets %s", got.outcome())
	}
	return s
}

// secret adds a text that the log must not contain.
func (s *attackHarness) secret(text string) string {
	s.secrets = append(s.secrets, text)
	return text
}

// open starts another server of a replica, and keeps its log. limits change those of the connection.
func (s *attackHarness) open(r *replica, limits func(*http.Server)) *httptest.Server {
	s.t.Helper()
	options := r.handler.Options
	options.Log = s.log.logger()
	handler, err := tokenserver.New(options)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return s.serve(handler, limits)
}

func (s *attackHarness) serve(handler http.Handler, limits func(*http.Server)) *httptest.Server {
	s.t.Helper()
	served := httptest.NewUnstartedServer(handler)
	served.Config = tokenserver.NewHTTPServer(handler, nil)
	if limits != nil {
		limits(served.Config)
	}
	served.EnableHTTP2 = true
	served.StartTLS()
	s.t.Cleanup(served.Close)
	return served
}

// signingKeys returns the signing keys of the issuer, which only the operator may read.
func (s *attackHarness) signingKeys() *keyring.Rings {
	s.t.Helper()
	var secrets corev1.SecretList
	s.Expect(s.admin.List(s.ctx, &secrets, client.InNamespace(apiserver.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: s.name})).To(gomega.Succeed())
	s.Expect(secrets.Items).To(gomega.HaveLen(1))
	rings, err := keyring.Decode(secrets.Items[0].Data)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return rings
}

// callerToken returns the token of a ServiceAccount that may ask about all tokens.
func (s *attackHarness) callerToken() string {
	s.t.Helper()
	s.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "orders-api"}})
	s.create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.name + "-orders-api"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "refreshkeys-introspector"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.name, Name: "orders-api"}},
	})
	return s.accountToken("orders-api", s.url())
}

// accountToken returns a token of a ServiceAccount of the harness.
func (s *attackHarness) accountToken(name string, audiences ...string) string {
	s.t.Helper()
	admin, err := kubernetes.NewForConfig(server.Admin)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	answer, err := admin.CoreV1().ServiceAccounts(s.name).CreateToken(s.ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences},
	}, metav1.CreateOptions{})
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return answer.Status.Token
}

// shortly is sufficient for a healthy connection, and the limit of a slow one here.
const shortly = time.Second
