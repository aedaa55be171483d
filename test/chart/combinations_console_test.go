package chart

// consoleCombinations are those of the console.
var consoleCombinations = []combination{
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
		says: []string{"--host=keys.example.com:8443", "--console-tls-names=keys.example.com\n", "--base-path=/refresh/", "--reveal=Never", "sessionAffinity: ClientIP",
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
		name: "hosts of the console that are no names of others",
		values: `{console: {enabled: true, hosts: [keys.example.com, "keys.example.com:8443", localhost, "localhost:8443", console.localhost, 127.0.0.1, "192.0.2.7:8443"],
  tls: {mode: CertManager}, ingress: {enabled: true, tlsSecretName: keys-tls}}, tls: {certManager: {issuerRef: {name: letsencrypt}}}}`,
		has: []string{"Ingress refreshkeys-system/refreshkeys-console", "Certificate refreshkeys-system/refreshkeys-console"},
		says: []string{"--host=localhost:8443", "--host=192.0.2.7:8443", "  dnsNames:\n  - keys.example.com\n  duration", "  ipAddresses:\n  - 192.0.2.7\n  issuerRef",
			"  tls:\n  - hosts:\n    - keys.example.com\n    secretName", "  rules:\n  - host: keys.example.com\n"},
	},
	{
		name:   "a console for its own machine with a certificate of cert-manager",
		values: `{console: {enabled: true, hosts: [localhost], tls: {mode: CertManager}}, tls: {certManager: {issuerRef: {name: private}}}}`,
		has:    []string{"Certificate refreshkeys-system/refreshkeys-console"},
		says:   []string{"  dnsNames:\n  - refreshkeys-console.refreshkeys-system.svc\n  duration"},
	},
}
