{{/* The Job of a coordinator, the same for CronJob and Job. */}}
{{- define "stedi.jobSpec" -}}
completionMode: Indexed
completions: 1
parallelism: 1
backoffLimit: {{ .Values.job.backoffLimit }}
podFailurePolicy:
  rules:
    # the next try would say the same; what each means, says stedi-coordinator --help
    - action: FailJob
      onExitCodes:
        containerName: coordinator
        operator: In
        values: [2, 3, 4, 5, 78]
    # evicted, preempted: not its fault, the next pod resumes the run
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
{{- with .Values.job.activeDeadlineSeconds }}
activeDeadlineSeconds: {{ int . }}
{{- end }}
{{- if not (kindIs "invalid" .Values.job.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ int .Values.job.ttlSecondsAfterFinished }}
{{- else if eq .Values.mode "cronjob" }}
ttlSecondsAfterFinished: 604800
{{- end }}
template:
  {{- $template := include "stedi.coordinatorTemplate" . | fromYaml }}
  {{- with .Values.coordinator.podTemplate }}
  {{- $template = (include "stedi.merge" (dict "base" $template "over" .) | fromJson).value }}
  {{- end }}
  {{- toYaml $template | nindent 2 }}
{{- end }}

{{- define "stedi.coordinatorTemplate" -}}
{{- $coordinator := .Values.coordinator }}
{{- $keep := dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false" "karpenter.sh/do-not-disrupt" "true" }}
metadata:
  labels:
    {{- include "stedi.podLabels" (dict "root" . "component" "coordinator") | nindent 4 }}
    {{- with $coordinator.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: coordinator
    {{- mergeOverwrite $keep .Values.commonAnnotations $coordinator.podAnnotations | toYaml | nindent 4 }}
spec:
  subdomain: {{ include "stedi.fullname" . }}
  {{- include "stedi.podSpec" (dict
      "root" .
      "role" $coordinator
      "component" "coordinator"
      "command" "- /usr/local/bin/stedi-coordinator"
      "args" (printf "- run\n%s" (include "stedi.landingArgs" . | trim) | trim)
      "env" (printf "%s\n%s" (include "stedi.env.fleet" .) (include "stedi.env.run" .))
      "serviceAccount" (include "stedi.serviceAccount.coordinator" .)
      "token" true
      "serves" true) | nindent 2 }}
{{- end }}
