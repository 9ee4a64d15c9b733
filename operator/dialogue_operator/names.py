"""Every name and number that leaves this process, in one place.

What the predictor must agree on stands in its own `names` module too; `tests/contract` compares the two.
"""

from typing import Final

GROUP: Final = "serving.dialogue.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "DialogueModel"
PLURAL: Final = "dialoguemodels"
SHORT_NAME: Final = "dm"

FIELD_MANAGER: Final = "dialogue-operator"  # never changes: it owns what was applied before an upgrade
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_MODEL: Final = f"{GROUP}/model"
LABEL_REVISION: Final = f"{GROUP}/revision"

# Shared with the predictor.
HEADER_REVISION: Final = "x-dialogue-revision"
HEADER_ARMS: Final = "x-dialogue-arms"
HEADER_SHADOW: Final = "x-dialogue-shadow"
COOKIE_REVISION: Final = "dialogue-revision"
ENV_MODEL_NAME: Final = "DIALOGUE_MODEL_NAME"
ENV_REVISION: Final = "DIALOGUE_REVISION"
ENV_SPEC: Final = "DIALOGUE_SPEC"
HTTP_PORT: Final = 8080
GRPC_PORT: Final = 8081
READY_PATH: Final = "/v2/models/{name}/ready"
LIVE_PATH: Final = "/livez"
METRICS_PATH: Final = "/metrics"
MODEL_DIR: Final = "/mnt/models"
TERMINATION_LOG: Final = "/dev/termination-log"
CHAT_PATH: Final = "/v1/chat/completions"
METRIC_REQUESTS: Final = "dialogue_requests_total"  # {outcome}; these and all below carry model and revision, too
METRIC_REQUEST_SECONDS: Final = "dialogue_request_seconds"
METRIC_REPLIES: Final = "dialogue_replies_total"  # {quality}
METRIC_REPLY_TOKENS: Final = "dialogue_reply_tokens"
METRIC_BEAM_MARGIN: Final = "dialogue_beam_margin"
METRIC_PENDING_TOKENS: Final = "dialogue_pending_tokens"
METRIC_ACTIVE_CONVERSATIONS: Final = "dialogue_active_conversations"
METRIC_FEEDBACK: Final = "dialogue_feedback_total"  # {vote}

# KServe's side of an InferenceService in Standard mode.
CONTAINER: Final = "kserve-container"
SERVICE_HTTP_PORT: Final = 80
MODEL_FORMAT: Final = "dialogue"

# Pod lifecycle, in seconds: endpoints go during preStop, then HTTP and gRPC drain.
PRE_STOP_SECONDS: Final = 15
TERMINATION_GRACE_SECONDS: Final = 60

MAX_NAME_LENGTH: Final = 40  # `{name}-{revision8}-predictor` is a Service name: at most 63 characters
NAME_PATTERN: Final = "^[a-z]([a-z0-9-]*[a-z0-9])?$"
NAME_RULE: Final = (
    f"at most {MAX_NAME_LENGTH} lower-case letters, digits and '-', beginning with a letter, for Services bear it"
)


def service_name(model: str, revision: str) -> str:
    """The InferenceService of one revision."""
    return f"{model}-{revision}"


def predictor_name(model: str, revision: str) -> str:
    """The Deployment and the Service that KServe makes for that InferenceService."""
    return f"{service_name(model, revision)}-predictor"


def preview_name(model: str) -> str:
    """The routes by which a revision is seen before its first user; the dot keeps clear of every model's name."""
    return f"{model}.preview"


def http_host(model: str, namespace: str, domain: str) -> str:
    return f"{model}.{namespace}.{domain}"


def grpc_host(model: str, namespace: str, domain: str) -> str:
    """A host of its own: the Gateway API lets an implementation refuse two kinds of route on one host."""
    return f"{model}-grpc.{namespace}.{domain}"
