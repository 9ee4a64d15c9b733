"""Our model as KServe knows it, and KServe's planes with their surprises taken out.

As they come, `get_model` loads a model that is not ready on the event loop, `decode` hands over raw bytes for media
types it does not know, and anyone may unload the model.
"""

from collections.abc import Callable
from typing import Any

from kserve import InferRequest, InferResponse, Model, ModelRepository
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane

from dialogue_predictor.errors import ModelNotFound, NotReady
from dialogue_predictor.serving.answers import Answers
from dialogue_predictor.serving.codecs.fields import read_json
from dialogue_predictor.serving.codecs.v1 import read_predict, write_predict
from dialogue_predictor.serving.codecs.v2 import read_infer, write_infer
from dialogue_predictor.serving.reception import current

TENSORS_IN = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
TENSORS_OUT = [
    {"name": "text", "datatype": "BYTES", "shape": [-1]},
    {"name": "score", "datatype": "FP32", "shape": [-1]},
]


class ServedModel(Model):  # type: ignore[misc]  # kserve is untyped
    """Answers v1 (a dict) and v2 (an InferRequest whose tensors our codec has checked)."""

    def __init__(self, name: str, answers: Answers, ready: Callable[[], bool]) -> None:
        super().__init__(name)
        self._ready = ready
        self._answers = answers

    async def healthy(self) -> bool:
        return self._ready()

    async def predict(
        self, payload: dict[str, Any] | InferRequest, headers: dict[str, str] | None = None
    ) -> dict[str, Any] | InferResponse:
        assigned = current.get()
        defaults = assigned.arm.generation
        if isinstance(payload, InferRequest):
            replies = await self._answers.reply(read_infer(payload, defaults), assigned)
            return write_infer(payload, replies, assigned.arm.revision)
        return write_predict(await self._answers.reply(read_predict(payload, defaults), assigned))

    def validate(self, payload: Any) -> Any:
        return payload  # the codecs check, with better words

    def get_input_types(self) -> list[dict[str, Any]]:
        return TENSORS_IN

    def get_output_types(self) -> list[dict[str, Any]]:
        return TENSORS_OUT


class FixedRepository(ModelRepository):  # type: ignore[misc]
    """One model from start to end: nobody loads or unloads it from outside."""

    def load(self, name: str) -> bool:
        raise InvalidInput("models are loaded with their pods")

    def unload(self, name: str) -> None:
        raise InvalidInput("models are unloaded with their pods")


class StrictPlane(DataPlane):  # type: ignore[misc]
    def __init__(self, repository: FixedRepository, served: str) -> None:
        super().__init__(model_registry=repository)
        self._served = served

    async def get_model(self, name: str) -> Any:
        """Raises ModelNotFound or NotReady; never loads."""
        model = self.get_model_from_registry(name)
        if not await model.healthy():
            raise NotReady()
        return model

    def get_model_from_registry(self, name: str) -> Any:
        model = self.model_registry.get_model(name)
        if model is None:
            raise ModelNotFound(self._served)
        return model

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        return bool(await self.get_model_from_registry(model_name).healthy())

    def decode(
        self, body: Any, headers: Any, protocol_version: str = "v1", model_name: str | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """v1 bodies: JSON and nothing else, no CloudEvents. v2 requests arrive decoded."""
        return (read_json(body) if isinstance(body, bytes) else body), {}

    def encode(
        self, model_name: str, response: Any, headers: Any, req_attributes: dict[str, Any]
    ) -> tuple[Any, dict[str, str]]:
        if isinstance(response, InferResponse):
            content, json_size = response.to_rest()
            return content, {} if json_size is None else {"inference-header-content-length": str(json_size)}
        return response, {}
