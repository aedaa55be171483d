package chart

import "strings"

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
		values: `{namespaces: [shop], fastPropagation: {enabled: true}, restarts: {enabled: true}, tls: {secretName: own-tls, dnsNames: [tokens.example.com], publishCA: true}, manager: {logVerbosity: 1, extraArgs: [--reissue-per-second=10]}, tokenServer: {logVerbosity: 2, maxStaleness: 5m, recordIPAddress: true, extraArgs: [--live-reads-per-second=10]}, uninstall: {keepTokens: false, removeCRDs: true, timeout: 90s}}`,
		says: []string{"--namespaces=shop", "--fast-propagation", "--restarts", "--publish-ca", "--tls-secret=own-tls", "--tls-names=tokens.example.com",
			"--max-staleness=5m", "--record-ip-address", "--remove-crds", "--timeout=90s"},
	},
	{
		name:   "some namespaces only",
		values: `{namespaces: [shop, billing], fastPropagation: {enabled: true}, restarts: {enabled: true}, tls: {publishCA: true}, uninstall: {keepTokens: false}}`,
		has: []string{"Role shop/refreshkeys-manager-tenant", "RoleBinding billing/refreshkeys-tokenserver-tenant", "Role billing/refreshkeys-manager-fast-propagation",
			"Role shop/refreshkeys-manager-restarts", "Role billing/refreshkeys-manager-publish-ca", "Role default/refreshkeys-manager-issuer-events", "Role shop/refreshkeys-uninstall"},
		hasNot: []string{"ClusterRole refreshkeys-metrics-auth", "ClusterRole refreshkeys-manager-fast-propagation", "ClusterRole refreshkeys-manager-restarts",
			"ClusterRole refreshkeys-manager-publish-ca"},
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
		name:   "an audit log in a file",
		values: `{tokenServer: {auditLog: {mode: File, sizeLimit: ""}}}`,
		says:   []string{"--audit-log=/var/log/refreshkeys/$(POD_NAME).log", "emptyDir: {}", "mountPath: /var/log/refreshkeys"},
	},
	{
		name:   "removal at the end",
		values: `{uninstall: {keepTokens: false, removeCRDs: true}}`,
		has:    []string{"Job refreshkeys-system/refreshkeys-uninstall", "ClusterRole refreshkeys-uninstall", "NetworkPolicy refreshkeys-system/refreshkeys-uninstall"},
	},
}
