{{/* The names are fixed: the admission policy contains the names of the two ServiceAccounts, and a cluster has one operator. */}}

{{/* dict "root" . , with "component" NAME of an object of one component, and "labels" MAP. The chart's own labels take precedence
over the others, and those over commonLabels. */}}
{{- define "refreshkeys.labels" -}}
{{- $own := dict "app.kubernetes.io/name" "refreshkeys" "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" .root.Chart.AppVersion "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") }}
{{- with .component }}
{{- $_ := set $own "app.kubernetes.io/component" . }}
{{- end }}
{{- toYaml (merge $own (.labels | default dict) .root.Values.commonLabels) }}
{{- end }}

{{/* Without version and release: a selector cannot be changed. */}}
{{- define "refreshkeys.selector" -}}
app.kubernetes.io/name: refreshkeys
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* dict "root" . "name" NAME, with "namespace" NAME, "component" NAME, "labels" MAP, "annotations" MAP. */}}
{{- define "refreshkeys.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "refreshkeys.labels" . | nindent 2 }}
{{- end }}

{{/* A file of the chart, for the namespace of the release and with commonLabels: dict "root" . "file" NAME. */}}
{{- define "refreshkeys.file" -}}
{{- $text := .root.Files.Get .file | replace "refreshkeys-system" .root.Release.Namespace }}
{{- with .root.Values.commonLabels }}
{{- $text = $text | replace "\n  labels:\n" (printf "\n  labels:\n%s\n" (toYaml . | indent 4)) }}
{{- end }}
{{- $text }}
{{- end }}

{{/* dict "root" . "values" VALUES of a component: a digest takes precedence over the tag. global.imageRegistry takes the place of the host
of image.registry; the registry of a component is more specific. */}}
{{- define "refreshkeys.image" -}}
{{- $root := .root.Values }}
{{- $registry := $root.image.registry }}
{{- with $root.global.imageRegistry }}
{{- $registry = printf "%s%s" (trimSuffix "/" .) (regexReplaceAll "^[^/]+" $registry "") }}
{{- end }}
{{- with .values.image }}
{{- $registry = .registry | default $registry }}
image: {{ $registry }}/{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $root.image.tag | default $.root.Chart.AppVersion }}{{ end }}
{{- end }}
{{- if ne $root.image.pullPolicy "IfNotPresent" }}
imagePullPolicy: {{ $root.image.pullPolicy }}
{{- end }}
{{- end }}

{{/* The image pull Secrets of the chart and of the parent chart, each once. */}}
{{- define "refreshkeys.pullSecrets" -}}
{{- $names := list }}
{{- range concat .Values.global.imagePullSecrets .Values.image.pullSecrets }}
{{- if kindIs "string" . }}
{{- $names = append $names . }}
{{- else }}
{{- $names = append $names .name }}
{{- end }}
{{- end }}
{{- with uniq $names }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* dict "root" . "component" NAME "values" VALUES */}}
{{- define "refreshkeys.scheduling" -}}
{{- with .root.Values.priorityClass.name }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- else }}
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
{{- end }}
{{- include "refreshkeys.pullSecrets" .root }}
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
{{- if ne .values.dnsPolicy "ClusterFirst" }}
dnsPolicy: {{ .values.dnsPolicy }}
{{- end }}
{{- with .values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The end of a container: dict "root" . "values" VALUES, with "mounts" TEXT of its own volumes. */}}
{{- define "refreshkeys.container" -}}
{{- with .values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- with .values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "refreshkeys.list" (dict "text" .mounts "more" .values.extraVolumeMounts) }}
volumeMounts:
{{- . }}
{{- end }}
{{- end }}

{{/* What follows the containers: dict as for refreshkeys.container, with "volumes" TEXT. */}}
{{- define "refreshkeys.volumes" -}}
{{- with .values.extraContainers }}
{{ toYaml . }}
{{- end }}
{{- with include "refreshkeys.list" (dict "text" .volumes "more" .values.extraVolumes) }}
volumes:
{{- . }}
{{- end }}
{{- end }}

{{/* A list: dict "text" TEXT "more" LIST. */}}
{{- define "refreshkeys.list" }}
{{- with .text }}
{{ trim . }}
{{- end }}
{{- with .more }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels and annotations of pods; dict "root" . "component" NAME "values" VALUES, with "annotations" MAP. */}}
{{- define "refreshkeys.podMetadata" -}}
{{- $own := merge (include "refreshkeys.selector" . | fromYaml) (dict "app.kubernetes.io/version" .root.Chart.AppVersion) }}
labels:
  {{- toYaml (merge $own .values.podLabels .root.Values.commonLabels) | nindent 2 }}
{{- with merge dict (.annotations | default dict) .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The beginning of the spec of a Deployment. */}}
{{- define "refreshkeys.deployment" -}}
{{- if ne (int .values.revisionHistoryLimit) 10 }}
revisionHistoryLimit: {{ .values.revisionHistoryLimit }}
{{- end }}
selector:
  matchLabels:
    {{- include "refreshkeys.selector" . | nindent 4 }}
{{- end }}

{{/* The fields of a Service about those outside: dict "service" VALUES. */}}
{{- define "refreshkeys.service" -}}
{{- if ne .service.type "ClusterIP" }}
type: {{ .service.type }}
{{- end }}
{{- with .service.loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .service.externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
selector:
  {{- include "refreshkeys.selector" . | nindent 2 }}
ports:
- {name: https, port: {{ .service.port }}, targetPort: https}
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

{{/* The volume of the audit log: tokenServer.auditLog. */}}
{{- define "refreshkeys.auditVolume" -}}
- name: audit-log
  {{- if .existingClaim }}
  persistentVolumeClaim: {claimName: {{ .existingClaim }}}
  {{- else }}
  emptyDir: {{ with .sizeLimit }}{sizeLimit: {{ . }}}{{ else }}{}{{ end }}
  {{- end }}
{{- end }}
