{{/* The rights of the Job that removes the tokens. They exist while it runs. */}}

{{- define "refreshkeys.uninstall.metadata" -}}
{{- include "refreshkeys.metadata" (dict "root" .root "name" "refreshkeys-uninstall" "namespace" .namespace "component" "uninstall") }}
annotations:
  helm.sh/hook: pre-delete
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  {{- if .logs }}
  # Helm prints the log of the Job.
  helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
  {{- end }}
{{- end }}
{{- define "refreshkeys.uninstall.tenant" }}
- apiGroups: [jwt.refreshkeys.dev]
  resources: [jwtrefreshkeys]
  verbs: [list, delete]
# To check that the Secrets of the refresh keys are deleted.
- apiGroups: [""]
  resources: [secrets]
  verbs: [list]
# The published CA bundle, also where it was switched off since.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [refreshkeys-ca.crt]
  verbs: [list, delete]
{{- end }}
{{- define "refreshkeys.uninstall.cluster" }}
- apiGroups: [jwt.refreshkeys.dev]
  resources: [jwtissuers]
  verbs: [list, delete]
{{- if not .Values.namespaces }}
{{- include "refreshkeys.uninstall.tenant" . }}
{{- end }}
{{- if .Values.uninstall.removeCRDs }}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [jwtrefreshkeys.jwt.refreshkeys.dev, jwtissuers.jwt.refreshkeys.dev]
  verbs: [get, delete]
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies, validatingadmissionpolicybindings]
  resourceNames: [refreshkeys.jwt.refreshkeys.dev, refreshkeys-advice.jwt.refreshkeys.dev]
  verbs: [delete]
{{- end }}
{{- end }}
{{- define "refreshkeys.uninstall.own" }}
# The signing keys and the operator's certificate.
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, delete]
# The manager is stopped first; otherwise it would create them again.
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [refreshkeys-manager]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- if has .Release.Namespace .Values.namespaces }}
{{- include "refreshkeys.uninstall.tenant" . }}
{{- end }}
{{- end }}
{{- define "refreshkeys.uninstall.role" }}
{{- $metadata := include "refreshkeys.uninstall.metadata" (dict "root" .root "namespace" .namespace "weight" "-1") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  {{- $metadata | nindent 2 }}
rules:
{{ .rules | trim }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  {{- $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: refreshkeys-uninstall
subjects:
- kind: ServiceAccount
  name: refreshkeys-uninstall
  namespace: {{ .root.Release.Namespace }}
{{- end }}
