package apiserver

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

// The operator's namespace, and the two ServiceAccounts that may write status.
const (
	Namespace   = "refreshkeys-system"
	Manager     = "refreshkeys-manager"
	TokenServer = "refreshkeys-tokenserver"
)

// Manager returns a configuration that acts as the manager in a cluster: with
// its ServiceAccount's token, and so with the exact rights of config/rbac.
func (s *Server) Manager(ctx context.Context) (*rest.Config, error) {
	return s.ServiceAccount(ctx, Namespace, Manager)
}

// TokenServer is Manager for the token service.
func (s *Server) TokenServer(ctx context.Context) (*rest.Config, error) {
	return s.ServiceAccount(ctx, Namespace, TokenServer)
}

// ServiceAccount returns a configuration that acts as the ServiceAccount, which
// must exist, for a day.
func (s *Server) ServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	admin, err := kubernetes.NewForConfig(s.Admin)
	if err != nil {
		return nil, err
	}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 60 * 60)},
	}
	answer, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("no token for ServiceAccount %s/%s, which config/rbac should create: %w", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(s.Admin)
	config.BearerToken = answer.Status.Token
	return config, nil
}

// As returns a configuration with which the administrator impersonates a user.
// The user has no rights until a test grants some.
func (s *Server) As(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(s.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}
