package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
)

// issuedKey is a key with its current token.
type issuedKey struct {
	*v1alpha1.JWTRefreshKey
	mint  lifecycle.Mint
	token string
}

// issue creates keys with a status like the manager's, each with a line and a token of its own
// with a valid signature. It is a raw client: for tens of thousands of keys, the manager
// would take many minutes, and other parts measure it.
func (s *service) issue(ctx context.Context, b batch, change func(*v1alpha1.JWTRefreshKey)) ([]issuedKey, error) {
	for i := range namespacesPerBatch {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace(i)}}
		if err := s.admin.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
	}
	began := time.Now()
	keys := make([]issuedKey, b.keys)
	err := b.each(ctx, adminWorkers, func(ctx context.Context, i int) (err error) {
		key := b.newKey(i)
		change(key)
		if err := s.admin.Create(ctx, key); err != nil {
			return err
		}
		key.ManagedFields = nil
		key.Status = *s.status.DeepCopy()
		key.Status.SecretName, key.Status.TokenLine = key.Name, v1alpha1.TokenLine{}
		keys[i].JWTRefreshKey = key
		if err := s.advance(&keys[i]); err != nil {
			return err
		}
		return s.writer.Status().Update(ctx, key)
	})
	if err != nil {
		return nil, fmt.Errorf("issue the keys of %s: %w", b.name, err)
	}
	s.made += b.keys
	progress("%d keys of %s issued in %.0fs", b.keys, b.name, time.Since(began).Seconds())
	return keys, nil
}

// asTheyCome does not change a key.
func asTheyCome(*v1alpha1.JWTRefreshKey) {}

// advance adds the next token to the line of a key, only in memory.
func (s *service) advance(key *issuedKey) (err error) {
	superseded := key.Status.TokenLine
	if key.mint, err = lifecycle.Successor(key.JWTRefreshKey, s.issuerURL, time.Now()); err != nil {
		return err
	}
	signer, err := s.rings.Signer(keyring.Refresh)
	if err != nil {
		return err
	}
	token, made, err := line.Mint(key.JWTRefreshKey, &key.mint, uuid.Must(uuid.NewV7()).String(), signer)
	if err != nil {
		return err
	}
	var previous []v1alpha1.SupersededToken
	if superseded.Revision > 0 {
		previous = []v1alpha1.SupersededToken{lifecycle.Superseded(&superseded)}
	}
	key.Status.TokenLine = made.Line(previous)
	key.token = token
	return nil
}

// variant returns another token with the same place in the line and another expiry: the
// service accepts it by its jti, and has not cached it.
func (s *service) variant(key *issuedKey, number int) (string, error) {
	signer, err := s.rings.Signer(keyring.Refresh)
	if err != nil {
		return "", err
	}
	mint := key.mint
	mint.ExpiresAt = mint.ExpiresAt.Add(-time.Duration(number) * time.Minute)
	token, _, err := line.Mint(key.JWTRefreshKey, &mint, key.Status.JTI, signer)
	return token, err
}

// exchangedKeys returns at least a number of keys with tokens to exchange.
func (s *service) exchangedKeys(ctx context.Context) ([]issuedKey, error) {
	if len(s.exchanged) > 0 {
		return s.exchanged, nil
	}
	var err error
	s.exchanged, err = s.issue(ctx, batch{name: "exchanged", keys: s.settings.serviceKeys}, asTheyCome)
	return s.exchanged, err
}
