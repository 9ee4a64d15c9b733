"""How an engine is run: which one, on how many threads in how many instances, how many sources at a time."""

import re
from dataclasses import dataclass, replace
from typing import Final

HUGGING_FACE: Final = "hf"
CT2_FP32, CT2_INT8 = "ct2-fp32", "ct2-int8"
OURS_FP32, OURS_BF16, OURS_INT8 = "ours-fp32", "ours-bf16", "ours-int8"
OURS: Final = (OURS_FP32, OURS_BF16, OURS_INT8)
ONNX_RUNTIME: Final = "ort"

TITLES = {
    HUGGING_FACE: "Hugging Face `generate`, fp32",
    CT2_FP32: "CTranslate2, fp32",
    CT2_INT8: "CTranslate2, int8",
    ONNX_RUNTIME: "ONNX Runtime, fp32",
    OURS_FP32: "ours, fp32",
    OURS_BF16: "ours, bf16",
    OURS_INT8: "ours, int8",
}


@dataclass(frozen=True, order=True)
class Layout:
    """`instances` engines of `threads` threads each: 1x2 is one engine on two threads, 2x1 two one-thread engines."""

    instances: int
    threads: int

    def __str__(self) -> str:
        return f"{self.instances}x{self.threads}"

    @classmethod
    def parse(cls, text: str) -> "Layout":
        """Raises ValueError on anything but INSTANCESxTHREADS."""
        if not (found := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)):
            raise ValueError(f"layout must be like 1x2, got {text!r}")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, order=True)
class Setting:
    """An engine in a layout; `group` sources are decoded together, 0 for all of them in one batch."""

    engine: str
    layout: Layout
    group: int = 0

    def grouped(self, group: int) -> "Setting":
        return replace(self, group=group)

    def __str__(self) -> str:
        return f"{self.engine} {self.layout}" + (f" by {self.group}" if self.group else "")


def layouts(threads: int) -> tuple[Layout, ...]:
    """The two that are worth comparing on a machine of that many threads; one where they are the same."""
    return tuple(dict.fromkeys((Layout(1, threads), Layout(threads, 1))))


def groups(setting: Setting, batch: int, quick: bool) -> tuple[int, ...]:
    """The sizes of groups worth trying. One engine: all at once, or a quarter; several: a part each, or less.

    To save time the quick way tries fewer, and for us only the first.
    """
    if setting.layout.instances == 1:
        return (0,) if quick or batch < 8 else (0, batch // 4)
    share = -(-batch // setting.layout.instances)
    every = tuple(dict.fromkeys(max(1, share // part) for part in (1, 2, 4)))
    if not quick:
        return every
    return every[:1] if setting.engine in OURS else every[:2]
