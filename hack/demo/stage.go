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
	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/test/acceptance"
)

// Where the operator lives, as config/rbac says.
const (
	operatorNamespace = "refreshkeys-system"
	operatorName      = "refreshkeys-manager"
)

// stage is the cluster that the story plays in.
type stage struct {
	kubectl kubectl
	// client asks the API server itself, and so does the verifier: no cache softens a verdict.
	client    client.Client
	clientset kubernetes.Interface
	verifier  acceptance.Verifier
	service   service
	// issuer and namespace are those of the story's keys.
	issuer    string
	namespace string
	// ours tells that nobody else works in this cluster, so that its writes can be counted.
	ours bool
	// readyAfter is how long it took to get there.
	readyAfter time.Duration
	// manager is nil where it was not started for the story.
	manager *cluster.Process
	// deployed tells that it runs in the cluster itself.
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

// untilEnforced waits for the admission policy: the API server lets everything through
// until it has compiled it, some time after it has accepted it.
func (s *scene) untilEnforced() {
	probe := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "probe", "namespace": "default"},
		"spec":     map[string]any{"audience": "https://probe.example.com", "claims": map[string]any{"iss": "x"}},
	}}
	probe.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))
	took := s.until("the admission policy is in force", "a refusal of the claim iss", func() (string, bool) {
		err := s.stage.client.Create(s.ctx, probe.DeepCopy(), client.DryRunAll)
		return fmt.Sprint(err), err != nil && strings.Contains(err.Error(), "denied request")
	})
	s.aside("the admission policy is in force after %s", span(took))
}

// kubectl is how to run kubectl on the stage.
type kubectl struct {
	path  string
	flags []string
	// dir is where relative paths lead to.
	dir string
}

// refusal is what kubectl complained of.
type refusal struct{ complaint string }

func (r *refusal) Error() string { return r.complaint }

func (k kubectl) run(ctx context.Context, input string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, k.path, append(append([]string{}, k.flags...), args...)...)
	command.Dir = k.dir
	// Nobody's own preferences change what is shown.
	command.Env = append(os.Environ(), "KUBERC=off", "KUBECTL_KUBERC=false")
	// In a group of its own it does not hear the terminal's Ctrl-C: this process ends it.
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

// kubectl shows a command as a user would type it, runs it and shows what it prints.
func (s *scene) kubectl(args ...string) {
	s.command(shellWords(args)...)
	out, err := s.stage.kubectl.run(s.ctx, "", args...)
	s.must(err)
	s.block(out)
}

// shellWords are the words of a kubectl command as one would type them.
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
