// Package acceptance decides whether a refresh token is accepted, as the token service does:
// with the same packages, and only from the objects in the cluster.
package acceptance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Verifier verifies refresh tokens by the objects that its reader returns: with a reader without a
// cache, by their current state.
type Verifier struct {
	Reader client.Reader
	// Namespace is the operator's namespace.
	Namespace string
	Now       func() time.Time
}

// ErrRefused is the error for a token that is not accepted; the wrapping error contains the reason.
var ErrRefused = errors.New("refused")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// Accept returns the standing of an accepted token, and ErrRefused for a token that is
// not accepted; any other error means that it could not decide.
func (v *Verifier) Accept(ctx context.Context, compact, issuerName string) (lifecycle.Standing, error) {
	issuer := &v1alpha1.JWTIssuer{}
	if err := v.Reader.Get(ctx, types.NamespacedName{Name: issuerName}, issuer); client.IgnoreNotFound(err) != nil {
		return lifecycle.StandingRefused, err
	} else if err != nil {
		return lifecycle.StandingRefused, refused("issuer %s does not exist", issuerName)
	}
	claims, err := v.verify(ctx, compact, issuer)
	if err != nil {
		return lifecycle.StandingRefused, err
	}
	key := &v1alpha1.JWTRefreshKey{}
	name := types.NamespacedName{Namespace: claims.Object.Namespace, Name: claims.Object.Name}
	if err := v.Reader.Get(ctx, name, key); client.IgnoreNotFound(err) != nil {
		return lifecycle.StandingRefused, err
	} else if err != nil {
		return lifecycle.StandingRefused, refused("key %s does not exist", name)
	}
	presented := lifecycle.Presented{UID: claims.Object.UID, JTI: claims.JTI, Revision: claims.Object.Revision}
	standing := lifecycle.StandingOf(key, presented, v.Now())
	if !standing.Accepted() {
		return standing, refused("key %s does not stand for revision %d", name, claims.Object.Revision)
	}
	return standing, v.authorise(ctx, claims, issuer)
}

func (v *Verifier) verify(ctx context.Context, compact string, issuer *v1alpha1.JWTIssuer) (*token.Claims, error) {
	var secrets corev1.SecretList
	err := v.Reader.List(ctx, &secrets, client.InNamespace(v.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer.Name})
	if err != nil {
		return nil, err
	}
	if len(secrets.Items) != 1 {
		return nil, refused("issuer %s has %d Secrets with signing keys", issuer.Name, len(secrets.Items))
	}
	rings, err := keyring.Decode(secrets.Items[0].Data)
	if err != nil {
		return nil, err
	}
	claims, err := token.Parse(compact, token.Refresh, rings, issuer.Spec.URL, v.Now())
	if err != nil {
		return nil, refused("%v", err)
	}
	return claims, nil
}

// authorise evaluates the policy again, as at issue: a token must not hold more than is granted now.
func (v *Verifier) authorise(ctx context.Context, claims *token.Claims, issuer *v1alpha1.JWTIssuer) error {
	namespace := &corev1.Namespace{}
	if err := v.Reader.Get(ctx, types.NamespacedName{Name: claims.Object.Namespace}, namespace); err != nil {
		return err
	}
	compiled, err := policy.Compile(&issuer.Spec)
	if err != nil {
		return err
	}
	request := policy.Request{
		Namespace:       namespace.Name,
		NamespaceLabels: namespace.Labels,
		DefaultSubject:  claims.ClientID,
		Subject:         claims.Subject,
		Audience:        claims.Audience,
		Lifetime:        claims.ExpiresAt.Sub(claims.IssuedAt),
		Scopes:          strings.Fields(claims.Scope),
		Claims:          slices.Sorted(maps.Keys(claims.Extra)),
	}
	if err := compiled.Check(request); err != nil {
		return refused("%v", err)
	}
	return nil
}
