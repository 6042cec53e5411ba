{{/* Environment. Everything that the programs are told comes this way, so that `kubectl set env` can change one run; only
what may be given more than once are arguments. */}}

{{/* Environment of all pods: lake, store, logs. */}}
{{- define "stedi.env.common" -}}
- name: STEDI_LOG
  value: {{ .Values.log.level | quote }}
- name: STEDI_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of variables of one name the last one counts in a pod. Applied, a list with both would be refused. */}}
{{- define "stedi.lastOfEachName" -}}
{{- $last := dict }}
{{- range $at, $variable := . }}
{{- $_ := set $last $variable.name $at }}
{{- end }}
{{- range $at, $variable := . }}
{{- if eq $at (get $last $variable.name) }}
{{ list $variable | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- define "stedi.envFrom.common" -}}
{{- with .Values.aws.existingSecret }}
- secretRef:
    name: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* TLS with given files, of both sides. */}}
{{- define "stedi.env.tlsFiles" -}}
{{- if include "stedi.tls.fileSecret" . }}
- name: STEDI_TLS_CA
  value: /etc/stedi/tls/ca.crt
- name: STEDI_TLS_CERT
  value: /etc/stedi/tls/tls.crt
- name: STEDI_TLS_KEY
  value: /etc/stedi/tls/tls.key
{{- else if eq .Values.tls.mode "off" }}
- name: STEDI_INSECURE
  value: "true"
{{- end }}
{{- end }}

{{/* What a coordinator must know to have workers; the doctor as well, which asks whether it could. */}}
{{- define "stedi.env.fleet" -}}
{{- if gt (int .Values.workers.min) (int .Values.workers.max) }}
{{- fail (printf "workers.min (%d) is more than workers.max (%d)" (int .Values.workers.min) (int .Values.workers.max)) }}
{{- end }}
{{- if and .Values.kueue.queueName (not .Values.kueue.elastic) (ne (int .Values.workers.min) (int .Values.workers.max)) }}
{{- fail (printf "kueue.elastic is false, and workers.min (%d) is not workers.max (%d): each change of size would stop all workers until Kueue admits them anew; set kueue.elastic=true, or both to one number" (int .Values.workers.min) (int .Values.workers.max)) }}
{{- end -}}
- name: STEDI_LAKE
  value: {{ include "stedi.lake" . | quote }}
- name: STEDI_FLEET
  value: kubernetes
- name: STEDI_POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: STEDI_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: STEDI_WORKERS_MIN
  value: {{ .Values.workers.min | quote }}
- name: STEDI_WORKERS_MAX
  value: {{ .Values.workers.max | quote }}
- name: STEDI_PENDING_DEADLINE
  value: {{ .Values.workers.pendingDeadline | quote }}
{{- /* Kubernetes reads $(NAME) in values and makes $ of $$ */}}
- name: STEDI_WORKER_TEMPLATE
  value: {{ include "stedi.workerTemplate" . | fromYaml | toJson | replace "$" "$$" | quote }}
{{- with .Values.workers.podTemplate }}
- name: STEDI_WORKER_TEMPLATE_MERGE
  value: {{ toJson . | replace "$" "$$" | quote }}
{{- end }}
{{- with include "stedi.workerJobLabels" . | fromYaml }}
- name: STEDI_WORKER_JOB_LABELS
  value: {{ toJson . | replace "$" "$$" | quote }}
{{- end }}
{{- with include "stedi.workerJobAnnotations" . | fromYaml }}
- name: STEDI_WORKER_JOB_ANNOTATIONS
  value: {{ toJson . | replace "$" "$$" | quote }}
{{- end }}
{{- with .Values.workers.highMemory }}
- name: STEDI_HIGH_MEMORY
  value: {{ . | quote }}
{{- end }}
{{- if eq .Values.tls.mode "run" }}
- name: STEDI_TLS_SECRET
  value: {{ include "stedi.tls.runSecret" . }}
{{- end }}
{{- with .Values.catalog.type }}
- name: STEDI_CATALOG
  value: {{ . | quote }}
- name: STEDI_DATABASE
  value: {{ $.Values.catalog.database | quote }}
{{- end }}
{{- end }}

{{/* The run itself. */}}
{{- define "stedi.env.run" -}}
- name: STEDI_JOB_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/job-name']
{{- /* the pod of index 0 has this name whenever it is made again */}}
- name: STEDI_ADVERTISE
  value: {{ ternary "http" "https" (eq .Values.tls.mode "off") }}://$(STEDI_JOB_NAME)-0.{{ include "stedi.fullname" . }}.$(STEDI_POD_NAMESPACE).svc:7420
- name: STEDI_LISTEN
  value: {{ printf "%s:7420" .Values.listenAddress | quote }}
- name: STEDI_HTTP
  value: {{ printf "%s:7421" .Values.listenAddress | quote }}
- name: STEDI_JSON
  value: "true"
{{- $names := dict
    "STEDI_CONSENT" .Values.run.consent
    "STEDI_MATCH" .Values.run.match
    "STEDI_DEDUPE" (ternary "true" "" .Values.run.dedupe)
    "STEDI_MAX_BAD_RECORDS" .Values.run.maxBadRecords
    "STEDI_SHARDS" .Values.run.shards
    "STEDI_COMPRESSION" .Values.run.compression
    "STEDI_FORCE" (ternary "true" "" .Values.run.force)
    "STEDI_DEADLINE" .Values.run.deadline
    "STEDI_WORKER_DEADLINE" .Values.run.workerDeadline
    "STEDI_LEASE" .Values.run.lease
    "STEDI_MEMORY" .Values.run.memory
    "STEDI_THREADS" .Values.run.threads }}
{{- range $name, $value := $names }}
{{- with $value }}
- name: {{ $name }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Landing folders may be more than one, which environment cannot say. */}}
{{- define "stedi.landingArgs" -}}
{{- range .Values.run.landing.customer }}
- {{ printf "--customer-landing=%s" . | quote }}
{{- end }}
{{- range .Values.run.landing.accelerometer }}
- {{ printf "--accelerometer-landing=%s" . | quote }}
{{- end }}
{{- range .Values.run.landing.stepTrainer }}
- {{ printf "--step-trainer-landing=%s" . | quote }}
{{- end }}
{{- end }}
