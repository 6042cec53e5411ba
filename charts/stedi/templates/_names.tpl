{{/* Names and labels. A Job's name has up to 11 characters more than ours, a workers' Job 3 more, its pods 6 for the
index: with 36 of ours, host names stay below 63. */}}

{{- define "stedi.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 36 | trimSuffix "-" }}
{{- end }}

{{- define "stedi.fullname" -}}
{{- $own := default .Chart.Name .Values.nameOverride }}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $own) (contains $own .Release.Name) }}
{{- $full := default $both .Values.fullnameOverride | replace "." "-" | trunc 36 | trimSuffix "-" }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) }}
{{- fail (printf "%q cannot be the name of a Service: set fullnameOverride to a name that begins with a letter" $full) }}
{{- end }}
{{- $full }}
{{- end }}

{{- define "stedi.image" -}}
{{- $image := .Values.image }}
{{- $name := required "image.repository is required: build the image with the Dockerfile, push it, and name it here" $image.repository }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "stedi.lake" -}}
{{- required "lake is required: the lake's URI, such as s3://bucket/prefix" .Values.lake }}
{{- end }}

{{- define "stedi.serviceAccount.coordinator" -}}
{{- $account := .Values.serviceAccount.coordinator }}
{{- default (ternary (printf "%s-coordinator" (include "stedi.fullname" .)) "default" $account.create) $account.name }}
{{- end }}

{{- define "stedi.serviceAccount.workers" -}}
{{- $account := .Values.serviceAccount.workers }}
{{- default (ternary (printf "%s-worker" (include "stedi.fullname" .)) "default" $account.create) $account.name }}
{{- end }}

{{/* The Secret in which coordinators keep the certificates of their runs. */}}
{{- define "stedi.tls.runSecret" -}}
{{- printf "%s-tls" (include "stedi.fullname" .) }}
{{- end }}

{{/* The Secret of a certificate that is not made by the run; empty if there is none. */}}
{{- define "stedi.tls.fileSecret" -}}
{{- if eq .Values.tls.mode "secret" }}
{{- required "tls.existingSecret is required with tls.mode=secret: a Secret with ca.crt, tls.crt and tls.key" .Values.tls.existingSecret }}
{{- else if eq .Values.tls.mode "cert-manager" }}
{{- printf "%s-certificate" (include "stedi.fullname" .) }}
{{- end }}
{{- end }}

{{/* What selects the pods of one role; give it root and component. It has no version: selectors must not change. */}}
{{- define "stedi.selectorLabels" -}}
app.kubernetes.io/name: {{ include "stedi.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "stedi.podLabels" -}}
{{ include "stedi.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: stedi
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of objects; give it root and, if there is one, component. */}}
{{- define "stedi.labels" -}}
app.kubernetes.io/name: {{ include "stedi.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: stedi
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Metadata of an object; give it root, name, and if there are any component, labels and annotations. */}}
{{- define "stedi.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "stedi.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
