package plugin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// jwt matches a token.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// others are the tests that run beside the scripts, with the same operator. The krew manifest needs none, but it compiles the
// plugin as a release does, while the scripts wait.
var others = map[string]func(*fixture, *testing.T){
	"ExecCredentialPlugin": (*fixture).testExecCredentialPlugin, "KrewManifest": testKrewManifest,
}

// TestScripts runs every script of testdata in a namespace of its own. In addition to testscript's commands, there are:
//
//	refreshkey CODE ARGS...   runs the plugin, and wants the exit code, and no token in the output
//	timed NAME CODE ARGS...   the same, and stores in a variable how long a command may wait in vain, by the time that this one took
//	into FILE CODE ARGS...    the same for a command that prints a token, which is written to the file
//	token FILE rt+jwt|at+jwt  wants a token of that kind in the file, and nothing else
//	same ONE OTHER            wants the same, or with ! another, content without showing it
//	until ARGS...             runs kubectl until it succeeds and prints the text after --
//	remember NAME ARGS...     stores kubectl's output in a variable
//	fits COLUMNS              wants no longer lines in the last output
//	hang, unhang              stops and continues the watches of the replica at $SLOW
//	age ISSUER DURATION       makes the issuer's signing keys older, as if that time had passed for them
//	answers KEY CODE          wants only this answer of $SLOW about the key
//	pods                      creates pods that forward to the replicas of the token service
func TestScripts(t *testing.T) {
	h := newFixture(t)
	for name, test := range others {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(h, t)
		})
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			namespace, kubeconfig := h.newNamespace()
			home := filepath.Join(e.WorkDir, "home")
			for name, value := range h.environment(namespace, kubeconfig, home) {
				e.Setenv(name, value)
			}
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"refreshkey": runPlugin, "timed": runTimed, "into": runInto, "token": wantToken, "same": wantSame, "until": runUntil, "remember": remember, "fits": wantFit,
			"hang":   func(*testscript.TestScript, bool, []string) { h.slow.hang(true) },
			"unhang": func(*testscript.TestScript, bool, []string) { h.slow.hang(false) },
			"pods":   h.makePods,
			"age":    h.ageKeys,
			"answers": func(ts *testscript.TestScript, _ bool, args []string) {
				got := h.slow.answered(ts.Getenv("NAMESPACE"), args[0])
				if other := slices.DeleteFunc(slices.Clone(got), func(code string) bool { return code == args[1] }); len(got) == 0 || len(other) > 0 {
					ts.Fatalf("the replica at $SLOW answered %v about %s, want only %s", got, args[0], args[1])
				}
			},
		},
	})
}

func runPlugin(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("kubectl-refreshkey", args[1:]...)
	code := 0
	if err != nil {
		code = -1
		if _, parsed := fmt.Sscanf(err.Error(), "exit status %d", &code); parsed != nil {
			ts.Fatalf("%v", err)
		}
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if jwt.MatchString(ts.ReadFile(stream)) {
			ts.Fatalf("there is a token in %s", stream)
		}
	}
}

// leastWait and slowdown bound the --timeout of a command whose wait has no success: two seconds, or on a slow machine five times as
// long as a command takes that does not wait.
const (
	leastWait = 2 * time.Second
	slowdown  = 5
)

func runTimed(ts *testscript.TestScript, neg bool, args []string) {
	began := time.Now()
	runPlugin(ts, neg, args[1:])
	ts.Setenv(args[0], max(leastWait, slowdown*time.Since(began)).Round(time.Second).String())
}

func environ(ts *testscript.TestScript) []string {
	var all []string
	for _, name := range []string{"KUBECONFIG", "HOME", "XDG_CONFIG_HOME", "PATH", "KUBERC", "KUBECACHEDIR", "KUBERNETES_EXEC_INFO"} {
		if value := ts.Getenv(name); value != "" {
			all = append(all, name+"="+value)
		}
	}
	return all
}

func runInto(ts *testscript.TestScript, _ bool, args []string) {
	stdout, stderr, code := run(ts.MkAbs("."), environ(ts), "", "kubectl-refreshkey", args[2:]...)
	if strconv.Itoa(code) != args[1] {
		ts.Fatalf("exit code %d, want %s: %s", code, args[1], jwt.ReplaceAllString(stderr, "<a token>"))
	}
	if jwt.MatchString(stderr) {
		ts.Fatalf("there is a token in stderr")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(stdout), 0o600))
}

func wantToken(ts *testscript.TestScript, neg bool, args []string) {
	raw, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	text := strings.TrimSuffix(string(raw), "\n")
	kind, err := kindOf(text)
	if (err == nil && kind == args[1]) == neg {
		ts.Fatalf("%s holds %s (%v), want %s", args[0], kind, err, args[1])
	}
}

func wantSame(ts *testscript.TestScript, neg bool, args []string) {
	one, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	two, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	if (string(one) == string(two)) == neg {
		ts.Fatalf("%s and %s are the same: %v", args[0], args[1], !neg)
	}
}

// runUntil runs kubectl until it succeeds and its output contains a text.
func runUntil(ts *testscript.TestScript, _ bool, args []string) {
	split := len(args)
	for i, arg := range args {
		if arg == "--" {
			split = i
		}
	}
	var said string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(kubectlEvery) {
		stdout, stderr, code := run(ts.MkAbs("."), environ(ts), "", "kubectl", args[:split]...)
		if said = stdout + stderr; code == 0 && (split == len(args) || strings.Contains(stdout, strings.Join(args[split+1:], " "))) {
			return
		}
	}
	ts.Fatalf("kubectl %s prints: %s", strings.Join(args[:split], " "), jwt.ReplaceAllString(said, "<a token>"))
}

func remember(ts *testscript.TestScript, _ bool, args []string) {
	stdout, stderr, code := run(ts.MkAbs("."), environ(ts), "", "kubectl", args[1:]...)
	if code != 0 {
		ts.Fatalf("kubectl: %s", stderr)
	}
	ts.Setenv(args[0], strings.TrimSpace(stdout))
}

func wantFit(ts *testscript.TestScript, _ bool, args []string) {
	most, err := strconv.Atoi(args[0])
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > most {
			ts.Fatalf("a line has %d columns, more than %d: %s", width, most, line)
		}
	}
}

// kindOf returns the typ of a text that is only a token.
func kindOf(text string) (string, error) {
	for _, kind := range []token.Type{token.Refresh, token.Access} {
		if typ, err := typOf(text); err == nil && typ == string(kind) {
			return typ, nil
		}
	}
	return "no token", nil
}

// ageKeys moves the times of an issuer's signing keys into the past. They are in rings.json of the Secret, and nowhere else.
func (h *fixture) ageKeys(ts *testscript.TestScript, _ bool, args []string) {
	by, err := time.ParseDuration(args[1])
	ts.Check(err)
	ctx := h.T.Context()
	ts.Check(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret := &corev1.Secret{}
		if err := h.Admin.Get(ctx, client.ObjectKey{Namespace: apiserver.Namespace, Name: "signing-keys-" + args[0]}, secret); err != nil {
			return err
		}
		secret.Data["rings.json"] = timestamp.ReplaceAllFunc(secret.Data["rings.json"], func(found []byte) []byte {
			at, err := time.Parse(time.RFC3339, string(found))
			ts.Check(err)
			return []byte(at.Add(-by).Format(time.RFC3339))
		})
		return h.Admin.Update(ctx, secret)
	}))
}

// timestamp matches a time of rings.json.
var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func (h *fixture) makePods(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(h.pods(ts.Getenv("NAMESPACE")))
}

// pods creates two pods of the token service with this machine's address, which forwards connections to the
// replicas. kube-apiserver does not proxy to loopback addresses.
func (h *fixture) pods(namespace string) error {
	if server.Existing() {
		return errors.New("the test cannot create the token service's pods in an existing cluster")
	}
	address := ownAddress()
	if address == "" {
		return errors.New("this machine has only loopback addresses, and kube-apiserver does not proxy to these")
	}
	for i, replica := range h.replicas {
		port := forward(h.T, address, strings.TrimPrefix(replica.Server.URL, "https://"))
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: fmt.Sprintf("tokenserver-%d", i+1), Labels: map[string]string{"app.kubernetes.io/component": "tokenserver"},
			},
			Spec: corev1.PodSpec{
				SecurityContext: &corev1.PodSecurityContext{
					RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
				Containers: []corev1.Container{{
					Name: "tokenserver", Image: "tokenserver", Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: port}},
					SecurityContext: &corev1.SecurityContext{
						AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					},
				}},
			},
		}
		h.Create(pod)
		pod.Status = corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		}
		if err := h.Admin.Status().Update(h.T.Context(), pod); err != nil {
			return err
		}
	}
	return nil
}

func ownAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	return ""
}
