"""The engines as the worker drives them: sources in, the best hypotheses' tokens out, nothing else timed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, cast

from dialogue_predictor.bench.models import CONVERSIONS, END, ONNX_FILE, Words
from dialogue_predictor.bench.settings import HUGGING_FACE, ONNX_RUNTIME, Layout
from dialogue_predictor.bench.work import Work

Sources = Sequence[Sequence[int]]
Tokens = list[list[int]]


class Engine(Protocol):
    def decode(self, sources: Sources, work: Work, group: int) -> Tokens:
        """The best hypothesis of each source without start, end and padding; `group` sources together, 0 for all."""


class HuggingFace:
    """`generate` in eager fp32, one batch on all threads."""

    def __init__(self, folder: Path) -> None:
        from transformers import MarianMTModel

        self.model = MarianMTModel.from_pretrained(folder).eval()
        self.padding = int(self.model.config.pad_token_id)

    def decode(self, sources: Sources, work: Work, group: int) -> Tokens:
        import torch

        longest = max(map(len, sources))
        source = torch.tensor([[*ids, *[self.padding] * (longest - len(ids))] for ids in sources])
        with torch.inference_mode():
            found = self.model.generate(
                source,
                attention_mask=(source != self.padding).long(),
                num_beams=work.beams,
                max_new_tokens=work.target,
                do_sample=False,
                early_stopping=work.uneven,
                length_penalty=1.0,
            )
        return [[token for token in row[1:] if token not in (END, self.padding)] for row in found.tolist()]


class CTranslate2:
    """`translate_batch`, whose `inter_threads` are instances and `max_batch_size` groups of similar length."""

    def __init__(self, folder: Path, precision: str, layout: Layout, vocabulary: int) -> None:
        import ctranslate2

        self.translator = ctranslate2.Translator(
            str(folder),
            device="cpu",
            compute_type={"fp32": "float32", "int8": "int8"}[precision],
            inter_threads=layout.instances,
            intra_threads=layout.threads,
        )
        self.words = Words(vocabulary).words
        self.tokens = {word: token for token, word in enumerate(self.words)}

    def decode(self, sources: Sources, work: Work, group: int) -> Tokens:
        found = self.translator.translate_batch(
            [[self.words[token] for token in source] for source in sources],
            beam_size=work.beams,
            max_decoding_length=work.target,
            min_decoding_length=1,
            length_penalty=1.0,
            max_batch_size=group,
        )
        return [[self.tokens[word] for word in result.hypotheses[0]] for result in found]


class OnnxRuntime:
    """A session over the exported search; an instance is a thread that runs the next group."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = layout.threads
        self.session = onnxruntime.InferenceSession(
            str(folder / ONNX_FILE), options, providers=["CPUExecutionProvider"]
        )
        self.instances = ThreadPoolExecutor(layout.instances)

    def decode(self, sources: Sources, work: Work, group: int) -> Tokens:
        return grouped(self.instances, lambda part: self._decode(part, work), sources, group)

    def _decode(self, sources: Sources, work: Work) -> Tokens:
        import numpy as np

        longest = max(map(len, sources))
        given = {
            "input_ids": [[*ids, *[END] * (longest - len(ids))] for ids in sources],
            "attention_mask": [[1] * len(ids) + [0] * (longest - len(ids)) for ids in sources],
            "max_length": [work.target + 1],  # the start counts
            "min_length": [1],
            "num_beams": [work.beams],
            "num_return_sequences": [1],
        }
        numbers = {name: np.array(value, np.int32) for name, value in given.items()}
        penalties = {name: np.ones(1, np.float32) for name in ("length_penalty", "repetition_penalty")}
        (found,) = self.session.run(None, numbers | penalties)
        return [row[0][1:].tolist() for row in found]


class Ours:
    """One `CpuEngine`; an instance is a thread that takes the next group."""

    def __init__(self, folder: Path, precision: str, layout: Layout) -> None:
        import torch

        from dialogue_predictor.backends.engines.apart import apart
        from dialogue_predictor.backends.engines.cpu import CpuEngine
        from dialogue_predictor.decoding.options import TokenIds
        from dialogue_predictor.model.config import ModelConfig
        from dialogue_predictor.model.families.loading import load_hugging_face

        def load() -> tuple[ModelConfig, CpuEngine]:
            torch.set_num_threads(layout.threads)
            model = load_hugging_face(folder)
            return model.config, CpuEngine(model, cast(Any, precision), release=True)

        config, self.engine = apart(load)
        self.ids = TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)
        self.instances = ThreadPoolExecutor(
            layout.instances, initializer=torch.set_num_threads, initargs=(layout.threads,)
        )

    def decode(self, sources: Sources, work: Work, group: int) -> Tokens:
        return grouped(self.instances, lambda part: self._decode(part, work), sources, group)

    def _decode(self, sources: Sources, work: Work) -> Tokens:
        from dialogue_predictor.decoding.options import GenerationOptions
        from dialogue_predictor.decoding.search import decode

        options = GenerationOptions(
            num_beams=work.beams, max_new_tokens=work.target, no_repeat_ngram=0, early_stopping=work.uneven
        )
        return [list(outcome.best.tokens) for outcome in decode(self.engine, sources, options, self.ids)]


def grouped(instances: ThreadPoolExecutor, decode: Callable[[Sources], Tokens], sources: Sources, group: int) -> Tokens:
    """Groups of similar length, the longest first, to whichever instance is free; the replies in the sources' order."""
    order = sorted(range(len(sources)), key=lambda index: -len(sources[index]))
    size = group or len(sources)
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    found: Tokens = [[] for _ in sources]
    for part, replies in zip(
        parts, instances.map(lambda part: decode([sources[index] for index in part]), parts), strict=True
    ):
        for index, reply in zip(part, replies, strict=True):
            found[index] = reply
    return found


def libraries(engine: str) -> tuple[str, ...]:
    """What an engine imports at least, before it has read a model."""
    if engine == HUGGING_FACE:
        return ("torch", "transformers.models.marian.modeling_marian")
    if engine in CONVERSIONS:
        return ("ctranslate2",)
    if engine == ONNX_RUNTIME:
        return ("onnxruntime",)
    return ("torch", "dialogue_predictor.backends.engines.cpu", "dialogue_predictor.model.families.loading")


def opener(engine: str, folder: Path, layout: Layout, vocabulary: int) -> Callable[[], Engine]:
    """What loads an engine. Raises ValueError on an unknown one."""
    family, _, precision = engine.partition("-")
    if engine == HUGGING_FACE:
        return lambda: HuggingFace(folder)
    if engine == ONNX_RUNTIME:
        return lambda: OnnxRuntime(folder, layout)
    if family == "ct2":
        return lambda: CTranslate2(folder, precision, layout, vocabulary)
    if family == "ours":
        return lambda: Ours(folder, precision, layout)
    raise ValueError(f"engine must be {HUGGING_FACE}, {ONNX_RUNTIME}, ct2-… or ours-…, got {engine!r}")
