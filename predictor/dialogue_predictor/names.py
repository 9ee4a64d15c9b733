"""Every name that leaves the process, once: what the operator, clients and dashboards know us by.

The operator keeps its own list; a contract test compares the two, so neither half imports the other.
"""

from typing import Final

HEADER_REVISION: Final = "x-dialogue-revision"

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

REASON_BUNDLE_NOT_FOUND: Final = "BundleNotFound"
REASON_DIGEST_MISMATCH: Final = "DigestMismatch"
REASON_BUNDLE_INVALID: Final = "BundleInvalid"
REASON_SPEC_INVALID: Final = "SpecInvalid"
REASON_LOAD_FAILED: Final = "LoadFailed"

LABEL_REVISION: Final = "revision"  # every metric below carries it
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
METRIC_DEGENERATE_REPLIES: Final = "dialogue_degenerate_replies_total"  # {kind}
METRIC_BEAM_MARGIN: Final = "dialogue_beam_margin"
METRIC_BACKEND_UP: Final = "dialogue_backend_up"
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
    METRIC_DEGENERATE_REPLIES,
    METRIC_BEAM_MARGIN,
    METRIC_BACKEND_UP,
)
