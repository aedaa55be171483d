package chart

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// setting is a value and the place where it arrives.
type setting struct {
	// group is a rendering: the settings of one are set together.
	group string
	// values are YAML.
	values string
	// of is a kind and name, at the path of a field in it, with slashes. A list contains what is wanted, anything else equals it.
	of, at string
	// want is YAML, with VERSION.
	want string
}

// settings has a row for each value that is passed on as it is, or nearly so. PART is each component.
var settings = slices.Concat(
	eachPart(
		setting{"", `{PART: {image: {registry: registry.example.com/a, tag: v9}}}`, "Deployment refreshkeys-NAME", "spec/template/spec/containers/0/image", `registry.example.com/a/NAME:v9`},
		setting{"", `{PART: {extraEnv: [{name: HTTPS_PROXY, value: "http://proxy.example.com:3128"}]}}`, "Deployment refreshkeys-NAME", "spec/template/spec/containers/0/env", `{name: HTTPS_PROXY, value: "http://proxy.example.com:3128"}`},
		setting{"", `{PART: {envFrom: [{secretRef: {name: proxy}}]}}`, "Deployment refreshkeys-NAME", "spec/template/spec/containers/0/envFrom", `{secretRef: {name: proxy}}`},
		setting{"", `{PART: {extraVolumes: [{name: more, configMap: {name: more}}]}}`, "Deployment refreshkeys-NAME", "spec/template/spec/volumes", `{name: more, configMap: {name: more}}`},
		setting{"", `{PART: {extraVolumeMounts: [{name: more, mountPath: /more, readOnly: true}]}}`, "Deployment refreshkeys-NAME", "spec/template/spec/containers/0/volumeMounts", `{name: more, mountPath: /more, readOnly: true}`},
		setting{"", `{PART: {extraContainers: [` + sidecar + `]}}`, "Deployment refreshkeys-NAME", "spec/template/spec/containers/1", sidecar},
		setting{"", `{PART: {podSecurityContext: {fsGroup: 1234}}}`, "Deployment refreshkeys-NAME", "spec/template/spec/securityContext", `{fsGroup: 1234, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}`},
		setting{"", `{PART: {containerSecurityContext: {runAsUser: 1234}}}`, "Deployment refreshkeys-NAME", "spec/template/spec/containers/0/securityContext", `{runAsUser: 1234, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}`},
		setting{"", `{PART: {deploymentAnnotations: {reloader: "on"}}}`, "Deployment refreshkeys-NAME", "metadata/annotations", `{reloader: "on"}`},
		setting{"", `{PART: {podLabels: {pool: a}}}`, "Deployment refreshkeys-NAME", "spec/template/metadata/labels/pool", `a`},
		setting{"", `{PART: {podAnnotations: {scan: "off"}}}`, "Deployment refreshkeys-NAME", "spec/template/metadata/annotations/scan", `"off"`},
		setting{"", `{PART: {topologySpreadConstraints: [` + spread + `]}}`, "Deployment refreshkeys-NAME", "spec/template/spec/topologySpreadConstraints", `[` + spread + `]`},
		setting{"", `{PART: {revisionHistoryLimit: 0}}`, "Deployment refreshkeys-NAME", "spec/revisionHistoryLimit", `0`},
		setting{"", `{PART: {dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1]}}}`, "Deployment refreshkeys-NAME", "spec/template/spec/dnsPolicy", `None`},
		setting{"", `{PART: {dnsConfig: {nameservers: [192.0.2.1]}}}`, "Deployment refreshkeys-NAME", "spec/template/spec/dnsConfig", `{nameservers: [192.0.2.1]}`},
	),
	eachService(
		setting{"", `{PART: {service: {type: LoadBalancer, labels: {edge: public}}}}`, "Service refreshkeys-NAME", "metadata/labels/edge", `public`},
		setting{"", `{PART: {service: {loadBalancerClass: example.com/internal}}}`, "Service refreshkeys-NAME", "spec/loadBalancerClass", `example.com/internal`},
		setting{"", `{PART: {service: {externalTrafficPolicy: Local}}}`, "Service refreshkeys-NAME", "spec/externalTrafficPolicy", `Local`},
	),
	[]setting{
		{"", `{commonLabels: {team: platform}}`, "Deployment refreshkeys-manager", "metadata/labels/team", `platform`},
		{"", `{image: {pullSecrets: [mirror, {name: other}]}}`, "Deployment refreshkeys-console", "spec/template/spec/imagePullSecrets", `[{name: mirror}, {name: other}]`},
		{"", `{extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: extra, namespace: "{{ .Release.Namespace }}"}, data: {of: "{{ .Chart.Name }}"}}]}`, "ConfigMap extra", "data/of", `refreshkeys`},
		{"", `{monitoring: {serviceMonitor: {enabled: true, scrapeTimeout: 7s}}}`, "ServiceMonitor refreshkeys-manager", "spec/endpoints/0/scrapeTimeout", `7s`},
		{"", `{monitoring: {serviceMonitor: {relabelings: [{action: labeldrop, regex: pod}]}}}`, "ServiceMonitor refreshkeys-manager", "spec/endpoints/0/relabelings", `[{action: labeldrop, regex: pod}]`},
		{"", `{monitoring: {serviceMonitor: {metricRelabelings: [{action: labeldrop, regex: le}]}}}`, "PodMonitor refreshkeys-tokenserver", "spec/podMetricsEndpoints/0/metricRelabelings", `[{action: labeldrop, regex: le}]`},
		{"", `{monitoring: {dashboard: {enabled: true, annotations: {grafana_folder: Tokens}}}}`, "ConfigMap refreshkeys-dashboard", "metadata/annotations", `{grafana_folder: Tokens}`},
		{"", `{tokenServer: {auditLog: {mode: File}}}`, "Deployment refreshkeys-tokenserver", "spec/template/spec/containers/0/args", `--audit-log=/var/log/refreshkeys/$(POD_NAME).log`},
		{"", `{}`, "Deployment refreshkeys-tokenserver", "spec/template/spec/containers/0/env", `{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}`},
		{"", `{tokenServer: {auditLog: {sizeLimit: 5Gi}}}`, "Deployment refreshkeys-tokenserver", "spec/template/spec/volumes", `{name: audit-log, emptyDir: {sizeLimit: 5Gi}}`},
		{"", `{}`, "Deployment refreshkeys-tokenserver", "spec/template/spec/containers/0/volumeMounts", `{name: audit-log, mountPath: /var/log/refreshkeys}`},

		{"a mirror", `{global: {imageRegistry: mirror.example.com/cache}, console: {image: {registry: own.example.com}}}`, "Deployment refreshkeys-manager", "spec/template/spec/containers/0/image", `mirror.example.com/cache/refreshkeys/manager:VERSION`},
		{"a mirror", `{}`, "Deployment refreshkeys-console", "spec/template/spec/containers/0/image", `own.example.com/console:VERSION`},
		{"a mirror", `{global: {imagePullSecrets: [{name: parent}, mirror], anything: else}, image: {pullSecrets: [mirror]}}`, "Job refreshkeys-uninstall", "spec/template/spec/imagePullSecrets", `[{name: parent}, {name: mirror}]`},
		{"a mirror", `{uninstall: {keepTokens: false}}`, "Job refreshkeys-uninstall", "spec/template/spec/containers/0/image", `mirror.example.com/cache/refreshkeys/manager:VERSION`},
		{"a mirror", `{tokenServer: {auditLog: {mode: Stdout}}}`, "Deployment refreshkeys-tokenserver", "spec/template/spec/containers/0/args", `--audit-log=-`},
		{"a mirror", `{extraObjects: ["{apiVersion: v1, kind: ConfigMap, metadata: {name: text-of-{{ .Release.Name }}, namespace: {{ .Release.Namespace }}}}"]}`, "ConfigMap text-of-refreshkeys", "metadata/namespace", namespace},

		{"a claim", `{tokenServer: {auditLog: {mode: File, existingClaim: audit}}}`, "Deployment refreshkeys-tokenserver", "spec/template/spec/volumes", `{name: audit-log, persistentVolumeClaim: {claimName: audit}}`},
		{"a claim", `{tokenServer: {service: {type: NodePort, externalTrafficPolicy: Cluster}}}`, "Service refreshkeys-tokenserver", "spec/externalTrafficPolicy", `Cluster`},
	},
)

const (
	sidecar = `{name: shipper, image: registry.example.com/shipper, resources: {requests: {cpu: 10m}, limits: {memory: 32Mi}}, ` +
		`securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}}`
	spread = `{topologyKey: rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app.kubernetes.io/name: refreshkeys}}}`
)

func eachPart(rows ...setting) []setting {
	return of(rows, "manager", "tokenServer", "console")
}

func eachService(rows ...setting) []setting {
	return of(rows, "tokenServer", "console")
}

// of returns the rows for each component.
func of(rows []setting, parts ...string) (all []setting) {
	for _, part := range parts {
		in := strings.NewReplacer("PART", part, "NAME", strings.ToLower(part))
		for _, row := range rows {
			all = append(all, setting{row.group, in.Replace(row.values), in.Replace(row.of), in.Replace(row.at), in.Replace(row.want)})
		}
	}
	return all
}

// TestSettings checks that each value arrives in its object, which has not had it by default, that the API server takes the objects, and
// that Helm 3 makes the same.
func TestSettings(t *testing.T) {
	h := newHarness(t)
	prepareNamespaces(h)
	const base = "{console: {enabled: true}}"
	standard, err := render(t, base)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"", "a mirror", "a claim"} {
		values := []string{base}
		for _, row := range settings {
			if row.group == group && !slices.Contains(values, row.values) {
				values = append(values, row.values)
			}
		}
		all, err := render(t, values...)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range settings {
			if row.group != group {
				continue
			}
			t.Run(row.values+" at "+row.of+" "+row.at, func(t *testing.T) {
				if said := arrives(all, row); said != "" {
					t.Error(said)
				}
				if arrives(standard, row) == "" {
					t.Error("it is there by default")
				}
			})
		}
		t.Run("the API server takes "+group, func(t *testing.T) { checkTaken(h.In(t), all) })
		t.Run("Helm 3 "+group, func(t *testing.T) { sameByHelm3(t, all, values...) })
	}
}

// sameByHelm3 checks that Helm 3 renders the same. It omits the newline at the end of a manifest, and so that of a text there.
func sameByHelm3(t *testing.T, all []*unstructured.Unstructured, values ...string) {
	t.Helper()
	others, err := renderWith(t, suite.helm3, values...)
	if err != nil {
		t.Fatal(err)
	}
	withoutNewline := cmp.Transformer("withoutNewline", func(text string) string { return strings.TrimSuffix(text, "\n") })
	if difference := cmp.Diff(contents(all), contents(others), cmp.FilterValues(func(a, b string) bool {
		return strings.HasSuffix(a, "\n") || strings.HasSuffix(b, "\n")
	}, withoutNewline)); difference != "" {
		t.Errorf("Helm 4 (-) and Helm 3 (+) differ:\n%s", difference)
	}
}

func contents(all []*unstructured.Unstructured) map[string]any {
	named := map[string]any{}
	for _, object := range all {
		named[name(object)] = object.Object
	}
	return named
}

// arrives returns what is wrong with a setting; empty if it is where it belongs.
func arrives(all []*unstructured.Unstructured, row setting) string {
	var want any
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(row.want, "VERSION", suite.version)), &want); err != nil {
		return err.Error()
	}
	for _, object := range all {
		if object.GetKind()+" "+object.GetName() != row.of {
			continue
		}
		got := at(object.Object, strings.Split(row.at, "/"))
		list, isList := got.([]any)
		if _, whole := want.([]any); isList && !whole {
			if slices.ContainsFunc(list, func(each any) bool { return equal(each, want) }) {
				return ""
			}
		} else if equal(got, want) {
			return ""
		}
		return fmt.Sprintf("%s of %s is %v, which is not, and does not contain, %v", row.at, row.of, got, want)
	}
	return "there is no " + row.of
}

// equal compares texts: so the types of numbers do not matter, and the order of maps does not either.
func equal(got, want any) bool { return fmt.Sprint(got) == fmt.Sprint(want) }

// at returns what is at a path; nil where it ends before.
func at(value any, path []string) any {
	for _, step := range path {
		switch within := value.(type) {
		case map[string]any:
			value = within[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(within) {
				return nil
			}
			value = within[i]
		default:
			return nil
		}
	}
	return value
}

// TestLabels checks that all objects and pods carry commonLabels and the version, that no selector does, and that the values of an
// object do not take the chart's own labels from it.
func TestLabels(t *testing.T) {
	all, err := render(t, everything, `{commonLabels: {team: platform, pool: common}, manager: {podLabels: {pool: own, app.kubernetes.io/component: other}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 45 {
		t.Errorf("only %d objects are rendered", len(all))
	}
	for _, object := range all {
		checkLabels(t, name(object), object.GetLabels(), "platform")
		if template := podTemplate(t, object); template != nil {
			checkLabels(t, "a pod of "+name(object), template.Labels, "platform")
		}
		if selector, _, _ := unstructured.NestedMap(object.Object, "spec", "selector"); strings.Contains(fmt.Sprint(selector), "platform") {
			t.Errorf("the selector of %s is %v", name(object), selector)
		}
		if object.GetKind() == "Deployment" && object.GetName() == "refreshkeys-manager" {
			if labels := podTemplate(t, object).Labels; labels["pool"] != "own" || labels["app.kubernetes.io/component"] != "manager" {
				t.Errorf("the labels of the manager's pods are %v", labels)
			}
		}
	}
}

// TestLabelsOfKustomize checks that also kustomize gives all objects and pods the version.
func TestLabelsOfKustomize(t *testing.T) {
	for _, of := range []string{
		"resources: [ROOT/config/multitenant, oidc.yaml]\ncomponents: [ROOT/config/console, ROOT/config/console-impersonation, ROOT/config/prometheus, ROOT/config/fast-propagation, ROOT/config/restarts]",
		"resources: [ROOT/config/namespaced]",
	} {
		for _, object := range objects(t, kubectl(t, "kustomize", overlay(t, of))) {
			checkLabels(t, name(object), object.GetLabels(), "")
			if template := podTemplate(t, object); template != nil {
				checkLabels(t, "a pod of "+name(object), template.Labels, "")
			}
		}
	}
}

func checkLabels(t *testing.T, of string, labels map[string]string, team string) {
	t.Helper()
	if labels["app.kubernetes.io/version"] != suite.version || labels["team"] != team {
		t.Errorf("the labels of %s are %v", of, labels)
	}
}

// everything turns on all parts of the chart.
const everything = `{console: {enabled: true, hosts: [keys.example.com], impersonation: {enabled: true}, oidc: {config: {issuerURL: "https://idp.example.com", clientID: console}},
    ingress: {enabled: true}, tls: {mode: CertManager}}, tls: {mode: CertManager, certManager: {issuerRef: {name: private}}},
  issuerUse: {enabled: true}, aggregatedRoles: {enabled: true}, fastPropagation: {enabled: true}, restarts: {enabled: true}, ingress: {enabled: true, hosts: [tokens.example.com]},
  gateway: {tlsRoute: {enabled: true, parentRefs: [{name: edge}], hostnames: [tokens.example.com]}, httpRoute: {enabled: true, parentRefs: [{name: edge}], hostnames: [tokens.example.com]},
    backendTLSPolicy: {wellKnownCACertificates: System}},
  tokenServer: {autoscaling: {enabled: true}, auditLog: {mode: File}}, issuer: {create: true, spec: {url: "https://tokens.example.com"}},
  monitoring: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}, uninstall: {keepTokens: false, removeCRDs: true}}`

// TestBothHelms checks that Helm 3 renders what Helm 4 does: by default, in some namespaces only, and with all parts.
func TestBothHelms(t *testing.T) {
	for name, values := range map[string]string{"default": "{}", "namespaces": "{namespaces: [shop, billing]}", "everything": everything} {
		t.Run(name, func(t *testing.T) {
			all, err := render(t, values)
			if err != nil {
				t.Fatal(err)
			}
			sameByHelm3(t, all, values)
		})
	}
	if _, err := renderWith(t, suite.helm3, `{tokenServer: {replica: 3}}`); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("Helm 3 takes an unknown value: %v", err)
	}
}

// TestLifecycleOfHelm3 installs, upgrades and uninstalls by Helm 3; TestLifecycle has more of it, by Helm 4.
func TestLifecycleOfHelm3(t *testing.T) {
	l := newLife(t)
	l.binary, l.values = suite.helm3, `{issuer: {create: true, spec: {url: "https://tokens.example.com"}}}`
	l.install()
	l.podsAreAdmitted()
	l.upgradeChangesNothing()
	if said := l.helm("uninstall", release, "--namespace", namespace); !strings.Contains(said, "jwtrefreshkeys.jwt.refreshkeys.dev") {
		t.Errorf("Helm 3 does not say what it keeps:\n%s", said)
	}
	l.kindsAreThere(true)
	kubectl(t, "get", "jwtissuer/default")
}
