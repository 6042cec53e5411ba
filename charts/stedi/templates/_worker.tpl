{{/* The pod template that the coordinator makes its workers from. It adds what only it knows: where it is, the run's
certificates, the run's id. */}}
{{- define "stedi.workerTemplate" -}}
{{- $workers := .Values.workers }}
{{- range $kind, $names := dict "requests" (list "cpu" "memory") "limits" (list "memory") }}
{{- range $name := $names }}
{{- if not (get (get $workers.resources $kind | default dict) $name) }}
{{- fail (printf "workers.resources.%s.%s is required: the scheduler places workers by their requests, and without a limit a worker does not know its memory" $kind $name) }}
{{- end }}
{{- end }}
{{- end }}
metadata:
  labels:
    {{- include "stedi.podLabels" (dict "root" . "component" "worker") | nindent 4 }}
    {{- with $workers.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with mergeOverwrite (deepCopy .Values.commonAnnotations) $workers.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "stedi.podSpec" (dict
      "root" .
      "role" $workers
      "component" "worker"
      "command" "- /usr/local/bin/stedi-worker"
      "env" (include "stedi.env.worker" .)
      "serviceAccount" (include "stedi.serviceAccount.workers" .)
      "token" false
      "serves" true
      "mounts" "- name: scratch\n  mountPath: /scratch"
      "volumes" (include "stedi.workerVolumes" .)) | nindent 2 }}
{{- end }}

{{- define "stedi.env.worker" -}}
- name: STEDI_HTTP
  value: {{ printf "%s:7421" .Values.listenAddress | quote }}
- name: STEDI_SCRATCH
  value: /scratch
- name: STEDI_DRAIN
  value: {{ sub .Values.workers.terminationGracePeriodSeconds 10 }}s
- name: STEDI_THREADS
{{- if .Values.workers.threads }}
  value: {{ .Values.workers.threads | quote }}
{{- else }}
{{- /* without a limit of cpu a process sees all processors of the node */}}
  valueFrom:
    resourceFieldRef:
      containerName: worker
      resource: requests.cpu
{{- end }}
{{- with .Values.workers.memory }}
- name: STEDI_MEMORY
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "stedi.workerVolumes" -}}
- name: scratch
  {{- if .Values.workers.scratch.volume }}
  {{- toYaml .Values.workers.scratch.volume | nindent 2 }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.workers.scratch.sizeLimit }}
  {{- end }}
{{- end }}

{{- define "stedi.workerJobLabels" -}}
{{- with .Values.kueue.queueName }}
kueue.x-k8s.io/queue-name: {{ . | quote }}
{{- end }}
{{- with .Values.kueue.priorityClass }}
kueue.x-k8s.io/priority-class: {{ . | quote }}
{{- end }}
{{- with mergeOverwrite (deepCopy .Values.commonLabels) .Values.workers.jobLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "stedi.workerJobAnnotations" -}}
{{- if and .Values.kueue.queueName .Values.kueue.elastic }}
kueue.x-k8s.io/elastic-job: "true"
{{- end }}
{{- with mergeOverwrite (deepCopy .Values.commonAnnotations) .Values.workers.jobAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}
