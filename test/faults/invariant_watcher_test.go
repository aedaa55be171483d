package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
)

// invariantWatcher watches Secrets and refresh keys all the time, as an application does, and reports every
// violation of an invariant.
//
// It verifies each token when it sees it. A refused token does not count if the Secret has changed
// meanwhile, or if the test announced the refusal.
type invariantWatcher struct {
	fixture *fixture
	// issuerOf returns the issuer for a namespace; empty for a namespace of another test.
	issuerOf func(namespace string) (issuer string)

	work chan func()

	mu              sync.Mutex
	refusalExpected map[string]bool // hashes of tokens that the test revoked or planted
	damaged         map[client.ObjectKey]bool
	violations      map[string][]string // by namespace
	seen            map[string]bool     // versions of Secrets
	verified        int
	histories       map[string]*lineHistory // by UID of the key
}

// onlyNamespace says that of all namespaces only one is watched, whose issuer has its name.
func onlyNamespace(name string) func(namespace string) (issuer string) {
	return func(namespace string) string {
		if namespace == name {
			return name
		}
		return ""
	}
}

// startWatcher starts a watcher that runs until the test ends. of returns the issuer of a namespace, or nothing for one that is not
// watched.
func (h *fixture) startWatcher(of func(namespace string) (issuer string)) *invariantWatcher {
	h.T.Helper()
	w := &invariantWatcher{
		fixture: h, issuerOf: of, work: make(chan func(), 10000), refusalExpected: map[string]bool{}, damaged: map[client.ObjectKey]bool{},
		violations: map[string][]string{}, seen: map[string]bool{}, histories: map[string]*lineHistory{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	informers, err := cache.New(h.config, cache.Options{Scheme: h.Admin.Scheme()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for task := range w.work {
				task()
			}
		})
	}
	var watching sync.WaitGroup
	watching.Go(func() { _ = informers.Start(ctx) })
	h.T.Cleanup(func() {
		cancel()
		watching.Wait()
		close(w.work)
		running.Wait()
	})
	w.watch(ctx, informers, &corev1.Secret{}, func(object any) {
		if secret, ok := object.(*corev1.Secret); ok && w.issuerOf(secret.Namespace) != "" {
			w.enqueue(ctx, func() { w.onSecret(ctx, secret) })
		}
	})
	w.watch(ctx, informers, &v1alpha1.JWTRefreshKey{}, func(object any) {
		if key, ok := object.(*v1alpha1.JWTRefreshKey); ok && w.issuerOf(key.Namespace) != "" {
			w.record(key)
			w.enqueue(ctx, func() { w.onKey(ctx, key) })
		}
	})
	return w
}

func (w *invariantWatcher) watch(ctx context.Context, informers cache.Cache, object client.Object, handle func(any)) {
	w.fixture.T.Helper()
	informer, err := informers.GetInformer(ctx, object)
	w.fixture.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: handle, UpdateFunc: func(_, now any) { handle(now) },
	})
	w.fixture.Expect(err).NotTo(gomega.HaveOccurred())
}

func (w *invariantWatcher) enqueue(ctx context.Context, task func()) {
	select {
	case w.work <- task:
	case <-ctx.Done():
	}
}

// expectRefusal announces that tokens with these hashes will be refused, or are not tokens.
func (w *invariantWatcher) expectRefusal(hashes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, hash := range hashes {
		w.refusalExpected[hash] = true
	}
}

// expectDamage announces that the test damages a key's Secret, or that it no longer does. A damaged Secret
// may lack a token while the key is Ready.
func (w *invariantWatcher) expectDamage(key client.ObjectKey, damaged bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.damaged[key] = damaged
}

func (w *invariantWatcher) expectsRefusal(compact string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusalExpected[token.Hash(compact)]
}

func (w *invariantWatcher) report(namespace, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations[namespace] = append(w.violations[namespace], fmt.Sprintf(format, args...))
}

// violationsIn returns the violations in a namespace.
func (w *invariantWatcher) violationsIn(namespace string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []error
	for _, violation := range w.violations[namespace] {
		all = append(all, errors.New(violation))
	}
	return errors.Join(all...)
}

// verifiedCount returns how many tokens the watcher has verified.
func (w *invariantWatcher) verifiedCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verified
}

// onSecret checks I1: a token in a Secret is accepted.
func (w *invariantWatcher) onSecret(ctx context.Context, secret *corev1.Secret) {
	w.fixture.journal.recordSecret(secret.Namespace, secret)
	compact := string(secret.Data[v1alpha1.SecretToken])
	if compact != "" && !w.expectsRefusal(compact) {
		w.verify(ctx, secret, compact, "when the Secret changed")
	}
	w.mu.Lock()
	w.seen[version(secret)] = true
	w.mu.Unlock()
}

// verifyNamespace verifies the tokens that are now in the Secrets of a namespace.
func (w *invariantWatcher) verifyNamespace(ctx context.Context, namespace, when string) {
	var secrets corev1.SecretList
	if w.issuerOf(namespace) == "" || w.fixture.Admin.List(ctx, &secrets, client.InNamespace(namespace)) != nil {
		return
	}
	for i := range secrets.Items {
		if compact := string(secrets.Items[i].Data[v1alpha1.SecretToken]); compact != "" && !w.expectsRefusal(compact) {
			w.verify(ctx, &secrets.Items[i], compact, when)
		}
	}
}

func (w *invariantWatcher) verify(ctx context.Context, secret *corev1.Secret, compact, when string) {
	_, refusal := w.fixture.verifier.Accept(ctx, compact, issuerNamed(compact, w.issuerOf(secret.Namespace)))
	w.mu.Lock()
	w.verified++
	w.mu.Unlock()
	if !errors.Is(refusal, acceptance.ErrRefused) || w.expectsRefusal(compact) {
		return
	}
	// The token was in the Secret before and after it was refused, so it was there meanwhile, too.
	if now, err := w.secret(ctx, client.ObjectKeyFromObject(secret)); err == nil && string(now.Data[v1alpha1.SecretToken]) == compact && !w.expectsRefusal(compact) {
		w.report(secret.Namespace, "I1, %s: Secret %s/%s held a token (revision %s, %s) that is refused: %v",
			when, secret.Namespace, secret.Name, secret.Annotations[v1alpha1.AnnotationRevision], token.Hash(compact), refusal)
	}
}

func (w *invariantWatcher) secret(ctx context.Context, name client.ObjectKey) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := w.fixture.Admin.Get(ctx, name, secret)
	return secret, err
}

// onKey checks I1 when a refresh key changes, since that can revoke the token in its Secret. It
// also checks that the Secret of a Ready key holds a token.
func (w *invariantWatcher) onKey(ctx context.Context, key *v1alpha1.JWTRefreshKey) {
	if key.Status.SecretName == "" {
		return
	}
	name := client.ObjectKey{Namespace: key.Namespace, Name: key.Status.SecretName}
	// The test can withdraw its announcement as soon as the Secret is restored, so it is read first.
	w.mu.Lock()
	excused := w.damaged[client.ObjectKeyFromObject(key)]
	w.mu.Unlock()
	secret, err := w.secret(ctx, name)
	if compact := string(secret.Data[v1alpha1.SecretToken]); compact != "" {
		if !w.expectsRefusal(compact) {
			w.verify(ctx, secret, compact, "when the key changed")
		}
		return
	}
	if _, ready := readyOf(key.Status.Conditions); !ready || client.IgnoreNotFound(err) != nil {
		return
	}
	now := &v1alpha1.JWTRefreshKey{}
	if err := w.fixture.Admin.Get(ctx, client.ObjectKeyFromObject(key), now); err != nil || now.ResourceVersion != key.ResourceVersion {
		return
	}
	if !excused {
		w.report(key.Namespace, "key %s is Ready with revision %d, but its Secret %s holds no token (%v)", key.Name, key.Status.Revision, name, err)
	}
}

func version(secret *corev1.Secret) string {
	return secret.Namespace + "/" + secret.Name + " version " + secret.ResourceVersion
}

// catchUp waits until the watcher has seen the present state of all Secrets in the namespaces.
func (w *invariantWatcher) catchUp(namespaces ...string) {
	w.fixture.T.Helper()
	for _, namespace := range namespaces {
		w.fixture.Eventually(func() error {
			var secrets corev1.SecretList
			if err := w.fixture.Admin.List(w.fixture.Ctx, &secrets, client.InNamespace(namespace)); err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for i := range secrets.Items {
				if !w.seen[version(&secrets.Items[i])] {
					return fmt.Errorf("the watcher has not seen Secret %s yet", version(&secrets.Items[i]))
				}
			}
			return nil
		}).Should(gomega.Succeed())
	}
}
