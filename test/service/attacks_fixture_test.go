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
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// attackFixture is a fixture with one replica under attack. The attacker has everything, the signing keys
// included, so that tokens are refused for their content and not only for their signature.
type attackFixture struct {
	*fixture
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

func newAttackFixture(t *testing.T) *attackFixture {
	t.Helper()
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}}}}
	})
	h.Manage()
	s := &attackFixture{fixture: h, log: &logbook{}}
	s.front = s.open(h.Replica(), nil)
	s.key = h.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"orders:read", "orders:write"} })
	s.other = h.Key("stock")
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.trap.Add(1) }))
	t.Cleanup(trap.Close)
	s.trapURL, s.caller = trap.URL, s.callerToken()
	s.otherGood = s.secret(h.AwaitRevision(s.other, 1))
	s.forger = newForger(t, s.signingKeys(), s.secret(h.AwaitRevision(s.key, 1)))
	s.secret(s.caller)
	if got := s.send(t, s.exchange(s.good)); got.Outcome() != "200" {
		t.Fatalf("before the attacks, the good token gets %s", got.Outcome())
	}
	return s
}

// secret adds a text that the log must not contain.
func (s *attackFixture) secret(text string) string {
	s.secrets = append(s.secrets, text)
	return text
}

// open starts another server of a replica, and keeps its log. limits change those of the connection.
func (s *attackFixture) open(r *operator.Replica, limits func(*http.Server)) *httptest.Server {
	s.T.Helper()
	options := r.Handler.Options
	options.Log = s.log.logger()
	handler, err := tokenserver.New(options)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return s.serve(handler, limits)
}

func (s *attackFixture) serve(handler http.Handler, limits func(*http.Server)) *httptest.Server {
	s.T.Helper()
	served := httptest.NewUnstartedServer(handler)
	served.Config = tokenserver.NewHTTPServer(handler, nil)
	if limits != nil {
		limits(served.Config)
	}
	served.EnableHTTP2 = true
	served.StartTLS()
	s.T.Cleanup(served.Close)
	return served
}

// signingKeys returns the signing keys of the issuer, which only the operator may read.
func (s *attackFixture) signingKeys() *keyring.Rings {
	s.T.Helper()
	var secrets corev1.SecretList
	s.Expect(s.Admin.List(s.Ctx, &secrets, client.InNamespace(apiserver.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: s.fixture.Name})).To(gomega.Succeed())
	s.Expect(secrets.Items).To(gomega.HaveLen(1))
	rings, err := keyring.Decode(secrets.Items[0].Data)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return rings
}

// callerToken returns the token of a ServiceAccount that may ask about all tokens.
func (s *attackFixture) callerToken() string {
	s.T.Helper()
	s.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.fixture.Name, Name: "orders-api"}})
	s.Create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.fixture.Name + "-orders-api"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "refreshkeys-introspector"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.fixture.Name, Name: "orders-api"}},
	})
	return s.AccountToken(s.fixture.Name, "orders-api", s.URL())
}

// shortly is sufficient for a healthy connection, and the limit of a slow one here.
const shortly = time.Second
