"""Every name that leaves the process, once: what the operator, clients and dashboards know us by.

The operator keeps its own list; a contract test compares the two, so neither half imports the other.
"""

from typing import Final

HEADER_REVISION: Final = "x-dialogue-revision"
HEADER_ARMS: Final = "x-dialogue-arms"  # set by the gateway, never by a client
HEADER_SHADOW: Final = "x-dialogue-shadow"  # likewise
HEADER_COOKIE: Final = "x-dialogue-cookie"  # "1": a client that is no browser wants the cookie
HEADER_TENANT: Final = "x-dialogue-tenant"  # a word of a few plain characters; those who wait take turns by it
HEADER_PRIORITY: Final = "x-dialogue-priority"  # -10 to 10; of those who wait a greater one goes first
COOKIE_REVISION: Final = "dialogue-revision"
REVISION_PATTERN: Final = "[0-9a-f]{8}"

ENV_MODEL_NAME: Final = "DIALOGUE_MODEL_NAME"
ENV_REVISION: Final = "DIALOGUE_REVISION"
ENV_SPEC: Final = "DIALOGUE_SPEC"
DEFAULT_REVISION: Final = "local"

MODEL_DIR: Final = "/mnt/models"
TERMINATION_LOG: Final = "/dev/termination-log"

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 8081
GRPC_PORT_NAME: Final = "grpc-oip"
READY_PATH: Final = "/v2/models/{name}/ready"
LIVE_PATH: Final = "/livez"
METRICS_PATH: Final = "/metrics"
FEEDBACK_PATH: Final = "/v1/feedback"
CHAT_PATH: Final = "/v1/chat/completions"
REVISION_URL: Final = (
    "http://{model}-{revision}-predictor"  # another revision of the same model, from within its namespace
)

REASON_BUNDLE_NOT_FOUND: Final = "BundleNotFound"
REASON_DIGEST_MISMATCH: Final = "DigestMismatch"
REASON_BUNDLE_INVALID: Final = "BundleInvalid"
REASON_SPEC_INVALID: Final = "SpecInvalid"
REASON_LOAD_FAILED: Final = "LoadFailed"

LABEL_MODEL: Final = "model"  # every metric below carries it
LABEL_REVISION: Final = "revision"  # and this: who answered, or for what a whole process does, its own revision
METRIC_REQUESTS: Final = "dialogue_requests_total"  # {outcome}
METRIC_REQUEST_SECONDS: Final = "dialogue_request_seconds"
METRIC_TIME_TO_FIRST_TOKEN_SECONDS: Final = "dialogue_time_to_first_token_seconds"
METRIC_GENERATED_TOKENS: Final = "dialogue_generated_tokens_total"
METRIC_PENDING_TOKENS: Final = "dialogue_pending_tokens"
METRIC_BATCH_SIZE: Final = "dialogue_batch_size"
METRIC_QUEUE_SECONDS: Final = "dialogue_queue_seconds"
METRIC_ACTIVE_CONVERSATIONS: Final = "dialogue_active_conversations"
METRIC_VERSION_SWITCHES: Final = "dialogue_version_switches_total"
METRIC_CACHE: Final = "dialogue_cache_total"  # {tier, result}
METRIC_REPLIES: Final = "dialogue_replies_total"  # {quality}
METRIC_REPLY_TOKENS: Final = "dialogue_reply_tokens"
METRIC_DEGENERATE_REPLIES: Final = "dialogue_degenerate_replies_total"  # {kind}
METRIC_BEAM_MARGIN: Final = "dialogue_beam_margin"
METRIC_FEEDBACK: Final = "dialogue_feedback_total"  # {vote}
METRIC_SHADOW: Final = "dialogue_shadow_total"  # {shadow, result}
METRIC_SHADOW_SECONDS: Final = "dialogue_shadow_seconds"  # {shadow}
METRIC_BACKEND_UP: Final = "dialogue_backend_up"
METRIC_ENGINE_FAULTS: Final = "dialogue_engine_faults_total"
METRICS: Final = (
    METRIC_REQUESTS,
    METRIC_REQUEST_SECONDS,
    METRIC_TIME_TO_FIRST_TOKEN_SECONDS,
    METRIC_GENERATED_TOKENS,
    METRIC_PENDING_TOKENS,
    METRIC_BATCH_SIZE,
    METRIC_QUEUE_SECONDS,
    METRIC_ACTIVE_CONVERSATIONS,
    METRIC_VERSION_SWITCHES,
    METRIC_CACHE,
    METRIC_REPLIES,
    METRIC_REPLY_TOKENS,
    METRIC_DEGENERATE_REPLIES,
    METRIC_BEAM_MARGIN,
    METRIC_FEEDBACK,
    METRIC_SHADOW,
    METRIC_SHADOW_SECONDS,
    METRIC_BACKEND_UP,
    METRIC_ENGINE_FAULTS,
)
