package chart

import (
	"cmp"
	"context"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestTheConsoleHasNoRights compares what the console's ServiceAccount may do with what each ServiceAccount may. With impersonation, it
// may be a person in addition, and nothing else.
func TestTheConsoleHasNoRights(t *testing.T) {
	t.Cleanup(func() {
		if _, err := suite.Kubectl(context.Background(), "delete", "--ignore-not-found", "clusterrole,clusterrolebinding", "refreshkeys-console-impersonation"); err != nil {
			t.Error(err)
		}
		cleanUp(t)
	})
	install := func(components string) {
		t.Helper()
		kubectl(t, "apply", "--server-side", "-k", overlay(t, "resources: [ROOT/config/default]\ncomponents: ["+components+"]"))
	}
	may := func(account, in string) []string {
		t.Helper()
		said := kubectl(t, "auth", "can-i", "--list", "--namespace", in, "--as=system:serviceaccount:"+namespace+":"+account)
		lines := strings.Split(strings.TrimSpace(said), "\n")
		for i := range lines {
			lines[i] = strings.Join(strings.Fields(lines[i]), " ")
		}
		slices.Sort(lines)
		return lines
	}
	install("ROOT/config/console")
	for _, in := range []string{namespace, "default"} {
		// There is no such ServiceAccount, so it has the rights that all have.
		if console, each := may("refreshkeys-console", in), may("any", in); !slices.Equal(console, each) || len(each) < 5 {
			t.Errorf("in %s, the console may\n%s\nand each ServiceAccount\n%s", in, strings.Join(console, "\n"), strings.Join(each, "\n"))
		}
	}
	install("ROOT/config/console, ROOT/config/console-impersonation")
	each, more := may("any", namespace), 0
	for _, line := range may("refreshkeys-console", namespace) {
		if slices.Contains(each, line) {
			continue
		}
		more++
		verbs := line[strings.LastIndex(line, "[")+1:]
		for verb := range strings.FieldsSeq(strings.TrimSuffix(verbs, "]")) {
			if !strings.HasPrefix(verb, "impersonate:user-info") && !strings.HasPrefix(verb, "impersonate-on:user-info:") &&
				(!strings.HasPrefix(line, "self") || verb != "create") {
				t.Errorf("with impersonation, the console may %s", line)
			}
		}
	}
	if more != 8 {
		t.Errorf("%d resources are more than those of each ServiceAccount, and the role has 8", more)
	}
}

// TestTheConsoleReachesTheTokenService follows the flags of the console to what the same release has: the Service, the pods behind it, the
// Secret with the certificate authority, and the rule of the NetworkPolicy, also where the API server has other ports.
func TestTheConsoleReachesTheTokenService(t *testing.T) {
	for _, c := range []struct{ name, values string }{
		{"defaults", `{console: {enabled: true}}`},
		{"other ports and names", `{console: {enabled: true}, tokenServer: {service: {port: 8444}, podLabels: {team: platform}},
  tls: {mode: Secret, secretName: tokens-tls}, networkPolicy: {egress: {apiServerPorts: [6443]}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := gomega.NewWithT(t)
			all, err := render(t, c.values)
			w.Expect(err).NotTo(gomega.HaveOccurred())
			console, service, policy := &appsv1.Deployment{}, &corev1.Service{}, &networkingv1.NetworkPolicy{}
			pods := &appsv1.Deployment{}
			for of, into := range map[string]any{
				"Deployment refreshkeys-console": console, "Service refreshkeys-tokenserver": service, "NetworkPolicy refreshkeys-console": policy,
				"Deployment refreshkeys-tokenserver": pods,
			} {
				typed(t, all, of, into)
			}
			flags := map[string]string{}
			for _, arg := range console.Spec.Template.Spec.Containers[0].Args {
				name, value, _ := strings.Cut(arg, "=")
				flags[name] = strings.ReplaceAll(value, "$(POD_NAMESPACE)", namespace)
			}
			at, err := url.Parse(flags["--token-service"])
			w.Expect(err).NotTo(gomega.HaveOccurred())
			// The operator's certificate and that of cert-manager are for this name.
			w.Expect(at.Hostname()).To(gomega.Equal(service.Name + "." + service.Namespace + ".svc"))
			port := cmp.Or(at.Port(), "443")
			w.Expect(port).To(gomega.Equal(strconv.Itoa(int(service.Spec.Ports[0].Port))))
			w.Expect(service.Spec.Selector).To(gomega.Equal(pods.Spec.Selector.MatchLabels))

			served := "refreshkeys-tokenserver-tls"
			for _, arg := range pods.Spec.Template.Spec.Containers[0].Args {
				if name, ok := strings.CutPrefix(arg, "--tls-secret="); ok {
					served = name
				}
			}
			w.Expect(secretAt(console, flags["--token-service-ca-file"])).To(gomega.Equal(served), "of the volume with ca.crt alone")
			w.Expect(allows(policy, pods)).To(gomega.BeTrue(), "the NetworkPolicy lets the console connect to the token service: %+v", policy.Spec.Egress)
		})
	}
}

// TestExtraArgsComeLast checks that extraArgs take precedence over the flags that the chart sets: of a flag, the last value counts.
func TestExtraArgsComeLast(t *testing.T) {
	const extra = "--token-service=https://tokens.example.com"
	all, err := render(t, `{manager: {logVerbosity: 2, extraArgs: [`+extra+`]}, tokenServer: {logVerbosity: 2, extraArgs: [`+extra+`]}, console: {enabled: true, hosts: [keys.example.com],
  sessionIdle: 10m, logVerbosity: 2, oidc: {config: {issuerURL: "https://idp.example.com", clientID: console}}, impersonation: {enabled: true}, extraArgs: [`+extra+`]}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"manager", "tokenserver", "console"} {
		made := &appsv1.Deployment{}
		typed(t, all, "Deployment refreshkeys-"+command, made)
		args := made.Spec.Template.Spec.Containers[0].Args
		if len(args) < 2 || args[len(args)-1] != extra {
			t.Errorf("the flags of the %s are %q", command, args)
		}
	}
}

// typed converts the object of a rendering with a kind and name.
func typed(t *testing.T, all []*unstructured.Unstructured, of string, into any) {
	t.Helper()
	for _, object := range all {
		if object.GetKind()+" "+object.GetName() != of {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("there is no %s", of)
}

// secretAt returns the Secret of which a file of the pod is the only one, whether it has the file or not; empty if there is none.
func secretAt(deployment *appsv1.Deployment, file string) string {
	pod := deployment.Spec.Template.Spec
	for _, mount := range pod.Containers[0].VolumeMounts {
		if mount.MountPath != path.Dir(file) || !mount.ReadOnly {
			continue
		}
		for _, volume := range pod.Volumes {
			if secret := volume.Secret; volume.Name == mount.Name && secret != nil && len(secret.Items) == 1 && secret.Items[0].Path == path.Base(file) && *secret.Optional {
				return secret.SecretName
			}
		}
	}
	return ""
}

// allows reports whether a policy has a rule for the port of a Deployment's pods that selects them.
func allows(policy *networkingv1.NetworkPolicy, pods *appsv1.Deployment) bool {
	template := pods.Spec.Template
	for _, rule := range policy.Spec.Egress {
		for _, peer := range rule.To {
			selector, err := metav1.LabelSelectorAsSelector(peer.PodSelector)
			if err == nil && selector.Matches(labels.Set(template.Labels)) && len(rule.Ports) == 1 &&
				rule.Ports[0].Port.IntVal == template.Spec.Containers[0].Ports[0].ContainerPort {
				return true
			}
		}
	}
	return false
}
