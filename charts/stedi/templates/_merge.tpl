{{/* `over` merged over `base`, as {"value": ...} in JSON, as Kubernetes merges patches: maps by key; lists by the field that
tells their items apart, which depends on `field`, the one that the list is in; anything else is replaced. Where there can be
only one of several fields, such as value and valueFrom, the one of `over` takes the place of the other. */}}
{{- define "stedi.merge" -}}
{{- $value := .over }}
{{- $key := include "stedi.mergeKey" (.field | default "") }}
{{- if and (kindIs "map" .base) (kindIs "map" .over) }}
{{- $value = include "stedi.mergeBase" . | fromJson }}
{{- range $name, $item := .over }}
{{- $_ := set $value $name (include "stedi.merge" (dict "field" $name "base" (get $value $name) "over" $item) | fromJson).value }}
{{- end }}
{{- else if and $key (kindIs "slice" .base) (kindIs "slice" .over) }}
{{- $value = list }}
{{- $taken := dict }}
{{- range $item := .over }}
{{- $_ := set $taken (get $item $key | toString) $item }}
{{- end }}
{{- range $item := .base }}
{{- $own := get $item $key | toString }}
{{- if hasKey $taken $own }}
{{- $merged := include "stedi.merge" (dict "field" $.field "base" $item "over" (get $taken $own)) | fromJson }}
{{- $value = append $value $merged.value }}
{{- $_ := unset $taken $own }}
{{- else }}
{{- $value = append $value $item }}
{{- end }}
{{- end }}
{{- range $item := .over }}
{{- if hasKey $taken (get $item $key | toString) }}
{{- $value = append $value $item }}
{{- end }}
{{- end }}
{{- end }}
{{- dict "value" $value | toJson }}
{{- end }}

{{/* The field by which the items of a list are told apart; empty if the list is replaced as a whole. */}}
{{- define "stedi.mergeKey" -}}
{{- get (dict
    "containers" "name"
    "env" "name"
    "hostAliases" "ip"
    "imagePullSecrets" "name"
    "initContainers" "name"
    "ports" "containerPort"
    "resourceClaims" "name"
    "schedulingGates" "name"
    "topologySpreadConstraints" "topologyKey"
    "volumeDevices" "devicePath"
    "volumeMounts" "mountPath"
    "volumes" "name") . }}
{{- end }}

{{/* `base` without what `over` takes the place of: if `over` has one of several fields of which there can be only one, the
others go. */}}
{{- define "stedi.mergeBase" -}}
{{- $actions := list "exec" "grpc" "httpGet" "sleep" "tcpSocket" }}
{{- $alternatives := get (dict
    "env" (list "value" "valueFrom")
    "livenessProbe" $actions
    "postStart" $actions
    "preStop" $actions
    "readinessProbe" $actions
    "startupProbe" $actions
    "volumes" (without (concat (keys .base) (keys .over)) "name")) (.field | default "") | default list }}
{{- $base := deepCopy .base }}
{{- range $given := $alternatives }}
{{- if hasKey $.over $given }}
{{- range $other := $alternatives }}
{{- if not (hasKey $.over $other) }}
{{- $_ := unset $base $other }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $base }}
{{- end }}
