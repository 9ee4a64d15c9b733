"""The whole chain as commands: masked and contrastive pretraining → fine-tuning → distillation → int8 → two bundles.

Data, so that what is run, what is printed and what stands on the card are the same. Every command can be interrupted
and goes on when the chain is started again; what is finished is not done twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FIRST: Final = "1.0.0"
SECOND: Final = "1.1.0"
EVALUATION: Final = "evaluation"
REPORT: Final = "report.json"  # what every stage and every evaluation writes last
DIGEST: Final = "digest"


@dataclass(frozen=True, slots=True)
class Sizes:
    """`minutes` of training in all; flags in which models and stages differ from their defaults."""

    minutes: float = 150.0
    teacher: tuple[str, ...] = ()
    student: tuple[str, ...] = (
        *("--d-model", "160", "--heads", "4", "--ffn", "640", "--encoder-layers", "2", "--decoder-layers", "1"),
    )
    training: tuple[str, ...] = ("--batch-tokens", "4096", "--learning-rate", "0.001")
    data: tuple[str, ...] = ()
    answered: int = 80_000
    evaluated: int = 500


@dataclass(frozen=True, slots=True)
class Step:
    """`dialogue WORDS`, which has been done once the file `result` is there."""

    words: tuple[str, ...]
    result: Path


def chain(data: Path, out: Path, sizes: Sizes = Sizes(), threads: int = 2, seed: int = 0) -> list[Step]:
    """The steps from the corpora in `data` to two evaluated runs under `out`, in order.

    The student, which learns from people, from the teacher's own replies and from its probabilities, is the first version;
    the second and better one is the teacher itself, three times as large. Both are rounded to int8.
    """
    common = ("--data", str(data), *sizes.data, "--threads", str(threads), "--seed", str(seed))
    pre, teacher, student = (out / name for name in ("pretrained", "teacher", "student"))
    replies = out / "replies.jsonl"

    def stage(words: Sequence[str], run: Path, share: float, *more: str) -> Step:
        budget = ("--max-minutes", f"{sizes.minutes * share:g}")
        return Step((*words, *common, "--out", str(run), "--resume", *sizes.training, *budget, *more), run / REPORT)

    taught = ("--teacher", str(teacher))
    said = ("--sequences", str(replies), "--sequences-share", "0.85")  # the teacher's own replies are easier to learn
    steps = [
        stage(("train", "pretrain"), pre, 0.05, *sizes.teacher),
        stage(("train", "finetune"), teacher, 0.60, "--start", str(pre)),
        Step(
            ("compress", "sequences", *common, *taught, "--out", str(replies), "--examples", str(sizes.answered)),
            out / "replies.done",
        ),
        stage(("compress", "distil"), student, 0.35, *taught, *said, *sizes.student),
    ]
    steps += quantised(data, out, student, FIRST, sizes.evaluated, threads, "--against", str(teacher))
    steps += quantised(data, out, teacher, SECOND, sizes.evaluated, threads)
    return steps


def quantised(data: Path, out: Path, run: Path, version: str, evaluated: int, threads: int, *beside: str) -> list[Step]:
    """A run's weights in int8, and what they are worth beside plain baselines."""
    rounded, threaded = out / f"int8-{version}", ("--threads", str(threads))
    return [
        Step(
            ("compress", "quantise", "--source", str(run), "--data", str(data), "--out", str(rounded), *threaded),
            rounded / REPORT,
        ),
        Step(
            (
                *("evaluate", "--bundle", str(rounded), *beside, "--data", str(data), *threaded),
                *("--precision", "int8", "--most", str(evaluated), "--out", str(rounded / EVALUATION)),
            ),
            rounded / EVALUATION / REPORT,
        ),
    ]
