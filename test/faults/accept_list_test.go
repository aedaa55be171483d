package faults

import (
	"errors"
	"fmt"
	"sync"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/acceptance"
)

// acceptList maps the hash of each token that must be accepted to its expected standing.
type acceptList map[string]lifecycle.Standing

// add lists the current and the superseded tokens of a key. A revoked or never issued key adds none.
func (l acceptList) add(key *v1alpha1.JWTRefreshKey) {
	if key.Status.RevokedAt != nil || key.Status.TokenHash == "" {
		return
	}
	l[key.Status.TokenHash] = lifecycle.StandingCurrent
	for _, earlier := range key.Status.Previous {
		l[earlier.TokenHash] = lifecycle.StandingSuperseded
	}
}

// verify checks every token that was ever in a Secret of a namespace, or in a write of one: exactly the
// listed tokens are accepted. The cluster must not change meanwhile.
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
			fault("cannot verify token %s: %w", hash, err)
		case err != nil && listed:
			fault("token %s must be accepted and is refused: %w", hash, err)
		case err == nil && !listed:
			fault("token %s must be refused and is accepted with standing %d", hash, standing)
		case err == nil && standing != want:
			fault("token %s: got standing %d, want %d", hash, standing, want)
		}
	})
	return errors.Join(faults...)
}

// verifyRecorded returns an error for each listed token that was never in a Secret of a namespace, nor in a
// write of one.
func (l acceptList) verifyRecorded(h *harness, namespace string) error {
	hashes := map[string]bool{}
	for _, compact := range h.journal.tokensOf(namespace) {
		hashes[token.Hash(compact)] = true
	}
	var faults []error
	for hash, standing := range l {
		if !hashes[hash] {
			faults = append(faults, fmt.Errorf("token %s with standing %d was never in a Secret", hash, standing))
		}
	}
	return errors.Join(faults...)
}

// inParallel calls do for every item, for eight at a time.
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
