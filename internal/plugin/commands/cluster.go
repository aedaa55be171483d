package commands

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

// cluster is a client of the API server of the kubeconfig's current context, or of the one that the flags select.
type cluster struct {
	client.WithWatch
	clients   kubernetes.Interface
	config    *rest.Config
	namespace string
}

const (
	keyKind    = "JWTRefreshKey"
	issuerKind = "JWTIssuer"
)

func (c *app) connect() (*cluster, error) {
	config, err := c.Flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	// As an exec credential plugin, this process signs a user in. It must not start itself to do so.
	if c.getExecInfo() != "" && config.ExecProvider != nil {
		return nil, errors.New("the kubeconfig's user signs in with a command, and this plugin runs as that command: choose another user with --context or --user, or use a session (`exchange --session`)")
	}
	config = unthrottled.Config(config)
	config.Wrap(c.Logged)
	config.UserAgent = "kubectl-refreshkey"
	namespace, _, err := c.Flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	// The client reads only two kinds, so it needs no discovery.
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion})
	for kind, scope := range map[string]meta.RESTScope{keyKind: meta.RESTScopeNamespace, issuerKind: meta.RESTScopeRoot} {
		of := map[string]resource{keyKind: keyResource, issuerKind: issuerResource}[kind]
		mapper.AddSpecific(v1alpha1.GroupVersion.WithKind(kind), v1alpha1.GroupVersion.WithResource(of.plural), v1alpha1.GroupVersion.WithResource(of.singular), scope)
	}
	typed, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper})
	return &cluster{WithWatch: &installed{typed, config.Host}, clients: clients, config: config, namespace: namespace}, err
}

// key reads a refresh key in the namespace.
func (k *cluster) key(ctx context.Context, name string) (*v1alpha1.JWTRefreshKey, error) {
	key := &v1alpha1.JWTRefreshKey{}
	if err := k.Get(ctx, client.ObjectKey{Namespace: k.namespace, Name: name}, key); err != nil {
		return nil, err
	}
	key.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(keyKind))
	return key, nil
}

func (k *cluster) issuer(ctx context.Context, name string) (*v1alpha1.JWTIssuer, error) {
	issuer := &v1alpha1.JWTIssuer{}
	if err := k.Get(ctx, client.ObjectKey{Name: name}, issuer); err != nil {
		return nil, err
	}
	issuer.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(issuerKind))
	return issuer, nil
}

// issuerOfURL returns the oldest issuer with a URL, which takes precedence; nil if there is none.
func (k *cluster) issuerOfURL(ctx context.Context, url string) (*v1alpha1.JWTIssuer, error) {
	var all v1alpha1.JWTIssuerList
	if err := k.List(ctx, &all); err != nil {
		return nil, err
	}
	issuers := make([]*v1alpha1.JWTIssuer, len(all.Items))
	for i := range all.Items {
		issuers[i] = &all.Items[i]
	}
	return endpoint.Owner(issuers, url), nil
}

// storedToken is the content of a key's Secret.
type storedToken struct {
	secret string
	token  string
	ca     []byte
}

// errNoToken is the cause of all errors of storedToken.
var errNoToken = errors.New("the token cannot be read")

// storedToken reads the token in the Secret of a key.
func (k *cluster) storedToken(ctx context.Context, key *v1alpha1.JWTRefreshKey) (*storedToken, error) {
	name := lifecycle.SecretName(key)
	if name == "" {
		return nil, cli.Fail(cli.ExitNotFound, "%w: key %s has no Secret (secret.mode None, or a session)", errNoToken, key.Name)
	}
	secret, err := k.clients.CoreV1().Secrets(key.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, cli.Fail(cli.ExitNotFound, "%w: Secret %s does not exist (yet)", errNoToken, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoToken, err)
	}
	h := &storedToken{secret: name, token: string(secret.Data[v1alpha1.SecretToken]), ca: secret.Data[v1alpha1.SecretCA]}
	switch {
	case secret.Type != corev1.SecretTypeOpaque || !madeFor(key, secret):
		return nil, cli.Fail(cli.ExitError, "%w: the operator does not manage Secret %s", errNoToken, name)
	case h.token == "" && outlook.ReadyReason(key) == v1alpha1.ReasonIssued && lifecycle.OneTime(key):
		return nil, cli.Fail(cli.ExitNotFound, "%w: the one-time token of key %s was used; the client that used it has the next one", errNoToken, key.Name)
	case h.token == "":
		return nil, cli.Fail(cli.ExitNotFound, "%w: Secret %s holds none (key %s is %s)", errNoToken, name, key.Name, outlook.Status(key))
	}
	return h, nil
}

// madeFor reports whether the operator manages a Secret for a key: by the label, or by the owner reference, since
// an admission policy may have changed the label.
func madeFor(key *v1alpha1.JWTRefreshKey, secret *corev1.Secret) bool {
	return secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy || metav1.IsControlledBy(secret, key)
}

// secretCA returns the ca.crt of a key's Secret, which also remains when the token is removed; nil if it cannot be read.
func (k *cluster) secretCA(ctx context.Context, key *v1alpha1.JWTRefreshKey) []byte {
	secret, err := k.clients.CoreV1().Secrets(key.Namespace).Get(ctx, lifecycle.SecretName(key), metav1.GetOptions{})
	if err != nil || !madeFor(key, secret) {
		return nil
	}
	return secret.Data[v1alpha1.SecretCA]
}
