{{/* The one pod spec of coordinator, worker and doctor. Give it root, role (the role's values), component, command (YAML),
args (YAML), env (YAML), serviceAccount, token (whether the pod gets the account's), serves (whether it has ports and
probes), volumes (YAML) and mounts (YAML). */}}
{{- define "stedi.podSpec" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ .serviceAccount }}
automountServiceAccountToken: {{ .token }}
enableServiceLinks: false
restartPolicy: Never
terminationGracePeriodSeconds: {{ .role.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" "dnsConfig" "hostAliases" "initContainers" }}
{{- with get $.role $field }}
{{ dict $field . | toYaml }}
{{- end }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "stedi.image" .root }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    command:
      {{- .command | nindent 6 }}
    {{- with .args }}
    args:
      {{- . | nindent 6 }}
    {{- end }}
    env:
      {{- $env := printf "%s\n%s\n%s" .env (include "stedi.env.tlsFiles" .root) (include "stedi.env.common" .root) | fromYamlArray }}
      {{- include "stedi.lastOfEachName" (concat $env (.role.extraEnv | default list)) | nindent 6 }}
    {{- $envFrom := include "stedi.envFrom.common" .root }}
    {{- if or (trim $envFrom) .role.extraEnvFrom }}
    envFrom:
      {{- with trim $envFrom }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with .role.extraEnvFrom }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
    {{- if .serves }}
    ports:
      {{- if eq .component "coordinator" }}
      - name: grpc
        containerPort: 7420
      {{- end }}
      - name: http
        containerPort: 7421
    startupProbe:
      httpGet: {path: /healthz, port: http}
      {{- toYaml .role.startupProbe | nindent 6 }}
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      {{- toYaml .role.livenessProbe | nindent 6 }}
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      {{- toYaml .role.readinessProbe | nindent 6 }}
    {{- end }}
    # `kubectl describe` shows the last lines of a pod that failed
    terminationMessagePolicy: FallbackToLogsOnError
    resources:
      {{- toYaml .role.resources | nindent 6 }}
    securityContext:
      {{- toYaml $values.securityContext | nindent 6 }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- with .mounts }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- if include "stedi.tls.fileSecret" .root }}
      - name: certificate
        mountPath: /etc/stedi/tls
        readOnly: true
      {{- end }}
      {{- with .role.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with .role.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "stedi.tls.fileSecret" .root }}
  - name: certificate
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
  {{- with .role.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
