package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

const (
	operatorNamespace = "refreshkeys-system"
	// replicas is the number of replicas of the token service: each must observe what the other records.
	replicas = 2
)

// stage is the cluster in which the page is played.
type stage struct {
	*printer
	// root is the folder of the repository, and dir that of the cluster.
	root, dir string
	// issuer and namespace are those of the page's refresh key.
	issuer, namespace string
	existing          bool
	cluster           *cluster.Cluster
}

// join makes the stage use the cluster of the current kubeconfig, with an issuer and a namespace of its own.
func (s *stage) join() {
	name := "refreshkeys-demo-" + utilrand.String(5)
	s.existing, s.issuer, s.namespace = true, name, name
}

// start does what `make up` does, and returns the shell for the rest of the page.
func (s *stage) start(ctx context.Context, page *guide.Page) (guide.Shell, error) {
	if err := s.up(ctx); err != nil {
		return guide.Shell{}, err
	}
	s.output("export KUBECONFIG=" + s.cluster.Kubeconfig() + "\nexport PATH=" + filepath.Dir(s.cluster.KubectlPath()) + ":$PATH")
	return s.shell(page)
}

// up starts the control plane with the operator, unless they run, and creates the issuer.
func (s *stage) up(ctx context.Context) (err error) {
	worker, began := "", time.Now()
	if _, err := cluster.BuildManager(ctx); err != nil {
		return err
	}
	s.output(fmt.Sprintf("manager built in %.0fs", time.Since(began).Seconds()))
	if s.existing {
		worker, err = s.joinCluster(ctx)
	} else {
		s.cluster, err = cluster.Start(ctx, cluster.Options{Dir: s.dir, Log: lines{s.printer}})
	}
	if err != nil {
		return err
	}
	if worker == "" {
		if err := cluster.Install(ctx, s.cluster); err != nil {
			return err
		}
		if _, err := cluster.RunManager(ctx, s.cluster); err != nil {
			return err
		}
	}
	if _, err := cluster.RunTokenServers(ctx, s.cluster, replicas); err != nil {
		return err
	}
	return cluster.EnsureIssuer(ctx, s.cluster, s.issuer)
}

// joinCluster connects to an existing cluster, and returns what runs the operator there; empty if nothing does.
func (s *stage) joinCluster(ctx context.Context) (worker string, err error) {
	if s.cluster, err = cluster.Join(s.dir); err != nil {
		return "", err
	}
	s.cluster.Log = lines{s.printer}
	config := s.cluster.Config()
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	s.output(fmt.Sprintf("USE_EXISTING_CLUSTER is set: nothing to start. This uses %s, with a namespace %s\n"+
		"and an issuer of that name, and removes both at the end.", config.Host, s.namespace))
	worker, err = cluster.WorkingManager(ctx, clients)
	if worker != "" {
		s.output(worker + " runs there; the CRDs and roles stay as they are")
	}
	return worker, err
}

// remove stops what start started, and removes from an existing cluster what it created, except for CRDs and roles.
func (s *stage) remove(ctx context.Context) error {
	if s.cluster == nil {
		return nil
	}
	s.cluster.Log = nil
	var failures []error
	if s.existing {
		for _, objects := range [][]string{
			{"namespace", s.namespace, "--wait=false"},
			{"jwtissuer", s.issuer},
			{"secrets", "--namespace=" + operatorNamespace, "--selector=" + v1alpha1.LabelSigningKeysOf + "=" + s.issuer},
		} {
			_, err := s.cluster.Kubectl(ctx, append([]string{"delete", "--ignore-not-found"}, objects...)...)
			failures = append(failures, err)
		}
	}
	return errors.Join(append(failures, s.cluster.Stop(ctx))...)
}

// shell returns the shell of a user who has typed what `make up` says, in a folder with the files of a page.
func (s *stage) shell(page *guide.Page) (guide.Shell, error) {
	path := filepath.Dir(s.cluster.KubectlPath()) + string(filepath.ListSeparator) + os.Getenv("PATH")
	names := []string{
		"namespace: shop", "namespace: " + s.namespace, "--namespace shop", "--namespace " + s.namespace, "create namespace shop", "create namespace " + s.namespace,
	}
	if s.existing {
		names = append(names, "spec:\n  audience:", "spec:\n  issuerRef: {name: "+s.issuer+"}\n  audience:")
	}
	shell := guide.Shell{
		Dir: filepath.Join(s.dir, "work"), Typed: strings.NewReplacer(names...),
		Shown: strings.NewReplacer(":"+s.namespace+":", ":shop:", "namespace/"+s.namespace, "namespace/shop", "from "+s.namespace+" namespace", "from shop namespace"),
		Env:   append(os.Environ(), "PATH="+path, "HOME="+s.dir, "KUBECONFIG="+s.cluster.Kubeconfig(), "KUBERC=off", "KUBECTL_KUBERC=false", "NO_COLOR=1"),
		// The cluster is up, and the demo stops it.
		Prelude: "make() { :; }\n",
	}
	if err := os.Mkdir(shell.Dir, 0o700); err != nil {
		return shell, err
	}
	return shell, shell.Files(page, s.root)
}

// explain prints the end of the manager's log, if the demo has started a manager.
func (s *stage) explain() {
	if s.cluster == nil || s.cluster.Process("manager") == nil {
		return
	}
	if content, err := os.ReadFile(s.cluster.Process("manager").LogPath()); err == nil {
		const last = 15
		all := strings.Split(strings.TrimSpace(string(content)), "\n")
		s.say("The end of the manager's log:")
		s.output(strings.Join(all[max(0, len(all)-last):], "\n"))
	}
}
