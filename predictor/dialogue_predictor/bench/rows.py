"""The rows that are judged: what each compares, its floor and its target."""

from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["met", "target missed", "floor missed", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """`floor` must be reached, `target` should be; with `lower` smaller is better. None: nothing is asked."""

    title: str
    floor: float | None = None
    target: float | None = None
    lower: bool = False
    unit: str = ""

    def reaches(self, value: float, bound: float | None) -> bool:
        if bound is None:
            return True
        return value <= bound if self.lower else value >= bound


SAME_LAYOUT: Final = Row(
    title="fp32 ÷ CTranslate2 fp32, batch 32, both one engine on all threads", floor=1.15, target=1.35
)
BEST_LAYOUTS: Final = Row(title="fp32 ÷ CTranslate2 fp32, batch 32, best layouts", floor=1.0, target=1.2)
BATCH_8: Final = Row(title="fp32 ÷ CTranslate2 fp32, batch 8", floor=1.4, target=1.8)
BATCH_1: Final = Row(title="fp32 ÷ CTranslate2 fp32, batch 1", floor=1.0, target=1.2)
INT8: Final = Row(title="int8 ÷ CTranslate2 int8, batch 32, best layouts", floor=0.95, target=1.25)
HUGGING_FACE_FP32: Final = Row(title="fp32 ÷ Hugging Face, batch 32", floor=2.2, target=3.0)
HUGGING_FACE_INT8: Final = Row(title="int8 ÷ Hugging Face, batch 32", floor=3.5, target=4.8)
UNEVEN: Final = Row(title="fp32 ÷ CTranslate2 fp32, uneven lengths with live EOS, batch 32", floor=1.0, target=1.3)
CONTINUOUS: Final = Row(
    title="continuous ÷ static batches, Poisson arrivals at 80 % load, P95 latency", floor=0.6, target=0.4, lower=True
)
LEAVING: Final = Row(
    title="continuous ÷ static batches that replies leave when they are done, the same at 80 % of theirs"
)
GEMM_SHARE: Final = Row(title="share of the measured GEMM limit, fp32, batch 32", floor=50, target=65, unit=" %")
GPU_STEP: Final = Row(title="GPU: a step, batch 32", floor=400, target=250, lower=True, unit=" µs")
GPU_GRAPH: Final = Row(title="GPU: graph ÷ eager, batch 32", floor=2.5, target=3.5)
GPU_HUGGING_FACE: Final = Row(title="GPU: ÷ Hugging Face eager, batch 32", floor=8, target=15)
GPU_BYTES: Final = Row(title="GPU: share of the bytes roofline, batch 256", floor=25, target=40, unit=" %")
MEMORY: Final = Row(title="peak memory ÷ CTranslate2's, fp32, batch 32, the same layout", floor=1.2, lower=True)
LOADING: Final = Row(title="loading a bundle of 60 M parameters", floor=2, lower=True, unit=" s")
ONNX_RUNTIME: Final = Row(title="fp32 ÷ ONNX Runtime's BeamSearch, batch 32")
BYTES_SHARE: Final = Row(title="share of the measured bytes limit, fp32, batch 1", unit=" %")
AGREEMENT: Final = Row(title="replies equal to Hugging Face's, fp32, batch 32", unit=" %")

ROWS: Final = (
    SAME_LAYOUT,
    BEST_LAYOUTS,
    BATCH_8,
    BATCH_1,
    INT8,
    HUGGING_FACE_FP32,
    HUGGING_FACE_INT8,
    UNEVEN,
    CONTINUOUS,
    LEAVING,
    GEMM_SHARE,
    MEMORY,
    LOADING,
    GPU_STEP,
    GPU_GRAPH,
    GPU_HUGGING_FACE,
    GPU_BYTES,
    BYTES_SHARE,
    AGREEMENT,
    ONNX_RUNTIME,
)


@dataclass(frozen=True)
class Finding:
    """A row's value, or None and in `detail` why; otherwise `detail` says what it is made of.

    `excused`: that it was not measured is no failure, as on a machine without a GPU.
    """

    row: Row
    value: float | None
    detail: str = ""
    excused: bool = False

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return "not measured"
        if not self.row.reaches(self.value, self.row.floor):
            return "floor missed"
        return "met" if self.row.reaches(self.value, self.row.target) else "target missed"

    @property
    def failed(self) -> bool:
        """Below its floor, or judged by one and without reason not measured."""
        if self.value is None:
            return self.row.floor is not None and not self.excused
        return self.verdict == "floor missed"
