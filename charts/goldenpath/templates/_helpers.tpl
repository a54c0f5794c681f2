{{- /* Helm itself adds app.kubernetes.io/managed-by, so that install.yaml does not claim to be Helm's. */ -}}
{{- define "goldenpath.labels" -}}
app.kubernetes.io/name: goldenpath
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: goldenpath
{{- end }}

{{- define "goldenpath.image" -}}
{{- .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* The restricted Pod Security profile in full; with the two below it is all that it asks for. */ -}}
{{- define "goldenpath.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "goldenpath.securityContext" -}}
allowPrivilegeEscalation: false
# The kubelet takes the user from the image, and not its group, which would be root's. It does so for containers alone: a
# group of the whole pod would need a user of the whole pod, which some clusters choose themselves.
runAsGroup: 65532
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{- /* What every pod of the chart takes from the values. */ -}}
{{- define "goldenpath.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "goldenpath.resources" -}}
{{- range $what, $amounts := .Values.resources }}
{{- with $amounts }}
{{ $what }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Name of the Secret with who gets digests; empty where nobody does. */}}
{{- define "goldenpath.receivers" -}}
{{- with .Values.notify -}}
{{- if .existingSecret }}{{ .existingSecret }}{{ else if .receivers }}goldenpath-receivers{{ end -}}
{{- end -}}
{{- end -}}
