package chart

import (
	"strings"
	"testing"
)

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
		{"an Ingress of the console for no name of others", `{console: {enabled: true, hosts: [localhost, 192.0.2.7], ingress: {enabled: true}}}`, "console.ingress needs a name in console.hosts"},
		{"the console's cert-manager without an issuer", `{console: {enabled: true, tls: {mode: CertManager}}}`, "/tls/certManager/issuerRef/name"},
		{"a label that the chart sets", `{commonLabels: {app.kubernetes.io/name: tokens}}`, "app.kubernetes.io/name"},
		{"a variable without a name", `{manager: {extraEnv: [{value: "1"}]}}`, "/manager/extraEnv/0"},
		{"a pull Secret without a name", `{global: {imagePullSecrets: [{}]}}`, "/global/imagePullSecrets/0"},
		{"a pull Secret with more than a name", `{image: {pullSecrets: [{name: mirror, key: x}]}}`, "/image/pullSecrets/0"},
		{"an unknown audit log", `{tokenServer: {auditLog: {mode: Syslog}}}`, "/tokenServer/auditLog/mode"},
		{"a class of no load balancer", `{tokenServer: {service: {loadBalancerClass: example.com/internal}}}`, "/tokenServer/service/type"},
		{"a traffic policy of no outside", `{console: {service: {externalTrafficPolicy: Local}}}`, "/console/service/type"},
		{"an unknown DNS policy", `{console: {dnsPolicy: Cluster}}`, "/console/dnsPolicy"},
		{"a negative history", `{manager: {revisionHistoryLimit: -1}}`, "/manager/revisionHistoryLimit"},
		{"an object that is a number", `{extraObjects: [1]}`, "/extraObjects/0"},
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
