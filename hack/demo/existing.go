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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

// joinCluster prepares the demo in the cluster of the current kubeconfig.
func (s *scene) joinCluster() {
	rules := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	config, err := rules.ClientConfig()
	s.must(err)
	config = unthrottled.Config(config)
	path, err := findKubectl()
	s.must(err)
	s.stage, err = newStage(config, kubectl{
		path: path, flags: []string{"--cache-dir=" + filepath.Join(s.scratch, "kubectl-cache")}, dir: s.scratch,
	})
	s.must(err)
	name := "refreshkeys-demo-" + utilrand.String(5)
	s.stage.issuer, s.stage.namespace = name, name
	s.say("USE_EXISTING_CLUSTER is set: the demo runs at %s, in the namespace %s and with a JWTIssuer "+
		"of that name. It removes both at the end.", config.Host, name)
	s.gap()

	worker, deployed, err := cluster.WorkingManager(s.ctx, s.stage.clientset)
	s.must(err)
	s.stage.deployed = deployed
	if worker != "" {
		s.aside("%s already runs here: nothing is installed", worker)
	} else {
		s.installOperator()
		s.untilEnforced()
		s.runManagerFor(config)
	}
	s.makeIssuer(name)
	s.gap()
	s.stage.readyAfter = time.Since(s.began)
	s.held("JWTIssuer %s has signing keys and is ready, %s after the start", name, span(s.stage.readyAfter))
}

// findKubectl returns the user's kubectl, which may have plugins to reach the user's cluster, or the one that was built.
func findKubectl() (string, error) {
	if path, err := exec.LookPath("kubectl"); err == nil {
		return path, nil
	}
	assets, err := cluster.FindAssets()
	if err != nil {
		return "", errors.Join(errors.New("there is no kubectl on PATH, and none was built"), err)
	}
	return filepath.Join(assets, "kubectl"), nil
}

func (s *scene) installOperator() {
	root, err := cluster.RepositoryRoot()
	s.must(err)
	for _, part := range []string{"crd", "rbac"} {
		_, err := s.stage.kubectl.run(s.ctx, "", "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(root, "config", part))
		s.must(err)
		s.aside("config/%s applied; it stays", part)
	}
	_, err = s.stage.kubectl.run(s.ctx, "", "wait", "--for=condition=Established", "--timeout=60s",
		"crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
	s.must(err)
}

// runManagerFor runs the manager on this machine with the rights of its ServiceAccount.
func (s *scene) runManagerFor(config *rest.Config) {
	lifetime := int64(endsWithin+cleansWithin) / int64(time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &lifetime}}
	issued, err := s.stage.clientset.CoreV1().ServiceAccounts(operatorNamespace).CreateToken(s.ctx, operatorName, request, metav1.CreateOptions{})
	s.must(err)
	kubeconfig := filepath.Join(s.scratch, "manager.kubeconfig")
	s.must(writeKubeconfig(kubeconfig, config, issued.Status.Token))
	began := time.Now()
	s.stage.manager, err = cluster.RunManagerFor(s.ctx, kubeconfig, s.scratch)
	s.must(err)
	s.later(s.stage.manager.Stop)
	s.aside("manager built and serving on this machine after %.1fs", time.Since(began).Seconds())
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

// makeIssuer creates a JWTIssuer for the demo and waits until it is ready.
func (s *scene) makeIssuer(name string) {
	issuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.JWTIssuerSpec{URL: fmt.Sprintf("https://%s.example.com", name)},
	}
	s.later(func(ctx context.Context) error { return s.removeIssuer(ctx, issuer) })
	s.must(s.stage.client.Create(s.ctx, issuer))
	_, err := s.stage.kubectl.run(s.ctx, "", "wait", "--for=condition=Ready", "--timeout=90s", "jwtissuer/"+name)
	s.must(err)
}

// removeIssuer deletes the issuer and its signing keys, which the operator keeps by design.
func (s *scene) removeIssuer(ctx context.Context, issuer *v1alpha1.JWTIssuer) error {
	if err := client.IgnoreNotFound(s.stage.client.Delete(ctx, issuer)); err != nil {
		return err
	}
	return s.stage.client.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(operatorNamespace),
		client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer.Name})
}
