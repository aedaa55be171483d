package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// The operator's namespace and the name of its Deployment and ServiceAccount, as in config/rbac.
const (
	operatorNamespace = "refreshkeys-system"
	operatorName      = "refreshkeys-manager"
)

// stage is the cluster in which the demo runs.
type stage struct {
	kubectl kubectl
	// client and verifier read from the API server without a cache.
	client    client.Client
	clientset kubernetes.Interface
	verifier  acceptance.Verifier
	service   service
	// issuer and namespace are those of the demo's keys.
	issuer    string
	namespace string
	// ours is true if only the demo uses this cluster, so that writes can be counted.
	ours bool
	// readyAfter is the time until the issuer was ready.
	readyAfter time.Duration
	// manager is nil if the demo did not start it.
	manager *cluster.Process
	// deployed is true if the manager runs in the cluster.
	deployed bool
}

func newStage(config *rest.Config, run kubectl) (*stage, error) {
	admin, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		return nil, err
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &stage{
		kubectl:   run,
		client:    admin,
		clientset: clientset,
		verifier:  acceptance.Verifier{Reader: admin, Namespace: operatorNamespace, Now: time.Now},
	}, nil
}

// untilEnforced waits until the admission policy is enforced: the API server admits every object
// until it has compiled an accepted policy.
func (s *scene) untilEnforced() {
	probe := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "probe", "namespace": "default"},
		"spec":     map[string]any{"audience": "https://probe.example.com", "claims": map[string]any{"iss": "x"}},
	}}
	probe.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))
	took := s.until("the admission policy is enforced", "a refusal of the claim iss", func() (string, bool) {
		err := s.stage.client.Create(s.ctx, probe.DeepCopy(), client.DryRunAll)
		return fmt.Sprint(err), err != nil && strings.Contains(err.Error(), "denied request")
	})
	s.aside("the admission policy is enforced after %s", span(took))
}

// kubectl runs kubectl against the stage.
type kubectl struct {
	path  string
	flags []string
	// dir is the working directory.
	dir string
}

// refusal is kubectl's error output.
type refusal struct{ complaint string }

func (r *refusal) Error() string { return r.complaint }

func (k kubectl) run(ctx context.Context, input string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, k.path, append(append([]string{}, k.flags...), args...)...)
	command.Dir = k.dir
	// The user's kuberc must not change the output.
	command.Env = append(os.Environ(), "KUBERC=off", "KUBECTL_KUBERC=false")
	// In its own process group, kubectl does not receive the terminal's Ctrl-C: this process ends it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	err := command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && complaint.Len() > 0 {
		return out.String(), &refusal{strings.TrimSpace(complaint.String())}
	}
	return out.String(), err
}

// kubectl prints a command as a user would type it, runs it and prints its output.
func (s *scene) kubectl(args ...string) {
	s.command(shellWords(args)...)
	out, err := s.stage.kubectl.run(s.ctx, "", args...)
	s.must(err)
	s.block(out)
}

// shellWords returns the words of a kubectl command as a user would type them.
func shellWords(args []string) []string {
	words := []string{"kubectl"}
	for _, arg := range args {
		flag, value, found := strings.Cut(arg, "=")
		if found && strings.ContainsAny(value, `{}" `) {
			arg = flag + "='" + value + "'"
		}
		words = append(words, arg)
	}
	return words
}
