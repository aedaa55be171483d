package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// The operator's namespace and ServiceAccount, as in config/rbac.
	operatorNamespace = "refreshkeys-system"
	operatorName      = "refreshkeys-manager"
	// replicas is the number of replicas of the token service: each must observe what the other records.
	replicas = 2
)

// startCluster starts a control plane with the operator for the demo.
func (h *harness) startCluster() {
	h.say("etcd, kube-apiserver, the operator's manager and two replicas of its token service start as plain processes on " +
		"loopback. The demo stops them at its end. The manager and the token service run as their own ServiceAccounts, with only the " +
		"rights in config/rbac.")
	began := time.Now()
	_, err := cluster.BuildManager(h.ctx)
	h.must(err)
	h.aside("manager built in %s", span(time.Since(began)))

	c, err := cluster.Start(h.ctx, cluster.Options{Dir: filepath.Join(h.scratch, "cluster"), Log: progress{h.page}})
	h.must(err)
	h.later(func(ctx context.Context) error {
		c.Log = nil
		return c.Stop(ctx)
	})
	h.must(cluster.Install(h.ctx, c))
	h.connect(c.Config(), c.KubectlPath(), "--kubeconfig="+c.Kubeconfig())
	h.issuer, h.namespace = "default", "shop"
	h.manager, err = cluster.RunManager(h.ctx, c)
	h.must(err)
	_, err = cluster.RunTokenServers(h.ctx, c, replicas)
	h.must(err)
	for n := 1; n <= replicas; n++ {
		address, err := c.TokenServerURL(n)
		h.must(err)
		h.replicas = append(h.replicas, address)
	}
	h.must(cluster.EnsureIssuer(h.ctx, c))
	h.held("JWTIssuer default has signing keys and is ready, %s after the start", span(time.Since(h.began)))
}

func (h *harness) connect(config *rest.Config, kubectl string, flags ...string) {
	admin, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	h.must(err)
	h.client, h.verifier = admin, acceptance.Verifier{Reader: admin, Namespace: operatorNamespace, Now: time.Now}
	h.kubectl = append([]string{kubectl, "--cache-dir=" + filepath.Join(h.scratch, "kubectl-cache")}, flags...)
}

// joinCluster prepares the demo in the cluster of the current kubeconfig.
func (h *harness) joinCluster() {
	rules := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	config, err := rules.ClientConfig()
	h.must(err)
	config.QPS = -1
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		assets, err := cluster.FindAssets()
		h.must(err)
		kubectl = filepath.Join(assets, "kubectl")
	}
	h.connect(config, kubectl)
	h.issuer = "refreshkeys-demo-" + utilrand.String(5)
	h.namespace = h.issuer
	h.say("USE_EXISTING_CLUSTER is set: the demo runs at %s, in the namespace %s and with a JWTIssuer of that name. It removes both "+
		"at the end.", config.Host, h.issuer)
	clients, err := kubernetes.NewForConfig(config)
	h.must(err)
	worker, err := cluster.WorkingManager(h.ctx, clients)
	h.must(err)
	if worker != "" {
		h.aside("%s already runs here: nothing is installed", worker)
	} else {
		h.installOperator(config, clients)
	}
	issuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: h.issuer}, Spec: v1alpha1.JWTIssuerSpec{URL: fmt.Sprintf("https://%s.example.com", h.issuer)},
	}
	h.later(func(ctx context.Context) error { return h.removeObjects(ctx, issuer) })
	h.must(h.client.Create(h.ctx, issuer))
	_, err = h.run("", "wait", "--for=condition=Ready", "--timeout=90s", "jwtissuer/"+h.issuer)
	h.must(err)
	h.held("JWTIssuer %s has signing keys and is ready, %s after the start", h.issuer, span(time.Since(h.began)))
}

// installOperator installs the CRDs and the roles, and runs the manager on this machine with the rights of its
// ServiceAccount.
func (h *harness) installOperator(config *rest.Config, clients kubernetes.Interface) {
	root, err := cluster.RepositoryRoot()
	h.must(err)
	for _, part := range []string{"crd", "rbac"} {
		_, err := h.run("", "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(root, "config", part))
		h.must(err)
		h.aside("config/%s applied; it stays", part)
	}
	_, err = h.run("", "wait", "--for=condition=Established", "--timeout=60s", "crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
	h.must(err)
	lifetime := int64((endsWithin + cleansWithin) / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &lifetime}}
	issued, err := clients.CoreV1().ServiceAccounts(operatorNamespace).CreateToken(h.ctx, operatorName, request, metav1.CreateOptions{})
	h.must(err)
	kubeconfig := filepath.Join(h.scratch, "manager.kubeconfig")
	h.must(writeKubeconfig(kubeconfig, config, issued.Status.Token))
	h.manager, err = cluster.RunManagerFor(h.ctx, kubeconfig, h.scratch)
	h.must(err)
	h.later(h.manager.Stop)
	h.aside("the manager runs on this machine")
}

// writeKubeconfig writes a kubeconfig for the same server that authenticates only with a bearer token.
func writeKubeconfig(path string, config *rest.Config, token string) error {
	config = rest.CopyConfig(config)
	if err := rest.LoadTLSFiles(config); err != nil {
		return err
	}
	const name = "demo"
	content := clientcmdapi.NewConfig()
	content.Clusters[name] = &clientcmdapi.Cluster{
		Server: config.Host, TLSServerName: config.ServerName,
		CertificateAuthorityData: config.CAData, InsecureSkipTLSVerify: config.Insecure,
	}
	content.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	content.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	content.CurrentContext = name
	return clientcmd.WriteToFile(*content, path)
}

// removeObjects deletes the namespace, the issuer and its signing keys, which the operator keeps by design.
func (h *harness) removeObjects(ctx context.Context, issuer *v1alpha1.JWTIssuer) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.namespace}}
	keys := h.client.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(operatorNamespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer.Name})
	return errors.Join(client.IgnoreNotFound(h.client.Delete(ctx, namespace)), client.IgnoreNotFound(h.client.Delete(ctx, issuer)), keys)
}
