// Package plugin runs kubectl refreshkey as users do, with the scripts in testdata, against a real API server
// with a manager and replicas of the token service.
package plugin

import (
	"context"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/plugin/commands"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/apiserver"
	"github.com/refreshkeys/refreshkeys/test/operator"
)

var server *apiserver.Server

// suite starts the API server in the process that runs the tests, and not in the processes of the plugin.
type suite struct{ *testing.M }

func (s suite) Run() int { return apiserver.Main(s.M, &server) }

// atATime is how many tests and scripts run in parallel. They wait for the operator most of the time, so that there are more
// of them than processors.
const atATime = "5"

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	if err := flag.Set("test.parallel", atATime); err != nil {
		panic(err)
	}
	testscript.Main(suite{m}, map[string]func(){"kubectl-refreshkey": func() {
		os.Exit(commands.Main(context.Background(), os.Args[1:], cli.Options{
			IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
			Clock:     clock.RealClock{}, Getenv: os.Getenv, Version: "test",
		}))
	}})
}

const (
	patience  = 30 * time.Second
	pollEvery = 50 * time.Millisecond
	// kubectlEvery is longer, since each question is a process.
	kubectlEvery = 200 * time.Millisecond
)

// harness is a running operator: a manager, two replicas of the token service that serve the issuer
// `default`, and a third replica with watches that a script can stop.
type harness struct {
	t        *testing.T
	admin    client.Client
	clients  kubernetes.Interface
	replicas []*operator.Replica
	slow     *slowReplica
	// dir holds the files that all scripts share.
	dir string
}

// slowReplica is a replica of the token service with watches that a test can stop.
type slowReplica struct {
	*operator.Replica
	*line
	// lines are its log lines, one for each request.
	mu    sync.Mutex
	lines []string
}

func (h *harness) newSlowReplica() *slowReplica {
	h.t.Helper()
	config := h.tokenServer()
	s := &slowReplica{line: &line{}}
	config.Wrap(s.wrap)
	log := funcr.New(func(_, text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, text)
	}, funcr.Options{})
	s.Replica = operator.ServeLogged(h.t, config, registry.Options{}, log)
	return s
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, dir: t.TempDir()}
	var err error
	if h.admin, err = client.New(server.Admin, client.Options{Scheme: controllers.Scheme()}); err != nil {
		t.Fatal(err)
	}
	if h.clients, err = kubernetes.NewForConfig(server.Admin); err != nil {
		t.Fatal(err)
	}
	manager, err := server.Manager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	operator.Manage(t, manager, logr.Discard(), controllers.Options{Clock: clock.RealClock{}})
	for range 2 {
		h.replicas = append(h.replicas, operator.Serve(t, h.tokenServer(), registry.Options{}))
	}
	h.slow = h.newSlowReplica()
	h.write("ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.replicas[0].Server.Certificate().Raw}))
	h.create(&v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.JWTIssuerSpec{
			URL: h.replicas[0].Server.URL,
			Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{
				Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}, Claims: []string{"tier", "level"}, Subjects: []string{"shop:*", "jane"},
			}}},
			Login: &v1alpha1.LoginSpec{
				Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}},
			},
		},
	})
	h.awaitIssuer("default")
	h.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: "people"},
		Data:       map[string][]byte{"htpasswd": []byte("jane:" + h.hash("correct horse"))},
	})
	return h
}

// awaitIssuer waits until the issuer can sign: a key that is created before gets an event that says so.
func (h *harness) awaitIssuer(name string) {
	h.t.Helper()
	issuer := &v1alpha1.JWTIssuer{}
	err := wait.PollUntilContextTimeout(h.t.Context(), pollEvery, patience, true, func(ctx context.Context) (bool, error) {
		err := h.admin.Get(ctx, client.ObjectKey{Name: name}, issuer)
		return meta.IsStatusConditionTrue(issuer.Status.Conditions, v1alpha1.ConditionReady), err
	})
	if err != nil {
		h.t.Fatalf("issuer %s is not ready: %v: %v", name, err, issuer.Status.Conditions)
	}
}

// answered returns the replica's answers about a key: the error codes, or 200.
func (s *slowReplica) answered(namespace, name string) (answers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		if !strings.Contains(line, `"namespace"="`+namespace+`" "name"="`+name+`"`) {
			continue
		}
		_, rest, refused := strings.Cut(line, `"code"="`)
		code, _, _ := strings.Cut(rest, `"`)
		if !refused {
			code = "200"
		}
		answers = append(answers, code)
	}
	return answers
}

func (h *harness) tokenServer() *rest.Config {
	h.t.Helper()
	config, err := server.TokenServer(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return config
}

func (h *harness) hash(password string) string {
	h.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(hash)
}

func (h *harness) create(object client.Object) {
	h.t.Helper()
	if err := h.admin.Create(h.t.Context(), object); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = h.admin.Delete(context.Background(), object) })
}

func (h *harness) write(name string, content []byte) string {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

var namespaces atomic.Int64

// newNamespace creates a namespace for one script, and a kubeconfig with a context for that namespace.
func (h *harness) newNamespace() (namespace, kubeconfig string) {
	h.t.Helper()
	namespace = fmt.Sprintf("test-%d-%d", os.Getpid(), namespaces.Add(1))
	h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	return namespace, h.write(namespace+".kubeconfig", h.kubeconfig(namespace))
}

func (h *harness) kubeconfig(namespace string) []byte {
	h.t.Helper()
	address := server.Admin.Host
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["here"] = &clientcmdapi.Cluster{Server: address, CertificateAuthorityData: server.Admin.CAData}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: server.Admin.CertData, ClientKeyData: server.Admin.KeyData, Token: server.Admin.BearerToken,
	}
	config.Contexts["admin"] = &clientcmdapi.Context{Cluster: "here", AuthInfo: "admin", Namespace: namespace}
	config.AuthInfos["self"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1", Command: "kubectl-refreshkey", Args: []string{"exchange", "orders"},
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}}
	config.Contexts["self"] = &clientcmdapi.Context{Cluster: "here", AuthInfo: "self", Namespace: namespace}
	config.CurrentContext = "admin"
	raw, err := clientcmd.Write(*config)
	if err != nil {
		h.t.Fatal(err)
	}
	return raw
}

// path returns a PATH with kubectl and the plugin's completion script.
func (h *harness) path() string {
	h.t.Helper()
	found := os.Getenv("PATH")
	if assets, err := cluster.FindAssets(); err == nil {
		found = assets + string(filepath.ListSeparator) + found
	}
	return found + string(filepath.ListSeparator) + filepath.Join(server.Root, "cmd", "kubectl-refreshkey")
}

// environment returns the variables of every command of a script.
func (h *harness) environment(namespace, kubeconfig, home string) map[string]string {
	return map[string]string{
		"NAMESPACE": namespace, "KUBECONFIG": kubeconfig, "HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"),
		"CA": filepath.Join(h.dir, "ca.crt"), "ONE": h.replicas[0].Server.URL, "TWO": h.replicas[1].Server.URL, "SLOW": h.slow.Server.URL,
		"PATH": h.path(), "KUBERC": "off", "KUBECACHEDIR": filepath.Join(home, "cache"), "AUDIENCE": "https://orders.example.com",
	}
}

// variables returns the environment of a command outside of a script.
func (h *harness) variables(namespace, kubeconfig string, more ...string) []string {
	h.t.Helper()
	home := filepath.Join(h.t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		h.t.Fatal(err)
	}
	var all []string
	for name, value := range h.environment(namespace, kubeconfig, home) {
		all = append(all, name+"="+value)
	}
	return append(all, more...)
}

// run runs a command in an environment, and returns its output and exit code. It logs nothing.
func run(dir string, environment []string, stdin, name string, args ...string) (stdout, stderr string, code int) {
	var out, errs strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	command := exec.CommandContext(ctx, lookPath(environment, name), args...)
	command.Dir, command.Env, command.Stdin, command.Stdout, command.Stderr = dir, environment, strings.NewReader(stdin), &out, &errs
	err := command.Run()
	if command.ProcessState == nil {
		return "", err.Error(), -1
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

func lookPath(environment []string, name string) string {
	for _, variable := range environment {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			for _, dir := range filepath.SplitList(path) {
				if file := filepath.Join(dir, name); executable(file) {
					return file
				}
			}
		}
	}
	return name
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}
