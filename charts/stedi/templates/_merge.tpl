{{/* `over` merged over `base`, as {"value": ...} in JSON. Maps by key; lists whose items have names by those names; anything
else is replaced. */}}
{{- define "stedi.merge" -}}
{{- $value := .over }}
{{- if and (kindIs "map" .base) (kindIs "map" .over) }}
{{- $value = deepCopy .base }}
{{- range $key, $item := .over }}
{{- $_ := set $value $key (include "stedi.merge" (dict "base" (get $value $key) "over" $item) | fromJson).value }}
{{- end }}
{{- else if eq (include "stedi.hasNames" .base) "true" }}
{{- if eq (include "stedi.hasNames" .over) "true" }}
{{- $value = list }}
{{- $taken := dict }}
{{- range $item := .over }}
{{- $_ := set $taken $item.name $item }}
{{- end }}
{{- range $item := .base }}
{{- if hasKey $taken $item.name }}
{{- $merged := include "stedi.merge" (dict "base" $item "over" (get $taken $item.name)) | fromJson }}
{{- $value = append $value $merged.value }}
{{- $_ := unset $taken $item.name }}
{{- else }}
{{- $value = append $value $item }}
{{- end }}
{{- end }}
{{- range $item := .over }}
{{- if hasKey $taken $item.name }}
{{- $value = append $value $item }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- dict "value" $value | toJson }}
{{- end }}

{{/* Whether this is a list of things that have names. */}}
{{- define "stedi.hasNames" -}}
{{- if kindIs "slice" . }}
{{- $all := true }}
{{- range $item := . }}
{{- if not (kindIs "map" $item) }}
{{- $all = false }}
{{- else if not (hasKey $item "name") }}
{{- $all = false }}
{{- end }}
{{- end }}
{{- $all }}
{{- end }}
{{- end }}
