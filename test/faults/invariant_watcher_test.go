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
	"github.com/refreshkeys/refreshkeys/test/acceptance"
)

// witness watches Secrets and keys all the time, as an application would, and complains of
// every moment in which an invariant did not hold.
//
// It looks at each token when it finds it. A token that is refused is no complaint when the
// Secret has moved on meanwhile, or when it is one that was killed on purpose.
type invariantWatcher struct {
	scene *harness
	// of names the issuer of what is in a namespace; empty for a namespace of somebody else.
	issuerOf func(namespace string) (issuer string)

	work chan func()

	mu              sync.Mutex
	refusalExpected map[string]bool // hashes of tokens that were killed, or planted, on purpose
	damaged         map[client.ObjectKey]bool
	violations      map[string][]string // by namespace
	seen            map[string]bool     // versions of Secrets
	judged          int
	histories       map[string]*lineHistory // by UID of the key
}

// startWitness watches from now on until the test ends.
func (h *harness) startWatcher(of func(namespace string) (issuer string)) *invariantWatcher {
	h.t.Helper()
	w := &invariantWatcher{
		scene: h, issuerOf: of, work: make(chan func(), 10000), refusalExpected: map[string]bool{}, damaged: map[client.ObjectKey]bool{},
		violations: map[string][]string{}, seen: map[string]bool{}, histories: map[string]*lineHistory{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	informers, err := cache.New(h.config, cache.Options{Scheme: h.admin.Scheme()})
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
	h.t.Cleanup(func() {
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

func (w *invariantWatcher) watch(ctx context.Context, informers cache.Cache, object client.Object, saw func(any)) {
	w.scene.t.Helper()
	informer, err := informers.GetInformer(ctx, object)
	w.scene.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: saw, UpdateFunc: func(_, now any) { saw(now) },
	})
	w.scene.Expect(err).NotTo(gomega.HaveOccurred())
}

func (w *invariantWatcher) enqueue(ctx context.Context, task func()) {
	select {
	case w.work <- task:
	case <-ctx.Done():
	}
}

// kill says that tokens of these hashes are going to be refused on purpose, or never were any.
func (w *invariantWatcher) expectRefusal(hashes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, hash := range hashes {
		w.refusalExpected[hash] = true
	}
}

// plunder says whether a key's Secret is damaged on purpose: that the key is Ready without a
// token in it is then not its fault.
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

// said are the complaints about a namespace.
func (w *invariantWatcher) violationsIn(namespace string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []error
	for _, violation := range w.violations[namespace] {
		all = append(all, errors.New(violation))
	}
	return errors.Join(all...)
}

// judgements is how many tokens it has looked at.
func (w *invariantWatcher) judgedCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.judged
}

// sawSecret is invariant 1: whatever token stands in the Secret is accepted.
func (w *invariantWatcher) onSecret(ctx context.Context, secret *corev1.Secret) {
	w.scene.journal.recordSecret(secret.Namespace, secret)
	compact := string(secret.Data[v1alpha1.SecretToken])
	if compact != "" && !w.expectsRefusal(compact) {
		w.verify(ctx, secret, compact, "when the Secret changed")
	}
	w.mu.Lock()
	w.seen[version(secret)] = true
	w.mu.Unlock()
}

// lookAt judges what the Secrets of a namespace hold at this very moment.
func (w *invariantWatcher) verifyNamespace(ctx context.Context, namespace, when string) {
	var secrets corev1.SecretList
	if w.issuerOf(namespace) == "" || w.scene.admin.List(ctx, &secrets, client.InNamespace(namespace)) != nil {
		return
	}
	for i := range secrets.Items {
		if compact := string(secrets.Items[i].Data[v1alpha1.SecretToken]); compact != "" && !w.expectsRefusal(compact) {
			w.verify(ctx, &secrets.Items[i], compact, when)
		}
	}
}

func (w *invariantWatcher) verify(ctx context.Context, secret *corev1.Secret, compact, when string) {
	_, refusal := w.scene.verifier.Accept(ctx, compact, issuerNamed(compact, w.issuerOf(secret.Namespace)))
	w.mu.Lock()
	w.judged++
	w.mu.Unlock()
	if !errors.Is(refusal, acceptance.ErrRefused) || w.expectsRefusal(compact) {
		return
	}
	// It stood there when it was seen and stands there still: so it did while it was refused.
	if now, err := w.secret(ctx, client.ObjectKeyFromObject(secret)); err == nil && string(now.Data[v1alpha1.SecretToken]) == compact && !w.expectsRefusal(compact) {
		w.report(secret.Namespace, "invariant 1, %s: a reader of Secret %s/%s found a token (revision %s, %s) that is refused: %v",
			when, secret.Namespace, secret.Name, secret.Annotations[v1alpha1.AnnotationRevision], token.Hash(compact), refusal)
	}
}

func (w *invariantWatcher) secret(ctx context.Context, name client.ObjectKey) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := w.scene.admin.Get(ctx, name, secret)
	return secret, err
}

// sawKey is invariant 1 from the other side, since a change of the key can kill the token in
// its Secret; and it is the promise of Ready: that there is one.
func (w *invariantWatcher) onKey(ctx context.Context, key *v1alpha1.JWTRefreshKey) {
	if key.Status.SecretName == "" {
		return
	}
	name := client.ObjectKey{Namespace: key.Namespace, Name: key.Status.SecretName}
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
	if err := w.scene.admin.Get(ctx, client.ObjectKeyFromObject(key), now); err != nil || now.ResourceVersion != key.ResourceVersion {
		return
	}
	w.mu.Lock()
	excused := w.damaged[client.ObjectKeyFromObject(key)]
	w.mu.Unlock()
	if !excused {
		w.report(key.Namespace, "key %s is Ready with revision %d, and its Secret %s holds no token (%v)", key.Name, key.Status.Revision, name, err)
	}
}

func version(secret *corev1.Secret) string {
	return secret.Namespace + "/" + secret.Name + " version " + secret.ResourceVersion
}

// catchUp waits until the witness has judged what a Secret holds now.
func (w *invariantWatcher) catchUp(namespaces ...string) {
	w.scene.t.Helper()
	for _, namespace := range namespaces {
		w.scene.Eventually(func() error {
			var secrets corev1.SecretList
			if err := w.scene.admin.List(w.scene.ctx, &secrets, client.InNamespace(namespace)); err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for i := range secrets.Items {
				if !w.seen[version(&secrets.Items[i])] {
					return fmt.Errorf("the witness has not seen Secret %s yet", version(&secrets.Items[i]))
				}
			}
			return nil
		}, waitTimeout, pollEvery).Should(gomega.Succeed())
	}
}
