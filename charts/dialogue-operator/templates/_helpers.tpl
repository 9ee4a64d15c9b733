{{- define "dialogue-operator.name" -}}
{{- if contains "dialogue-operator" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-dialogue-operator" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "dialogue-operator.selector" -}}
app.kubernetes.io/name: dialogue-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dialogue-operator.labels" -}}
{{ include "dialogue-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* What the operator may do where it works: what its preflight asks for, and to own what it makes. */}}
{{- define "dialogue-operator.rules" -}}
- apiGroups: [serving.dialogue.dev]
  resources: [dialoguemodels]
  verbs: [get, list, watch]
- apiGroups: [serving.dialogue.dev]
  resources: [dialoguemodels/status]
  verbs: [patch]
- apiGroups: [serving.dialogue.dev]
  resources: [dialoguemodels/finalizers]
  verbs: [update]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, list, watch, create, delete]
- apiGroups: [serving.kserve.io]
  resources: [servingruntimes]
  verbs: [get, list, create, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, create, patch, delete]
{{- /* Of KEDA, where it is installed. */}}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list, create, patch, delete]
- apiGroups: [http.keda.sh]
  resources: [httpscaledobjects]
  verbs: [list, create, patch, delete]
{{- end -}}

{{/* The port of Prometheus: the one in its URL, else that of its scheme. */}}
{{- define "dialogue-operator.prometheus-port" -}}
{{- $authority := regexReplaceAll "^https?://([^/]+).*$" .Values.prometheus.url "${1}" -}}
{{- if regexMatch ":[0-9]+$" $authority }}{{ regexFind "[0-9]+$" $authority }}
{{- else }}{{ ternary 443 80 (hasPrefix "https:" .Values.prometheus.url) }}{{ end -}}
{{- end -}}
