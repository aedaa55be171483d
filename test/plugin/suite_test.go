// Package plugin runs kubectl refreshkey as users do, with the scripts in testdata, against a real API server
// with a manager and replicas of the token service.
package plugin

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/plugin/commands"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/version"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
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
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := commands.Main(ctx, os.Args[1:], cli.Options{
			IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
			Clock:     clock.RealClock{}, Getenv: os.Getenv, Browse: func(string) error { return errors.New("there is no browser") }, Build: version.Get(),
		})
		stop()
		os.Exit(code)
	}})
}

const (
	patience  = 30 * time.Second
	pollEvery = 50 * time.Millisecond
	// kubectlEvery is longer, since each question is a process.
	kubectlEvery = 200 * time.Millisecond
)

// fixture is a running operator: a manager, two replicas of the token service that serve the issuer
// `default`, and a third replica with watches that a script can stop.
type fixture struct {
	*harness.Harness
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

func (h *fixture) newSlowReplica() *slowReplica {
	h.T.Helper()
	config := h.TokenServiceConfig()
	s := &slowReplica{line: &line{}}
	config.Wrap(s.wrap)
	log := funcr.New(func(_, text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, text)
	}, funcr.Options{})
	s.Replica = operator.ServeLogged(h.T, config, registry.Options{}, log)
	return s
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	h := &fixture{Harness: harness.New(t, server, clock.RealClock{}), dir: t.TempDir()}
	h.clients = kubernetes.NewForConfigOrDie(server.Admin)
	h.Manage()
	h.replicas = []*operator.Replica{h.Replica(), h.Replica()}
	h.slow = h.newSlowReplica()
	h.write("ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.replicas[0].Server.Certificate().Raw}))
	h.Create(&v1alpha1.JWTIssuer{
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
	// A key that is created before the issuer can sign gets an event that says so.
	h.AwaitIssuer("default")
	h.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: "people"},
		Data:       map[string][]byte{"htpasswd": []byte("jane:" + h.hash("correct horse"))},
	})
	return h
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

func (h *fixture) hash(password string) string {
	h.T.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		h.T.Fatal(err)
	}
	return string(hash)
}

func (h *fixture) write(name string, content []byte) string {
	h.T.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		h.T.Fatal(err)
	}
	return file
}

// newNamespace creates a namespace for one script, and a kubeconfig with a context for that namespace.
func (h *fixture) newNamespace() (namespace, kubeconfig string) {
	h.T.Helper()
	namespace = harness.UniqueName("test")
	h.CreateNamespace(namespace, nil)
	return namespace, h.write(namespace+".kubeconfig", h.kubeconfig(namespace))
}

func (h *fixture) kubeconfig(namespace string) []byte {
	h.T.Helper()
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
		h.T.Fatal(err)
	}
	return raw
}

// path returns a PATH with kubectl and the plugin's completion script.
func (h *fixture) path() string {
	h.T.Helper()
	found := os.Getenv("PATH")
	if assets, err := cluster.FindAssets(); err == nil {
		found = assets + string(filepath.ListSeparator) + found
	}
	return found + string(filepath.ListSeparator) + filepath.Join(server.Root, "cmd", "kubectl-refreshkey")
}

// environment returns the variables of every command of a script.
func (h *fixture) environment(namespace, kubeconfig, home string) map[string]string {
	return map[string]string{
		"NAMESPACE": namespace, "KUBECONFIG": kubeconfig, "HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"),
		"CA": filepath.Join(h.dir, "ca.crt"), "ONE": h.replicas[0].Server.URL, "TWO": h.replicas[1].Server.URL, "SLOW": h.slow.Server.URL,
		"PATH": h.path(), "KUBERC": "off", "KUBECACHEDIR": filepath.Join(home, "cache"), "AUDIENCE": "https://orders.example.com",
	}
}

// variables returns the environment of a command outside of a script.
func (h *fixture) variables(namespace, kubeconfig string, more ...string) []string {
	h.T.Helper()
	home := filepath.Join(h.T.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		h.T.Fatal(err)
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
