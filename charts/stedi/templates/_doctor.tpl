{{/* The pod of `helm test`, with the coordinator's account, store and template: what the doctor can do, a run can. */}}
{{- define "stedi.doctor" -}}
{{- $role := set (omit .Values.coordinator "extraContainers") "terminationGracePeriodSeconds" 10 }}
{{- $name := printf "%s-doctor" (include "stedi.fullname" .) }}
metadata:
  {{- include "stedi.metadata" (dict "root" . "name" $name "component" "doctor" "labels" $role.podLabels "annotations" (mergeOverwrite (deepCopy $role.podAnnotations) (dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded"))) | nindent 2 }}
spec:
  {{- include "stedi.podSpec" (dict
      "root" .
      "role" $role
      "component" "doctor"
      "command" "- /usr/local/bin/stedi-coordinator"
      "args" (printf "- doctor\n%s" (include "stedi.landingArgs" . | trim) | trim)
      "env" (include "stedi.env.fleet" .)
      "serviceAccount" (include "stedi.serviceAccount.coordinator" .)
      "token" true
      "serves" false) | nindent 2 }}
{{- end }}

{{/* What coordinator.podTemplate means for the doctor: its container has another name, starts something else and serves
nothing; other containers need not end, and a test must. */}}
{{- define "stedi.doctorPodTemplate" -}}
{{- $template := deepCopy . }}
{{- $spec := $template.spec | default dict }}
{{- if hasKey $spec "containers" }}
{{- $containers := list }}
{{- range $container := $spec.containers }}
{{- if eq $container.name "coordinator" }}
{{- $same := omit $container "command" "args" "ports" "startupProbe" "livenessProbe" "readinessProbe" }}
{{- $containers = append $containers (set $same "name" "doctor") }}
{{- end }}
{{- end }}
{{- $_ := set $spec "containers" $containers }}
{{- end }}
{{- toJson $template }}
{{- end }}
