{{- /* docs/api.md, by crd-ref-docs. A field's default is the sentence of its comment that begins with "When unset". */ -}}
{{- define "gvList" -}}
# API reference
{{ range . }}{{ template "version" . }}{{ end -}}
{{- end -}}

{{- define "version" }}
{{ .Doc }}

A default in the tables below is the value that the operator and the token service use for a field that is not set. Durations are hours, minutes and seconds, such as `720h` or `1h30m`. Times are RFC 3339.

Kinds of `{{ .GroupVersionString }}`:{{ range $i, $kind := .SortedKinds }}{{ if $i }},{{ end }} {{ $.TypeForKind $kind | markdownRenderTypeLink }}{{ end }}.
{{ range .SortedTypes }}{{ if markdownShouldRenderType . }}{{ template "type" . }}{{ end }}{{ end -}}
{{- end -}}

{{- define "type" }}
## {{ .Name }}

{{ .Doc }}
{{ if .References }}
Used in:{{ range $i, $user := .SortedReferences }}{{ if $i }},{{ end }} {{ markdownRenderTypeLink $user }}{{ end }}.
{{ end -}}
{{ if and .IsAlias .Validation }}
A {{ markdownRenderTypeLink .UnderlyingType }}:{{ range $i, $rule := .Validation }}{{ if $i }};{{ end }} {{ $rule }}{{ end }}.
{{ end }}
{{- if .EnumValues }}
| value | meaning |
| --- | --- |
{{ range .EnumValues }}| `{{ .Name }}` | {{ template "cell" .Doc }} |
{{ end }}
{{- end }}
{{- if .Members }}
| Field | Description | Default | Validation |
| --- | --- | --- | --- |
{{ if .GVK }}| `apiVersion` _string_ | `{{ .GVK.Group }}/{{ .GVK.Version }}` | | |
| `kind` _string_ | `{{ .GVK.Kind }}` | | |
{{ end -}}
{{ $status := hasSuffix "Status" .Name -}}
{{ range .Members }}| `{{ .Name }}` _{{ markdownRenderType .Type }}_ | {{ template "description" . }} | {{ template "default" . }} | {{ template "validation" . }} |
{{ end -}}
<!-- example: {{ .Name }} -->
{{ end -}}
{{- end -}}

{{- define "description" -}}
{{- if eq .Name "metadata" -}}the metadata of every object of Kubernetes
{{- else -}}{{ template "cell" (regexReplaceAll "(?s)\\s*[Ww]hen\\s+unset( or empty)?:\\s.*?\\.(\\s|$)" .Doc " ") }}
{{- end -}}
{{- end -}}

{{- define "default" -}}
{{- $unset := regexFind "(?s)[Ww]hen\\s+unset( or empty)?:\\s.*?\\.(\\s|$)" .Doc -}}
{{- if has "Required: {}" .Validation -}}required
{{- else if $unset -}}{{ template "cell" (regexReplaceAll "(?s)^.*?:\\s+(.*)\\.\\s*$" $unset "${1}") }}
{{- end -}}
{{- end -}}

{{- define "validation" -}}
{{- $time := regexMatch "^(Duration|Time)$" .Type.Name -}}
{{- $sep := "" -}}
{{- range .Validation -}}
{{- if not (or (regexMatch "^(Required|Optional|Type|Schemaless|items:XValidation|Format):" .) (and $time (regexMatch "^(MinLength|MaxLength|Pattern):" .))) -}}
{{ $sep }}{{ template "cell" . }}{{ $sep = "<br>" }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "cell" -}}
{{ . | replace "|" "\\|" | replace "\n" " " | trim | replace "9.007199254740991e+15" "9007199254740991" }}
{{- end -}}
