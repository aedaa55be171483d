package faults

import (
	"errors"
	"fmt"
	"sync"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/acceptance"
)

// roll lists the tokens that are to be accepted, by their hash.
type acceptList map[string]registry.Standing

// enter puts the tokens of a living key on the roll.
func (l acceptList) add(key *v1alpha1.JWTRefreshKey) {
	if key.Status.RevokedAt != nil || key.Status.TokenHash == "" {
		return
	}
	l[key.Status.TokenHash] = registry.Current
	for _, earlier := range key.Status.Previous {
		l[earlier.TokenHash] = registry.Superseded
	}
}

// call judges every token that was ever in a Secret of a namespace, or on its way there:
// those on the roll are accepted, and no other is. Nothing may move meanwhile.
func (l acceptList) verify(h *harness, namespace, issuer string) error {
	var (
		mu     sync.Mutex
		faults []error
	)
	fault := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, fmt.Errorf(format, args...))
	}
	verifier := &acceptance.Verifier{Reader: newCachedReader(h.admin), Namespace: h.verifier.Namespace, Now: h.verifier.Now}
	inParallel(h.journal.tokensOf(namespace), func(compact string) {
		hash := token.Hash(compact)
		standing, err := verifier.Accept(h.ctx, compact, issuerNamed(compact, issuer))
		switch want, listed := l[hash]; {
		case err != nil && !errors.Is(err, acceptance.ErrRefused):
			fault("token %s could not be judged: %w", hash, err)
		case err != nil && listed:
			fault("token %s is on the list and refused: %w", hash, err)
		case err == nil && !listed:
			fault("token %s is accepted with standing %d and listed nowhere", hash, standing)
		case err == nil && standing != want:
			fault("token %s is accepted with standing %d, not %d", hash, standing, want)
		}
	})
	return errors.Join(faults...)
}

// seen is an error for each token on the roll that was never in a Secret of a namespace, nor
// on its way there.
func (l acceptList) verifyRecorded(h *harness, namespace string) error {
	hashes := map[string]bool{}
	for _, compact := range h.journal.tokensOf(namespace) {
		hashes[token.Hash(compact)] = true
	}
	var faults []error
	for hash, standing := range l {
		if !hashes[hash] {
			faults = append(faults, fmt.Errorf("token %s is on the list with standing %d and was never in a Secret", hash, standing))
		}
	}
	return errors.Join(faults...)
}

// inParallel does something with every item, several at a time.
func inParallel[T any](items []T, do func(T)) {
	const atOnce = 8
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, item := range items {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(item)
		})
	}
	all.Wait()
}
