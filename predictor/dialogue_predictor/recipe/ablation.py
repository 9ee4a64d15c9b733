"""What pretraining and the copy head are worth: the student's shape with and without them, with little data, as commands.

Sentence vectors are judged right after pretraining, replies after fine-tuning on a share of the dialogues that is small
enough for what was learnt before to matter.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dialogue_predictor.recipe.chain import EVALUATION, REPORT, Sizes, Step

PRETRAINED: Final = {"masked": ("--contrast-weight", "0"), "contrastive": ()}
FINETUNED: Final = ("from-nothing", "from-masked", "from-contrastive", "without-copy")


@dataclass(frozen=True, slots=True)
class Little:
    """`share` of the dialogues, `minutes` of training in all; each report measures `evaluated` replies of a corpus."""

    share: float = 0.05
    minutes: float = 24.0
    evaluated: int = 300


def ablation(
    data: Path, out: Path, sizes: Sizes, little: Little = Little(), threads: int = 2, seed: int = 0
) -> list[Step]:
    """The steps from the corpora in `data` to the reports of six runs under `out`, in order."""
    minutes = f"{little.minutes / (len(PRETRAINED) + len(FINETUNED)):g}"
    common = ("--data", str(data), *sizes.data, "--threads", str(threads), "--seed", str(seed))
    budget = ("--resume", *sizes.training, "--max-minutes", minutes)
    starts = {
        "from-nothing": sizes.student,
        "from-masked": ("--start", str(out / "masked")),
        "from-contrastive": ("--start", str(out / "contrastive")),
        "without-copy": ("--start", str(out / "contrastive"), "--no-copy"),
    }
    steps: list[Step] = []
    for name, flags in PRETRAINED.items():
        run = out / name
        words = ("train", "pretrain", *common, "--out", str(run), *budget, *sizes.student, *flags)
        steps += [Step(words, run / REPORT), evaluation(data, run, "retrieval,zero-shot", little, threads)]
    for name in FINETUNED:
        run = out / name
        words = ("train", "finetune", *common, "--out", str(run), *budget, "--examples-share", str(little.share))
        steps += [
            Step((*words, *starts[name]), run / REPORT),
            evaluation(data, run, "replies,perplexity,retrieval,zero-shot", little, threads),
        ]
    return steps


def evaluation(data: Path, run: Path, parts: str, little: Little, threads: int) -> Step:
    folder = run / EVALUATION
    return Step(
        (
            *("evaluate", "--bundle", str(run), "--data", str(data), "--threads", str(threads), "--only", parts),
            *("--most", str(little.evaluated), "--out", str(folder)),
        ),
        folder / REPORT,
    )
