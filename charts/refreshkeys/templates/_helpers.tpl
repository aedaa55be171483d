{{/* The names are fixed: the admission policy contains the names of the two ServiceAccounts, and a cluster has one operator. */}}

{{- define "refreshkeys.labels" -}}
app.kubernetes.io/name: refreshkeys
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of a component: dict "root" . "component" NAME. */}}
{{- define "refreshkeys.componentLabels" -}}
{{ include "refreshkeys.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Without version and release, so that an upgrade of the chart alone restarts nothing. */}}
{{- define "refreshkeys.selector" -}}
app.kubernetes.io/name: refreshkeys
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "refreshkeys.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "refreshkeys.labels" .root | nindent 2 }}
{{- end }}

{{/* dict "root" . "image" VALUES: a digest takes precedence over the tag. */}}
{{- define "refreshkeys.image" -}}
{{- $tag := .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- with .image.digest -}}
{{ $.root.Values.image.registry }}/{{ $.image.repository }}@{{ . }}
{{- else -}}
{{ .root.Values.image.registry }}/{{ .image.repository }}:{{ $tag }}
{{- end -}}
{{- end }}

{{/* The security context that Pod Security `restricted` requires. */}}
{{- define "refreshkeys.podSecurityContext" -}}
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "refreshkeys.containerSecurityContext" -}}
securityContext:
  runAsUser: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* dict "root" . "component" NAME "values" VALUES */}}
{{- define "refreshkeys.scheduling" -}}
{{- with .root.Values.priorityClass.name }}
priorityClassName: {{ . }}
{{- end }}
{{- if .values.topologySpread.enabled }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ . }}
  maxSkew: 1
  whenUnsatisfiable: {{ $.values.topologySpread.whenUnsatisfiable }}
  labelSelector:
    matchLabels:
      {{- include "refreshkeys.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "refreshkeys.podMetadata" -}}
labels:
  {{- include "refreshkeys.selector" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Flags of both commands. */}}
{{- define "refreshkeys.args" -}}
{{- with .root.Values.namespaces }}
- --namespaces={{ join "," . }}
{{- end }}
{{- if ne .root.Values.tls.secretName "refreshkeys-tokenserver-tls" }}
- --tls-secret={{ .root.Values.tls.secretName }}
{{- end }}
{{- if .values.logVerbosity }}
- --verbosity={{ .values.logVerbosity }}
{{- end }}
{{- range .values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* dict "root" . "kind" ClusterRole|Role "name" NAME "account" NAME, "namespace" for a Role */}}
{{- define "refreshkeys.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  {{- include "refreshkeys.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
- kind: ServiceAccount
  name: {{ .account }}
  namespace: {{ .root.Release.Namespace }}
{{- end }}

{{/* A role and its binding; "rules" is their text. */}}
{{- define "refreshkeys.role" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  {{- include "refreshkeys.metadata" . | nindent 2 }}
rules:
{{ .rules | trim }}
---
{{ include "refreshkeys.binding" . }}
{{- end }}

{{/* One ClusterRole, or one Role in each of the listed namespaces: dict as for refreshkeys.role, without kind. */}}
{{- define "refreshkeys.roles" }}
{{- if .root.Values.namespaces }}
{{- range .root.Values.namespaces }}
{{- include "refreshkeys.role" (merge (dict "kind" "Role" "namespace" .) $) }}
{{- end }}
{{- else }}
{{- include "refreshkeys.role" (merge (dict "kind" "ClusterRole") .) }}
{{- end }}
{{- end }}

{{/* Egress to the given TCP ports and to DNS: dict "ports" LIST. */}}
{{- define "refreshkeys.egress" }}
- ports:
  {{- range .ports }}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
- ports:
  - {port: 53, protocol: UDP}
  - {port: 53, protocol: TCP}
{{- end }}

{{/* Flags of the console: dict "root" . "values" VALUES. */}}
{{- define "refreshkeys.console.args" -}}
{{- $port := int .root.Values.tokenServer.service.port -}}
- --token-service=https://refreshkeys-tokenserver.$(POD_NAMESPACE).svc{{ if ne $port 443 }}:{{ $port }}{{ end }}
- --token-service-ca-file=/etc/refreshkeys/token-service/ca.crt
{{- with .values }}
{{- range .hosts }}
- --host={{ . }}
{{- end }}
{{- if ne .basePath "/" }}
- --base-path={{ .basePath }}
{{- end }}
{{- if ne .reveal "Forwarded" }}
- --reveal={{ .reveal }}
{{- end }}
{{- with .docsURL }}
- {{ printf "--docs-url=%s" . | quote }}
{{- end }}
{{- if ne .sessionIdle "30m" }}
- --session-idle={{ .sessionIdle }}
{{- end }}
{{- if ne .sessionMax "12h" }}
- --session-max={{ .sessionMax }}
{{- end }}
{{- if .oidc.config }}
- --oidc-config=/etc/refreshkeys/oidc/config.yaml
{{- end }}
{{- if .impersonation.enabled }}
- --impersonate
{{- end }}
{{- if .logVerbosity }}
- --verbosity={{ .logVerbosity }}
{{- end }}
{{- range .extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The hosts of the console without ports, each once, with commas. */}}
{{- define "refreshkeys.console.names" -}}
{{- $names := list }}
{{- range .Values.console.hosts }}
{{- $names = append $names (regexReplaceAll ":[0-9]+$" . "") }}
{{- end }}
{{- uniq $names | join "," }}
{{- end }}

{{/* Those that others can reach by a name: neither localhost nor an address, which no Ingress and no public authority takes. */}}
{{- define "refreshkeys.console.domains" -}}
{{- $names := list }}
{{- range splitList "," (include "refreshkeys.console.names" .) }}
{{- if not (regexMatch "^([0-9.]+|(.+\\.)?localhost)?$" .) }}
{{- $names = append $names . }}
{{- end }}
{{- end }}
{{- join "," $names }}
{{- end }}

{{/* Those that are addresses of others. */}}
{{- define "refreshkeys.console.addresses" -}}
{{- $addresses := list }}
{{- range splitList "," (include "refreshkeys.console.names" .) }}
{{- if and (regexMatch "^[0-9.]+$" .) (not (hasPrefix "127." .)) }}
{{- $addresses = append $addresses . }}
{{- end }}
{{- end }}
{{- join "," $addresses }}
{{- end }}
