{{- define "mrl.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mrl.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mrl.labels" -}}
{{ include "mrl.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "mrl.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "mrl.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "mrl.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* mrl-server.yaml; the ports and the address are the chart's and the image's. */}}
{{- define "mrl.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if .Values.indexes -}}
{{- $_ := set $config "index" .Values.indexes -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- $_ := set $config "data-dir" "/var/lib/mrl/data" -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.persistence.independentReplicas) -}}
{{- fail (printf "persistence.enabled with replicaCount %d: each pod has collections of its own; set persistence.independentReplicas=true if that is meant, or replicaCount=1" (int .Values.replicaCount)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.security -}}
{{- if .apiKeysSecret -}}
{{- $_ := set $config "api-keys" "/run/secrets/mrl-keys/api-keys.yaml" -}}
{{- end -}}
{{- if .tlsSecret -}}
{{- $_ := set $config "tls-cert" "/run/secrets/mrl-tls/tls.crt" -}}
{{- $_ := set $config "tls-key" "/run/secrets/mrl-tls/tls.key" -}}
{{- if .clientCertificates -}}
{{- $_ := set $config "tls-client-ca" "/run/secrets/mrl-tls/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- if not (or .apiKeysSecret .tlsSecret .insecure) -}}
{{- fail "set security.apiKeysSecret, security.tlsSecret, or security.insecure=true" -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The handler of a probe that asks whether calls should come. */}}
{{- define "mrl.readiness" -}}
{{- $type := .Values.probes.type -}}
{{- if eq $type "auto" -}}
{{- $type = ternary "grpc" "http" (empty .Values.security.tlsSecret) -}}
{{- end -}}
{{- if eq $type "http" -}}
httpGet:
  port: http
  path: /readyz
{{- else -}}
grpc:
  port: 7600
{{- end -}}
{{- end -}}
