"""The Open Inference Protocol v2: one BYTES tensor of texts or of dialogues in, texts and scores out.

KServe's own parsing turns a wrong shape, size or type into a 500, so tensors are read here, from JSON with or
without the binary extension and from protobuf, into KServe's InferRequest with its data as a list of strings.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from kserve import InferInput, InferOutput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from dialogue_predictor.config.spec import Generation
from dialogue_predictor.errors import InvalidRequest
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.serving.codecs.fields import (
    BATCH,
    read_json,
    read_list,
    read_messages,
    read_object,
    read_options,
    read_text,
)
from dialogue_predictor.text.dialogue import Turn

INPUTS = ("text", "messages")
OUTPUTS = ("text", "score")
ID_CHARACTERS = 128
LENGTH_BYTES = 4
IN_STRINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    **dict.fromkeys(("lengthPenalty", "repetitionPenalty", "temperature", "topP"), (float, "a number")),
    "badWords": (json.loads, "a JSON list of strings"),
}


def read_infer(request: InferRequest, defaults: Generation) -> tuple[ReplyRequest, ...]:
    """A request each for the strings of a tensor that `read_http` or `read_grpc` made."""
    parameters = {key: value for key, value in request.parameters.items() if key != "binary_data_output"}
    options = read_options(parameters, defaults, "parameters")
    tensor = request.inputs[0]
    requests = []
    for at, text in enumerate(tensor.data):
        field = f"inputs[0].data[{at}]"
        if tensor.name == "text":
            turns: tuple[Turn, ...] = (Turn("user", read_text(text, field)),)
        else:
            turns = read_messages(_read_dialogue(text, field), f"{field}.messages")
        requests.append(ReplyRequest(turns, options))
    return tuple(requests)


def _read_dialogue(text: str, field: str) -> Any:
    """The JSON in one string of the `messages` tensor: a list, or an object that holds one."""
    wrapped = text if text.lstrip().startswith("{") else f'{{"messages":{text}}}'
    try:
        return read_json(wrapped.encode()).get("messages")
    except InvalidRequest:
        raise InvalidRequest(field, "must be JSON: a list of messages with role and content") from None


def write_infer(request: InferRequest, replies: Sequence[Reply], revision: str) -> InferResponse:
    shape = request.inputs[0].shape
    return InferResponse(
        response_id=request.id,
        model_name=request.model_name,
        model_version=revision,
        infer_outputs=[
            InferOutput("text", shape, "BYTES", [reply.text for reply in replies]),
            InferOutput("score", shape, "FP32", [reply.score for reply in replies]),
        ],
        parameters={"revision": revision},
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


def read_http(body: bytes, header_length: str | None, model_name: str, request_id: str) -> InferRequest:
    """`header_length`: the Inference-Header-Content-Length header, where raw tensors follow the JSON."""
    head, raw = _split(body, header_length)
    value = read_json(head)
    tensors = read_list(value.get("inputs"), "inputs", most=1)
    tensor = read_object(tensors[0], "inputs[0]")
    own = read_object(tensor.get("parameters") or {}, "inputs[0].parameters")
    if "data" in tensor:
        data = _flat(tensor["data"])
    elif (size := own.get("binary_data_size")) is not None:
        if size != len(raw) or isinstance(size, bool):
            raise InvalidRequest("inputs[0].parameters.binary_data_size", "is not the size of the data that follows")
        data = _unpack(raw, "inputs[0]")
    else:
        raise InvalidRequest("inputs[0].data", "is missing")
    parameters = read_object(value.get("parameters") or {}, "parameters")
    if not isinstance(parameters.get("binary_data_output", False), bool):
        raise InvalidRequest("parameters.binary_data_output", "must be true or false")
    return InferRequest(
        model_name,
        [_tensor(tensor.get("name"), tensor.get("datatype"), tensor.get("shape"), data)],
        request_id=_read_id(value.get("id")) or request_id,
        parameters=dict(parameters),
        request_outputs=_read_outputs(value.get("outputs")),
    )


def read_grpc(message: Any, request_id: str) -> InferRequest:
    """From a ModelInferRequest protobuf."""
    if len(message.inputs) != 1:
        raise InvalidRequest("inputs", f"must have one tensor, has {len(message.inputs)}")
    tensor = message.inputs[0]
    if message.raw_input_contents:
        if len(message.raw_input_contents) != 1 or tensor.contents.ByteSize():
            raise InvalidRequest("raw_input_contents", "must have one entry, and inputs[0].contents none")
        data = _unpack(message.raw_input_contents[0], "raw_input_contents[0]")
    else:
        data = [_utf8(item, f"inputs[0].contents[{at}]") for at, item in enumerate(tensor.contents.bytes_contents)]
    outputs = [{"name": output.name} for output in message.outputs]
    request = InferRequest(
        message.model_name,
        [_tensor(tensor.name, tensor.datatype, list(tensor.shape), data)],
        request_id=_read_id(message.id) or request_id,
        parameters={key: _parameter(key, value) for key, value in message.parameters.items()},
        request_outputs=_read_outputs(outputs or None),
        from_grpc=True,
    )
    request._use_raw_outputs = bool(message.raw_input_contents)  # KServe answers raw tensors with raw tensors
    return request


def _tensor(name: Any, datatype: Any, shape: Any, data: Any) -> InferInput:
    """Checked: one of our names, BYTES, shape [n] or [n, 1] with n strings."""
    if name not in INPUTS:
        raise InvalidRequest("inputs[0].name", f"must be one of {', '.join(INPUTS)}")
    if datatype != "BYTES":
        raise InvalidRequest("inputs[0].datatype", "must be BYTES")
    texts = read_list(data, "inputs[0].data", most=BATCH)
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidRequest(f"inputs[0].data[{at}]", "must be a string")
    if not isinstance(shape, list) or any(type(size) is not int for size in shape):
        raise InvalidRequest("inputs[0].shape", "must be a list of integers")
    if shape not in ([len(texts)], [len(texts), 1]):
        raise InvalidRequest("inputs[0].shape", f"must be [{len(texts)}], as there are {len(texts)} strings")
    return InferInput(name, shape, "BYTES", texts)


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isascii() or not header_length.isdigit() or int(header_length) > len(body):
        raise InvalidRequest("inference-header-content-length", "must be the size of the JSON part of the body")
    size = int(header_length)
    return body[:size], body[size:]


def _flat(data: Any) -> Any:
    """`[["a"], ["b"]]`, the nested form of shape [n, 1], as `["a", "b"]`."""
    if isinstance(data, list) and data and all(isinstance(row, list) and len(row) == 1 for row in data):
        return [row[0] for row in data]
    return data


def _unpack(raw: bytes, field: str) -> list[str]:
    """Raw BYTES: each string after its length, four bytes little-endian."""
    texts = []
    at = 0
    while at < len(raw):
        start = at + LENGTH_BYTES
        end = start + int.from_bytes(raw[at:start], "little")
        if start > len(raw) or end > len(raw):
            raise InvalidRequest(field, "the raw BYTES end inside a string; put each string after its length")
        texts.append(_utf8(raw[start:end], field))
        at = end
    return texts


def _utf8(data: bytes, field: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(field, "must be UTF-8") from None


def _read_id(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and len(value) <= ID_CHARACTERS):
        raise InvalidRequest("id", f"must be a string of at most {ID_CHARACTERS} characters")
    return value or None


def _read_outputs(value: Any) -> list[RequestedOutput] | None:
    if value is None or value == []:
        return None
    wanted = []
    for at, item in enumerate(read_list(value, "outputs", most=len(OUTPUTS))):
        output = read_object(item, f"outputs[{at}]")
        if output.get("name") not in OUTPUTS:
            raise InvalidRequest(f"outputs[{at}].name", f"must be one of {', '.join(OUTPUTS)}")
        parameters = read_object(output.get("parameters") or {}, f"outputs[{at}].parameters")
        wanted.append(RequestedOutput(output["name"], {"binary_data": parameters.get("binary_data") is True}))
    return wanted


def _parameter(name: str, value: Any) -> Any:
    """A protobuf parameter; KServe's protocol has no floats and no lists, so these may come in a string."""
    kind = value.WhichOneof("parameter_choice")
    if kind is None:
        raise InvalidRequest("parameters", "has a value of no known kind; send an integer, a boolean or a string")
    plain: bool | int | str = getattr(value, kind)
    if not isinstance(plain, str) or name not in IN_STRINGS:
        return plain
    read, words = IN_STRINGS[name]
    try:
        return read(plain)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"parameters.{name}", f"must be {words}") from None
