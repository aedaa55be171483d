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

{{/* Where the console reads its files: console. */}}
{{- define "refreshkeys.console.mounts" -}}
- {name: tls, mountPath: /etc/refreshkeys/tls, readOnly: true}
- {name: token-service, mountPath: /etc/refreshkeys/token-service, readOnly: true}
{{- if not .impersonation.enabled }}
- {name: api-server, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}
{{- if .oidc.config }}
- {name: oidc, mountPath: /etc/refreshkeys/oidc, readOnly: true}
{{- end }}
{{- end }}

{{- define "refreshkeys.console.volumes" -}}
- name: tls
  secret: {secretName: {{ .Values.console.tls.secretName }}}
# The certificate authority of the token service, without the key. A publicly trusted certificate has none.
- name: token-service
  secret:
    secretName: {{ .Values.tls.secretName }}
    optional: true
    items:
    - {key: ca.crt, path: ca.crt}
{{- with .Values.console }}
{{- if not .impersonation.enabled }}
# The certificate authority of the API server, without a token.
- name: api-server
  configMap: {name: kube-root-ca.crt}
{{- end }}
{{- if .oidc.config }}
- name: oidc
  projected:
    sources:
    - configMap: {name: refreshkeys-console-oidc}
    {{- with .oidc.secretName }}
    - secret: {name: {{ . }}}
    {{- end }}
    {{- with .oidc.assertionAudience }}
    - serviceAccountToken: {path: assertion, audience: {{ . | quote }}, expirationSeconds: 3600}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
