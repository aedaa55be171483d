package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// replicaCount is the number of replicas of the token service; some parts need only one.
const replicaCount = 2

// service is the token service in the lab: replicas as processes of their own, and keys
// that a raw client has created like the manager. The manager does not run.
type service struct {
	*lab
	replicas []*cluster.Process
	// asService acts as the token service's ServiceAccount.
	asService *rest.Config
	// writer writes status with only the manager's rights.
	writer client.Client
	// status is the status of a key that the manager has issued.
	status      *v1alpha1.JWTRefreshKeyStatus
	ringsSecret *corev1.Secret
	rings       *keyring.Rings
	issuerURL   string
	metrics     *scraper
	// emptyHeap is the live heap of the first replica without any key.
	emptyHeap float64
	// exchanged are the keys with tokens that several parts exchange.
	exchanged []issuedKey
	// made is the number of all keys.
	made int
}

// openService returns a service with ready replicas and no keys.
func openService(ctx context.Context, l *lab) (*service, error) {
	// The manager must not run after the raw client has created keys.
	if slices.Contains(l.settings.only, partLogin) {
		if err := l.makeLoginIssuer(ctx); err != nil {
			return nil, err
		}
	}
	t, err := l.takeTemplate(ctx)
	if err != nil {
		return nil, err
	}
	s := &service{lab: l, status: t.status}
	if s.writer, err = client.New(l.asManager, client.Options{Scheme: controllers.Scheme()}); err != nil {
		return nil, err
	}
	if s.issuerURL, err = l.cluster.TokenServerURL(1); err != nil {
		return nil, err
	}
	if err := s.readRings(ctx); err != nil {
		return nil, err
	}
	if s.replicas, err = cluster.RunTokenServers(ctx, l.cluster, replicaCount); err != nil {
		return nil, err
	}
	// Written by cluster.RunTokenServers.
	s.asService, err = clientcmd.BuildConfigFromFlags("", filepath.Join(l.cluster.Dir(), "tokenserver.kubeconfig"))
	if err != nil {
		return nil, err
	}
	s.asService = unthrottled.Config(s.asService)
	port, err := l.cluster.Port("tokenserver-1-health")
	if err != nil {
		return nil, err
	}
	s.metrics = &scraper{client: &http.Client{Timeout: 10 * time.Second}, url: fmt.Sprintf("http://127.0.0.1:%d/metrics", port)}
	if s.emptyHeap, err = s.liveHeap(ctx); err != nil {
		return nil, err
	}
	return s, s.stop(ctx)
}

func (s *service) readRings(ctx context.Context) error {
	var secrets corev1.SecretList
	err := s.admin.List(ctx, &secrets, client.InNamespace(operatorNamespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: cluster.DefaultIssuer})
	if err != nil {
		return err
	}
	if len(secrets.Items) != 1 {
		return fmt.Errorf("there are %d Secrets of signing keys, want one", len(secrets.Items))
	}
	s.ringsSecret = &secrets.Items[0]
	s.rings, err = keyring.Decode(s.ringsSecret.Data)
	return err
}

// start runs the first replicas, up to a number, with empty caches, and waits until they are
// ready.
func (s *service) start(ctx context.Context, replicas int) error {
	if err := s.stop(ctx); err != nil {
		return err
	}
	for _, replica := range s.replicas[:replicas] {
		if err := replica.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) stop(ctx context.Context) error {
	var failed error
	for _, replica := range s.replicas {
		failed = errors.Join(failed, replica.Stop(ctx))
	}
	return failed
}

// address returns the address of the n-th replica, from 0.
func (s *service) address(n int) (string, error) {
	return s.addressOf(fmt.Sprintf("tokenserver-%d", n+1))
}

func (s *service) addressOf(port string) (string, error) {
	number, err := s.cluster.Port(port)
	return fmt.Sprintf("127.0.0.1:%d", number), err
}

// The cores of the measurements on one core: the measured server has the first core, as
// far as other load of the machine permits, and all other processes of the bench share the rest.
const measuredCore = "0"

// recording asks the first replica for the answers that the floor gives again, and returns the flags of the floor that name their files.
type recording func(context.Context) (flags []string, err error)

// onOneCore measures the floor and one replica on the same core.
func (s *service) onOneCore(ctx context.Context, record recording, measure func(*pair) error) (err error) {
	floor, err := s.oneCore(ctx, record)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.allCores(context.WithoutCancel(ctx), floor)) }()
	pair, err := s.pair(floor.Pid())
	if err != nil {
		return err
	}
	return measure(pair)
}

// oneCore starts the floor and one replica, each with one running thread, on the same core.
func (s *service) oneCore(ctx context.Context, record recording) (floor *cluster.Process, err error) {
	others := "1-" + strconv.Itoa(cores()-1)
	if cores() < 2 {
		return nil, errors.New("the measurement needs at least two cores: with one core, neither server reaches its limit")
	}
	// Processes of the cluster get this environment.
	if err := os.Setenv("GOMAXPROCS", "1"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Unsetenv("GOMAXPROCS")) }()
	if err := s.start(ctx, 1); err != nil {
		return nil, err
	}
	if floor, err = s.startFloor(ctx, record); err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(cores() - 1)
	for pid, core := range map[int]string{
		s.replicas[0].Pid(): measuredCore, floor.Pid(): measuredCore,
		os.Getpid(): others, s.cluster.Etcd.Pid(): others, s.cluster.APIServer.Pid(): others,
	} {
		if err := pin(ctx, pid, core); err != nil {
			return nil, err
		}
	}
	return floor, nil
}

// allCores undoes oneCore.
func (s *service) allCores(ctx context.Context, floor *cluster.Process) error {
	all := "0-" + strconv.Itoa(cores()-1)
	failed := errors.Join(floor.Stop(ctx), s.stop(ctx))
	runtime.GOMAXPROCS(cores())
	for _, pid := range []int{os.Getpid(), s.cluster.Etcd.Pid(), s.cluster.APIServer.Pid()} {
		failed = errors.Join(failed, pin(ctx, pid, all))
	}
	return failed
}

// pin pins all threads of a process to some cores; later threads inherit this.
func pin(ctx context.Context, pid int, cores string) error {
	out, err := exec.CommandContext(ctx, "taskset", "--all-tasks", "--cpu-list", "--pid", cores, strconv.Itoa(pid)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("taskset (of util-linux): %w: %s", err, out)
	}
	return nil
}

// startFloor builds and runs the floor with the certificate of the token service, the keys
// of the issuer and answers of the first replica.
func (s *service) startFloor(ctx context.Context, record recording) (*cluster.Process, error) {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(s.dir, "floor")
	if err := cluster.Build(ctx, root, "./test/bench/floor", binary); err != nil {
		return nil, err
	}
	if err := s.writeFloorFiles(ctx); err != nil {
		return nil, err
	}
	address, err := s.addressOf("floor")
	if err != nil {
		return nil, err
	}
	health, err := s.addressOf("floor-health")
	if err != nil {
		return nil, err
	}
	flags, err := record(ctx)
	if err != nil {
		return nil, err
	}
	// Run does not restart a running floor when its files change: allCores stops it after each measurement.
	return s.cluster.Run(ctx, cluster.Program{
		Name: "floor", Binary: binary, Health: "http://" + health + "/",
		Args: append(flags, "-address="+address, "-health="+health, "-rings="+s.file("rings.json"), "-certificate="+s.file("tls.crt"), "-key="+s.file("tls.key")),
	})
}

func (s *service) file(name string) string { return filepath.Join(s.dir, name) }

func (s *service) writeFloorFiles(ctx context.Context) error {
	certificate := &corev1.Secret{}
	if err := s.admin.Get(ctx, types.NamespacedName{Namespace: operatorNamespace, Name: "refreshkeys-tokenserver-tls"}, certificate); err != nil {
		return err
	}
	rings, err := json.Marshal(s.ringsSecret.Data)
	if err != nil {
		return err
	}
	return s.writeFiles(map[string][]byte{
		"tls.crt": certificate.Data[corev1.TLSCertKey], "tls.key": certificate.Data[corev1.TLSPrivateKeyKey], "rings.json": rings,
	})
}

func (s *service) writeFiles(files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(s.file(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// recordExchange is the recording of an exchange.
func (s *service) recordExchange(ctx context.Context) ([]string, error) {
	address, err := s.address(0)
	if err != nil {
		return nil, err
	}
	connection, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	answer, err := connection.must(refreshRequest("/token", s.exchanged[0].token))
	if err != nil {
		return nil, err
	}
	return []string{"-answer=" + s.file("answer.json")}, s.writeFiles(map[string][]byte{"answer.json": answer})
}

// clientTLS is the configuration of clients that are not measured. It does not verify the server.
func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
}
