package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// combination is a set of values with the expected objects.
type combination struct {
	name, values string
	// has and hasNot are objects by kind and name.
	has, hasNot []string
	// says are pieces of the text of what is rendered.
	says []string
}

var combinations = []combination{
	{
		name: "nothing", values: "{}",
		has: []string{"Deployment refreshkeys-system/refreshkeys-manager", "PodDisruptionBudget refreshkeys-system/refreshkeys-tokenserver",
			"PriorityClass refreshkeys", "NetworkPolicy refreshkeys-system/refreshkeys-default-deny"},
		hasNot: []string{"Deployment refreshkeys-system/refreshkeys-console", "ServiceAccount refreshkeys-system/refreshkeys-console", "HorizontalPodAutoscaler", "Certificate", "Ingress", "TLSRoute", "HTTPRoute", "JWTIssuer", "ServiceMonitor", "Job"},
	},
	{
		name: "as small as can be",
		values: `{manager: {replicas: 1, podDisruptionBudget: {enabled: false}, topologySpread: {enabled: false}},
  tokenServer: {replicas: 1, podDisruptionBudget: {enabled: false}, topologySpread: {enabled: false}},
  priorityClass: {create: false, name: ""}, networkPolicy: {enabled: false}}`,
		hasNot: []string{"PodDisruptionBudget", "PriorityClass", "NetworkPolicy"},
		says:   []string{"replicas: 1"},
	},
	{
		name:   "scaled by load",
		values: `{tokenServer: {autoscaling: {enabled: true, maxReplicas: 20}, podDisruptionBudget: {maxUnavailable: 25%}}}`,
		has:    []string{"HorizontalPodAutoscaler refreshkeys-system/refreshkeys-tokenserver"},
		says:   []string{"maxReplicas: 20", "maxUnavailable: 25%"},
	},
	{
		name: "where it runs",
		values: `{manager: {nodeSelector: {pool: control}, tolerations: [{key: control, operator: Exists}], podAnnotations: {a: b}, podLabels: {c: d}},
  tokenServer: {affinity: {nodeAffinity: {}}, topologySpread: {whenUnsatisfiable: DoNotSchedule}, serviceAccountAnnotations: {e: f}},
  priorityClass: {create: false, name: system-cluster-critical}}`,
		hasNot: []string{"PriorityClass"},
		says:   []string{"pool: control", "whenUnsatisfiable: DoNotSchedule", "priorityClassName: system-cluster-critical", "e: f"},
	},
	{
		name: "images from elsewhere",
		values: `{image: {registry: registry.example.com/mirror, tag: v0.1.1, pullPolicy: Never, pullSecrets: [mirror]},
  manager: {image: {digest: "sha256:` + strings.Repeat("0a", 32) + `"}}, uninstall: {keepTokens: false}}`,
		says: []string{"registry.example.com/mirror/tokenserver:v0.1.1", "registry.example.com/mirror/manager@sha256:0a0a", "imagePullPolicy: Never", "name: mirror"},
	},
	{
		name:   "every flag",
		values: `{namespaces: [shop], fastPropagation: {enabled: true}, restarts: {enabled: true}, tls: {secretName: own-tls, dnsNames: [tokens.example.com]}, manager: {logVerbosity: 1, extraArgs: [--reissue-per-second=10]}, tokenServer: {logVerbosity: 2, maxStaleness: 5m, recordIPAddress: true, extraArgs: [--live-reads-per-second=10]}, uninstall: {keepTokens: false, removeCRDs: true, timeout: 90s}}`,
		says: []string{"--namespaces=shop", "--fast-propagation", "--restarts", "--tls-secret=own-tls", "--tls-names=tokens.example.com",
			"--max-staleness=5m", "--record-ip-address", "--remove-crds", "--timeout=90s"},
	},
	{
		name:   "some namespaces only",
		values: `{namespaces: [shop, billing], fastPropagation: {enabled: true}, restarts: {enabled: true}, uninstall: {keepTokens: false}}`,
		has: []string{"Role shop/refreshkeys-manager-tenant", "RoleBinding billing/refreshkeys-tokenserver-tenant", "Role billing/refreshkeys-manager-fast-propagation",
			"Role shop/refreshkeys-manager-restarts", "Role default/refreshkeys-manager-issuer-events", "Role shop/refreshkeys-uninstall"},
		hasNot: []string{"ClusterRole refreshkeys-metrics-auth", "ClusterRole refreshkeys-manager-fast-propagation", "ClusterRole refreshkeys-manager-restarts"},
	},
	{
		name:   "its own namespace among some",
		values: `{namespaces: [shop, refreshkeys-system], uninstall: {keepTokens: false}}`,
		has:    []string{"Role refreshkeys-system/refreshkeys-manager-tenant", "Role refreshkeys-system/refreshkeys-manager"},
	},
	{
		name:   "cert-manager",
		values: `{tls: {mode: CertManager, dnsNames: [tokens.example.com, 192.0.2.7], certManager: {issuerRef: {name: letsencrypt, kind: ClusterIssuer}}}}`,
		has:    []string{"Certificate refreshkeys-system/refreshkeys-tokenserver"},
		says:   []string{"refreshkeys-tokenserver.refreshkeys-system.svc", "ipAddresses:\n  - 192.0.2.7", "kind: ClusterIssuer", "app.kubernetes.io/managed-by: cert-manager"},
	},
	{
		name:   "a certificate of one's own",
		values: `{tls: {mode: Secret, secretName: own-tls}}`,
		hasNot: []string{"Certificate"}, says: []string{"--tls-secret=own-tls"},
	},
	{
		name:   "an Ingress",
		values: `{ingress: {enabled: true, className: nginx, hosts: [tokens.example.com], tlsSecretName: tokens-tls}}`,
		has:    []string{"Ingress refreshkeys-system/refreshkeys-tokenserver"}, says: []string{"backend-protocol: HTTPS", "ingressClassName: nginx"},
	},
	{
		name:   "a load balancer",
		values: `{tokenServer: {service: {type: LoadBalancer, port: 8443, annotations: {lb: internal}}}}`,
		says:   []string{"type: LoadBalancer", "lb: internal", "port: 8443"},
	},
	{
		name:   "a TLSRoute",
		values: `{gateway: {tlsRoute: {enabled: true, parentRefs: [{name: edge, sectionName: tokens}], hostnames: [tokens.example.com]}}}`,
		has:    []string{"TLSRoute refreshkeys-system/refreshkeys-tokenserver"}, hasNot: []string{"BackendTLSPolicy", "HTTPRoute"},
	},
	{
		name: "an HTTPRoute",
		values: `{gateway: {httpRoute: {enabled: true, parentRefs: [{name: edge, namespace: infra}], hostnames: [tokens.example.com]},
  backendTLSPolicy: {caCertificateRefs: [{group: "", kind: ConfigMap, name: refreshkeys-ca}]}}}`,
		has:  []string{"HTTPRoute refreshkeys-system/refreshkeys-tokenserver", "BackendTLSPolicy refreshkeys-system/refreshkeys-tokenserver"},
		says: []string{"hostname: tokens.example.com"},
	},
	{
		name:   "an HTTPRoute to a public certificate",
		values: `{gateway: {httpRoute: {enabled: true, parentRefs: [{name: edge}], hostnames: [tokens.example.com]}, backendTLSPolicy: {hostname: inner.example.com, wellKnownCACertificates: System}}}`,
		says:   []string{"hostname: inner.example.com", "wellKnownCACertificates: System"},
	},
	{
		name:   "another network",
		values: `{networkPolicy: {metricsNamespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}, egress: {apiServerPorts: [7443], tokenServerPorts: [9443]}}}`,
		says:   []string{"kubernetes.io/metadata.name: monitoring", "port: 7443", "port: 9443"},
	},
	{
		name:   "teams that share the cluster",
		values: `{issuerUse: {enabled: true}, aggregatedRoles: {enabled: true}}`,
		has:    []string{"ValidatingAdmissionPolicy issuer-use.jwt.refreshkeys.dev"}, says: []string{"rbac.authorization.k8s.io/aggregate-to-edit"},
	},
	{
		name:   "kinds that are installed otherwise",
		values: `{crds: {install: false}}`,
		hasNot: []string{"CustomResourceDefinition", "ValidatingAdmissionPolicy"},
	},
	{
		name:   "a first issuer",
		values: `{issuer: {create: true, spec: {url: "https://tokens.example.com", policy: {rules: [{namespaces: {matchLabels: {team: shop}}, audiences: ["https://*.example.com"]}]}}}}`,
		has:    []string{"JWTIssuer default"}, says: []string{"helm.sh/resource-policy: keep"},
	},
	{
		name: "metrics",
		values: `{monitoring: {serviceMonitor: {enabled: true, interval: 15s, labels: {release: prometheus}}, prometheusRule: {enabled: true, labels: {team: platform}},
  dashboard: {enabled: true, labels: {sidecar: "1"}}}}`,
		has:  []string{"ServiceMonitor refreshkeys-system/refreshkeys-manager", "PodMonitor refreshkeys-system/refreshkeys-tokenserver", "PrometheusRule refreshkeys-system/refreshkeys"},
		says: []string{"release: prometheus", "team: platform", `sidecar: "1"`, "interval: 15s"},
	},
	{
		name: "the console", values: `{console: {enabled: true}}`,
		has: []string{"Deployment refreshkeys-system/refreshkeys-console", "Service refreshkeys-system/refreshkeys-console", "ServiceAccount refreshkeys-system/refreshkeys-console",
			"NetworkPolicy refreshkeys-system/refreshkeys-console", "PodDisruptionBudget refreshkeys-system/refreshkeys-console"},
		hasNot: []string{"ClusterRole refreshkeys-console-impersonation", "ConfigMap refreshkeys-system/refreshkeys-console-oidc", "Ingress"},
		says: []string{"--console-tls-secret=refreshkeys-console-tls", "automountServiceAccountToken: false", "name: kube-root-ca.crt",
			"--token-service=https://refreshkeys-tokenserver.$(POD_NAMESPACE).svc\n", "secretName: refreshkeys-tokenserver-tls"},
	},
	{
		name: "every value of the console",
		values: `{console: {enabled: true, replicas: 2, hosts: [keys.example.com, "keys.example.com:8443"], basePath: /refresh/, reveal: Never, docsURL: "https://docs.example.com",
  sessionIdle: 10m, sessionMax: 8h, logVerbosity: 2, extraArgs: [--namespace=refreshkeys-system], podAnnotations: {a: b}, egressPorts: [9443], service: {type: LoadBalancer, annotations: {lb: internal}},
  oidc: {config: {issuerURL: "https://idp.example.com", clientID: console, clientSecretFile: /etc/refreshkeys/oidc/secret}, secretName: idp, assertionAudience: "https://idp.example.com"},
  ingress: {enabled: true, className: nginx, tlsSecretName: keys-tls}}}`,
		has: []string{"Ingress refreshkeys-system/refreshkeys-console", "ConfigMap refreshkeys-system/refreshkeys-console-oidc"},
		says: []string{"--host=keys.example.com:8443", "--console-tls-names=keys.example.com,keys.example.com", "--base-path=/refresh/", "--reveal=Never", "sessionAffinity: ClientIP",
			"path: /refresh/", "audience: https://idp.example.com", "checksum/oidc:", "port: 9443", "name: idp", "proxy-buffering"},
	},
	{
		name:   "the console with a token service of other names",
		values: `{console: {enabled: true}, tls: {mode: Secret, secretName: tokens-tls}, tokenServer: {service: {port: 8444}}}`,
		has:    []string{"Deployment refreshkeys-system/refreshkeys-console"},
		says: []string{"--token-service=https://refreshkeys-tokenserver.$(POD_NAMESPACE).svc:8444\n", "--token-service-ca-file=/etc/refreshkeys/token-service/ca.crt\n",
			"- key: ca.crt\n            path: ca.crt\n          optional: true\n          secretName: tokens-tls\n"},
	},
	{
		name:   "the console with impersonation",
		values: `{console: {enabled: true, impersonation: {enabled: true}, oidc: {config: {issuerURL: "https://idp.example.com", clientID: console}}}}`,
		has:    []string{"ClusterRole refreshkeys-console-impersonation", "ClusterRoleBinding refreshkeys-console-impersonation"},
		says:   []string{"automountServiceAccountToken: true", "impersonate-on:user-info:list", "--impersonate"},
	},
	{
		name:   "the console with a certificate of cert-manager",
		values: `{console: {enabled: true, hosts: ["keys.example.com:8443"], tls: {mode: CertManager, secretName: keys-tls}}, tls: {certManager: {issuerRef: {name: letsencrypt}}}}`,
		has:    []string{"Certificate refreshkeys-system/refreshkeys-console"}, hasNot: []string{"Certificate refreshkeys-system/refreshkeys-tokenserver"},
		says: []string{"- keys.example.com\n", "secretName: keys-tls"},
	},
	{
		name:   "removal at the end",
		values: `{uninstall: {keepTokens: false, removeCRDs: true}}`,
		has:    []string{"Job refreshkeys-system/refreshkeys-uninstall", "ClusterRole refreshkeys-uninstall", "NetworkPolicy refreshkeys-system/refreshkeys-uninstall"},
	},
}

// TestValues: each combination is taken by the API server as a whole, its pods are admitted where
// Pod Security `restricted` is enforced and write nothing to their disk, and the commands know the flags.
func TestValues(t *testing.T) {
	h := newHarness(t)
	prepareNamespaces(h)
	commands := buildCommands(t)
	for _, c := range combinations {
		t.Run(c.name, func(t *testing.T) {
			all, err := render(t, c.values)
			if err != nil {
				t.Fatal(err)
			}
			checkObjects(t, all, c)
			checkTaken(h.In(t), all)
			for _, object := range all {
				if template := podTemplate(t, object); template != nil {
					checkPod(h.In(t), object, template, commands)
				}
			}
		})
	}
}

// prepareNamespaces makes what a release with these values finds: namespaces, and the kinds.
func prepareNamespaces(h *harness.Harness) {
	h.T.Helper()
	for _, each := range []string{namespace, "shop", "billing"} {
		err := h.Admin.Create(h.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: each, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}})
		if client.IgnoreAlreadyExists(err) != nil {
			h.T.Fatal(err)
		}
	}
	// Pods are admitted only for ServiceAccounts and of priorities that are there.
	kubectl(h.T, "apply", "--server-side", "-k", filepath.Join(suite.root, "config/default"))
	h.T.Cleanup(func() { cleanUp(h.T) })
	for _, account := range []string{"refreshkeys-uninstall", "refreshkeys-console"} {
		kubectl(h.T, "create", "serviceaccount", "--namespace", namespace, account)
	}
	kubectl(h.T, "wait", "--for=condition=Established", "--timeout=1m", "crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
}

// buildCommands builds all of them into a folder.
func buildCommands(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", folder, "./cmd/manager", "./cmd/tokenserver", "./cmd/console")
	build.Dir, build.Env = suite.root, append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if _, err := output(build); err != nil {
		t.Fatal(err)
	}
	return folder
}

func checkObjects(t *testing.T, all []*unstructured.Unstructured, c combination) {
	t.Helper()
	var names, kinds []string
	var texts strings.Builder
	for _, object := range all {
		names, kinds = append(names, name(object)), append(kinds, object.GetKind())
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		texts.Write(text)
	}
	for _, wanted := range c.has {
		if !slices.Contains(names, wanted) {
			t.Errorf("there is no %s", wanted)
		}
	}
	for _, unwanted := range c.hasNot {
		if slices.Contains(names, unwanted) || slices.Contains(kinds, unwanted) {
			t.Errorf("there is a %s", unwanted)
		}
	}
	for _, piece := range c.says {
		if !strings.Contains(texts.String(), piece) {
			t.Errorf("nothing says %q", piece)
		}
	}
	twice := slices.Sorted(slices.Values(names))
	if compact := slices.Compact(slices.Clone(twice)); len(compact) != len(twice) {
		t.Errorf("an object is there twice: %v", twice)
	}
}

// checkTaken checks that the API server accepts all objects, applied like config/default; it refuses
// unknown fields.
func checkTaken(h *harness.Harness, all []*unstructured.Unstructured) {
	h.T.Helper()
	for _, object := range all {
		err := h.Admin.Apply(h.Ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()),
			client.DryRunAll, client.ForceOwnership, client.FieldOwner("kubectl"))
		if err != nil {
			h.T.Errorf("%s is not taken: %v", name(object), err)
		}
	}
}

func podTemplate(t *testing.T, object *unstructured.Unstructured) *corev1.PodTemplateSpec {
	t.Helper()
	found, ok, err := unstructured.NestedMap(object.Object, "spec", "template")
	if err != nil || !ok || !slices.Contains([]string{"Deployment", "Job"}, object.GetKind()) {
		return nil
	}
	template := &corev1.PodTemplateSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found, template, true); err != nil {
		t.Fatal(err)
	}
	return template
}

func checkPod(h *harness.Harness, of *unstructured.Unstructured, template *corev1.PodTemplateSpec, commands string) {
	h.T.Helper()
	if class := template.Spec.PriorityClassName; class != "" && class != "refreshkeys" && class != "system-cluster-critical" {
		h.T.Fatalf("%s is of an unknown priority: %s", name(of), class)
	}
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.GenerateName = of.GetNamespace(), of.GetName()+"-"
	if err := h.Admin.Create(h.Ctx, pod, client.DryRunAll); err != nil {
		h.T.Errorf("a pod of %s is not admitted: %v", name(of), err)
	}
	if profile := template.Spec.SecurityContext.SeccompProfile; profile == nil || profile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		h.T.Errorf("%s has not the runtime's default seccomp profile", name(of))
	}
	for _, container := range template.Spec.Containers {
		limits := container.SecurityContext
		if limits == nil || limits.ReadOnlyRootFilesystem == nil || !*limits.ReadOnlyRootFilesystem {
			h.T.Errorf("%s, container %s: its root file system can be written", name(of), container.Name)
		}
		if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
			h.T.Errorf("%s, container %s: no resources are asked for", name(of), container.Name)
		}
		command := "manager"
		for _, other := range []string{"tokenserver", "console"} {
			if strings.Contains(container.Image, "/"+other) {
				command = other
			}
		}
		checkFlags(h.T, filepath.Join(commands, command), container.Args)
	}
}

// checkFlags: the command gets as far as to look for an API server, which is not there.
func checkFlags(t *testing.T, command string, arguments []string) {
	t.Helper()
	run := exec.CommandContext(t.Context(), command, append(slices.Clone(arguments), "--kubeconfig=/nowhere")...)
	run.Env = []string{"POD_NAMESPACE=" + namespace}
	if _, err := output(run); err == nil || !strings.Contains(err.Error(), "find the API server") {
		t.Errorf("%s %v: %v", filepath.Base(command), arguments, err)
	}
}

// TestRefusedValues: what makes no sense is refused before anything is installed, by a message
// that names it.
func TestRefusedValues(t *testing.T) {
	cases := []struct{ name, values, says string }{
		{"a misspelt value", `{tokenserver: {replicas: 3}}`, "tokenserver"},
		{"a misspelt value further in", `{tokenServer: {replica: 3}}`, "replica"},
		{"no replica of the token service", `{tokenServer: {replicas: 0}}`, "/tokenServer/replicas"},
		{"replicas in words", `{manager: {replicas: two}}`, "/manager/replicas"},
		{"a switch in words", `{fastPropagation: {enabled: "yes"}}`, "/fastPropagation/enabled"},
		{"no name of a namespace", `{namespaces: ["team/shop"]}`, "/namespaces/0"},
		{"a namespace twice", `{namespaces: [shop, shop]}`, "/namespaces"},
		{"a flag without dashes", `{manager: {extraArgs: [restarts]}}`, "/manager/extraArgs/0"},
		{"a staleness in days", `{tokenServer: {maxStaleness: 1d}}`, "/tokenServer/maxStaleness"},
		{"a digest that is a tag", `{manager: {image: {digest: v0.1.0}}}`, "/manager/image/digest"},
		{"an unknown way to a certificate", `{tls: {mode: Vault}}`, "/tls/mode"},
		{"cert-manager without an issuer", `{tls: {mode: CertManager}}`, "/tls/certManager/issuerRef/name"},
		{"an Ingress without hosts", `{ingress: {enabled: true}}`, "/ingress/hosts"},
		{"a host that is a URL", `{ingress: {enabled: true, hosts: ["https://tokens.example.com"]}}`, "/ingress/hosts/0"},
		{"a TLSRoute without a Gateway", `{gateway: {tlsRoute: {enabled: true, hostnames: [tokens.example.com]}}}`, "/gateway/tlsRoute/parentRefs"},
		{"a route without hosts", `{gateway: {httpRoute: {enabled: true, parentRefs: [{name: edge}]}}}`, "/gateway/httpRoute/hostnames"},
		{"a route without a trusted CA", `{gateway: {httpRoute: {enabled: true, parentRefs: [{name: edge}], hostnames: [tokens.example.com]}}}`, "caCertificateRefs"},
		{"an issuer without a URL", `{issuer: {create: true}}`, "url"},
		{"an issuer without TLS", `{issuer: {create: true, spec: {url: "http://tokens.example.com"}}}`, "/issuer/spec/url"},
		{"no port of the API server", `{networkPolicy: {egress: {apiServerPorts: []}}}`, "/networkPolicy/egress/apiServerPorts"},
		{"tokens kept without their kinds", `{uninstall: {removeCRDs: true}}`, "/uninstall/keepTokens"},
		{"a console without a replica", `{console: {enabled: true, replicas: 0}}`, "/console/replicas"},
		{"a host of the console that is a URL", `{console: {hosts: ["https://keys.example.com"]}}`, "/console/hosts/0"},
		{"a base path without its end", `{console: {basePath: /refresh}}`, "/console/basePath"},
		{"a reveal that is unknown", `{console: {reveal: Always}}`, "/console/reveal"},
		{"impersonation without a provider", `{console: {impersonation: {enabled: true}}}`, "/console/oidc/config"},
		{"a provider without TLS", `{console: {oidc: {config: {issuerURL: "http://idp.example.com", clientID: console}}}}`, "/console/oidc/config/issuerURL"},
		{"an Ingress of the console without hosts", `{console: {ingress: {enabled: true}}}`, "/console/hosts"},
		{"the console's cert-manager without an issuer", `{console: {enabled: true, tls: {mode: CertManager}}}`, "/tls/certManager/issuerRef/name"},
		{"a budget that allows nothing", `{tokenServer: {podDisruptionBudget: {maxUnavailable: 0}}}`, "/tokenServer/podDisruptionBudget/maxUnavailable"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := render(t, c.values)
			if err == nil {
				t.Fatal("it is taken")
			}
			if said := strings.ReplaceAll(err.Error(), "'", ""); !strings.Contains(said, c.says) {
				t.Errorf("it does not say %q: %v", c.says, err)
			}
		})
	}
}

// TestLint: Helm finds nothing to complain of.
func TestLint(t *testing.T) {
	if said, err := helm(t.Context(), "lint", "--strict", "charts/refreshkeys"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestEveryValueIsDescribed: the schema has each value of values.yaml and no other, with a description,
// of which docs/install.md is made.
func TestEveryValueIsDescribed(t *testing.T) {
	var values, schema map[string]any
	for file, into := range map[string]*map[string]any{"values.yaml": &values, "values.schema.json": &schema} {
		text, err := os.ReadFile(filepath.Join(suite.root, "charts/refreshkeys", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Fatal(err)
		}
	}
	describe(t, "", values, schema)
}

func describe(t *testing.T, path string, value any, schema map[string]any) {
	t.Helper()
	if said, _ := schema["description"].(string); said == "" && path != "" {
		t.Errorf("%s has no description", path)
	}
	properties, _ := schema["properties"].(map[string]any)
	fields, _ := value.(map[string]any)
	if len(properties) == 0 || schema["type"] != "object" {
		return
	}
	if schema["additionalProperties"] != false {
		t.Errorf("%s takes what is misspelt", path)
	}
	for field, described := range properties {
		if found, ok := fields[field]; ok {
			describe(t, path+"/"+field, found, described.(map[string]any))
		} else if field != "global" {
			t.Errorf("%s/%s is not in values.yaml", path, field)
		}
	}
	for field := range fields {
		if _, ok := properties[field]; !ok {
			t.Errorf("%s/%s is not in values.schema.json", path, field)
		}
	}
}
