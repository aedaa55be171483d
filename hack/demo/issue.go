package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const manifestFile = "orders.yaml"

// header returns the first lines of a key's manifest.
func (s *scene) header(name string) string {
	return fmt.Sprintf("apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTRefreshKey\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n",
		name, s.stage.namespace)
}

func (s *scene) manifest() string {
	manifest := s.header(keyName) + `  audience: https://orders.example.com   # the API that the token is for
  lifetime: 720h                         # how long each token lives
`
	if !s.stage.ours {
		manifest += "  issuerRef: {name: " + s.stage.issuer + "}\n"
	}
	return manifest
}

func (s *scene) declareKey() {
	s.must(os.WriteFile(filepath.Join(s.scratch, manifestFile), []byte(s.manifest()), 0o600))
	s.say("The workers of a shop call an orders API, and need a refresh token for it. Their team requests " +
		"one with a manifest:")
	if !s.stage.ours {
		s.later(s.removeNamespace)
	}
	s.kubectl("create", "namespace", s.stage.namespace)
	s.command("cat " + manifestFile)
	s.block(s.manifest())
	s.metered("the first token", 2, func() {
		s.kubectl("apply", "-f", manifestFile)
		took := s.untilIssued(1)
		s.kubectl("get", "jrk", "-n", s.stage.namespace)
		s.gap()
		s.held("the Secret held token 1 %s", sinceKubectl(took))
	})
	if s.stage.ours {
		s.gap()
		s.say("The API server counts its requests (apiserver_request_total). Issuing the token took one write of the Secret " +
			"and one of the key's status. Each of the next steps prints its count.")
	}
}

func (s *scene) removeNamespace(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.stage.namespace}}
	return client.IgnoreNotFound(s.stage.client.Delete(ctx, namespace))
}
