package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/node"
)

const (
	operatorNamespace = "refreshkeys-system"
	shop              = "shop"
	clientImage       = "localhost/client:e2e"
	replicas          = 3

	pollEvery = 50 * time.Millisecond
	// settledBy is the number of exchanges of each pod that must succeed after a step.
	settledBy     = 3
	settledWithin = 30 * time.Second
	rolloutWithin = 3 * time.Minute
)

//go:embed workload.yaml
var workload string

// harness is the cluster with the workload, and the observations so far.
type harness struct {
	dir      string
	node     *node.Node
	client   client.Client
	observer *observer
	// install is the installation of the operator.
	install *installation
	rows    []row
}

// startHarness starts the node, installs the operator, and watches the clients.
func startHarness(ctx context.Context, args insideArguments) (*harness, error) {
	s := &harness{dir: args.dir}
	var err error
	s.node, err = node.Start(ctx, node.Options{Dir: args.dir, Binaries: args.node, Log: os.Stdout})
	if err != nil {
		return s, err
	}
	if err := s.connect(); err != nil {
		return s, err
	}
	began := time.Now()
	for _, archive := range []string{"manager.tar", "tokenserver.tar"} {
		if err := s.node.LoadImage(ctx, filepath.Join(args.images, archive)); err != nil {
			return s, err
		}
	}
	if err := s.node.LoadProgram(ctx, clientImage, args.client); err != nil {
		return s, err
	}
	if s.install, err = newInstallation(s.node, args); err != nil {
		return s, err
	}
	if err := s.install.install(ctx); err != nil {
		return s, err
	}
	fmt.Printf("the chart is installed after %s\n", seconds(time.Since(began)))
	s.observer = &observer{logs: s.node.PodLogs(), namespace: shop, followed: map[string]bool{}}
	go s.observer.watch(ctx)
	return s, nil
}

func (s *harness) connect() error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	var err error
	s.client, err = client.New(s.node.Cluster.Config(), client.Options{Scheme: scheme})
	return err
}

func (s *harness) rollout(ctx context.Context, namespace, deployment string) error {
	_, err := s.node.Cluster.Kubectl(ctx, "--namespace="+namespace, "rollout", "status", "deployment/"+deployment, "--timeout="+rolloutWithin.String())
	return err
}

// step changes the cluster under load, waits until every pod has exchanged for a
// while, and fails if an exchange failed.
func (s *harness) step(ctx context.Context, name string, do func(context.Context) (string, error)) error {
	fmt.Printf("%s ...\n", name)
	began := time.Now()
	seen, err := do(ctx)
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := s.settled(ctx, time.Now()); err != nil {
		return fmt.Errorf("%s: afterwards: %w", name, err)
	}
	r := s.rowSince(began)
	r.step, r.took, r.seen = name, took, seen
	s.rows = append(s.rows, r)
	if r.failed > 0 {
		return fmt.Errorf("%s: %d of %d exchanges failed: %s", name, r.failed, r.exchanges, s.failures(began))
	}
	fmt.Printf("%s: %s, %d exchanges, none failed; %s\n", name, seconds(took), r.exchanges, seen)
	return nil
}

func (s *harness) rowSince(began time.Time) row {
	var r row
	for _, each := range s.observer.since(began, exchangeLine) {
		r.exchanges++
		r.slowest = max(r.slowest, time.Duration(each.Milliseconds*float64(time.Millisecond)))
		if !each.OK {
			r.failed++
		}
	}
	return r
}

func (s *harness) failures(began time.Time) string {
	const most = 5
	var failures []string
	for _, each := range s.observer.since(began, exchangeLine) {
		if !each.OK && len(failures) < most {
			failures = append(failures, fmt.Sprintf("%s at %s with revision %d: %s", each.pod, each.At.Format(time.TimeOnly), each.Revision, each.Error))
		}
	}
	return strings.Join(failures, "; ")
}

// settled returns once every pod of the workload has exchanged a few times since a time,
// and one of its access tokens has been verified.
func (s *harness) settled(ctx context.Context, from time.Time) error {
	return s.eventually(ctx, settledWithin, func(ctx context.Context) (string, error) {
		pods, err := s.pods(ctx)
		if err != nil {
			return "", err
		}
		count, verified := map[string]int{}, false
		for _, each := range s.observer.since(from, exchangeLine) {
			count[each.pod]++
			verified = verified || each.Verified
		}
		for _, pod := range pods {
			if count[pod] < settledBy {
				return fmt.Sprintf("%s has exchanged %d times", pod, count[pod]), nil
			}
		}
		if len(pods) != replicas || !verified && !s.anyFailed(from) {
			return fmt.Sprintf("%d pods, an access token verified: %v", len(pods), verified), nil
		}
		return "", nil
	})
}

func (s *harness) anyFailed(from time.Time) bool {
	return slices.ContainsFunc(s.observer.since(from, exchangeLine), func(o observation) bool { return !o.OK })
}

// pods returns the names of the workload's pods that are not being deleted.
func (s *harness) pods(ctx context.Context) ([]string, error) {
	var list corev1.PodList
	if err := s.client.List(ctx, &list, client.InNamespace(shop), client.MatchingLabels{"app": "client"}); err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			names = append(names, list.Items[i].Name)
		}
	}
	return names, nil
}

// eventually waits until nothing is missing any more; the error names what was missing at the timeout.
func (s *harness) eventually(ctx context.Context, within time.Duration, look func(context.Context) (missing string, err error)) error {
	var missing string
	err := wait.PollUntilContextTimeout(ctx, pollEvery, within, true, func(ctx context.Context) (bool, error) {
		var err error
		missing, err = look(ctx)
		return err == nil && missing == "", err
	})
	if err != nil && missing != "" {
		return fmt.Errorf("not within %s: %s", within, missing)
	}
	return err
}

func (s *harness) key(ctx context.Context, name string) (*v1alpha1.JWTRefreshKey, error) {
	key := &v1alpha1.JWTRefreshKey{}
	return key, s.client.Get(ctx, client.ObjectKey{Namespace: shop, Name: name}, key)
}

func (s *harness) deployment(ctx context.Context, namespace, name string) (*appsv1.Deployment, error) {
	deployment := &appsv1.Deployment{}
	return deployment, s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, deployment)
}
