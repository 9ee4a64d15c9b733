"""`dialogue bench decoding`: every part of the measurement, one after the other, and what comes of it."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dialogue_predictor.bench import compare, machine, page, rows
from dialogue_predictor.bench.models import SHAPES, folder_of, prepare
from dialogue_predictor.bench.processes import BenchFailed, one_answer, workers
from dialogue_predictor.bench.rows import Finding, Row
from dialogue_predictor.bench.sampling import DISTURBED, Pace, Samples, measure, tuned
from dialogue_predictor.bench.settings import (
    CT2_FP32,
    CT2_INT8,
    HUGGING_FACE,
    ONNX_RUNTIME,
    OURS_BF16,
    OURS_FP32,
    OURS_INT8,
    Layout,
    Setting,
    layouts,
)
from dialogue_predictor.bench.work import Work

EVEN_32, EVEN_8, ALONE = Work(batch=32), Work(batch=8), Work(batch=1)
UNEVEN_32 = Work(batch=32, target=48, uneven=True)
TITLES = {EVEN_32: "batch 32", EVEN_8: "batch 8", ALONE: "batch 1", UNEVEN_32: "uneven, batch 32"}
BRIEFLY = Pace(rounds=3, budget=0, patience=1)
SINGLE = 5  # as much patience for what is measured once
NOT_QUICK = "left out by --quick"
NOTES = (
    "Base is 6+6 layers, width 512, 8 heads, feed-forward 2048, 32,000 words, Marian-shaped, random weights; 64 source "
    "tokens, 32 target tokens (no end before), 4 beams. Uneven: 8 to 64 source tokens, at most 48 target tokens, live "
    "EOS, early stopping. Same weights and sources for all, each engine in a process of its own, runs interleaved.",
    "A ratio is of medians of seconds, theirs over ours. Best layouts: one engine on all threads or an engine for each, "
    "with the group size that was fastest in a trial run.",
    f"A sample is dropped when others used more than {100 * DISTURBED:.0f} % of the machine meanwhile.",
    "Static batches: whoever is there, up to 32, is decoded together, and answered when the last reply of the batch is done; "
    "until then finished rows are computed too, as by `generate`. 80 % load is 80 % of what that server gets through. Where "
    "replies leave, it is our own scheduler admitting nobody while it decodes: it gets through more, and so that row's "
    "requests come faster.",
    "ONNX Runtime runs its BeamSearch operator over graphs as torch.onnx exports them; the fusions of its tools are for "
    "models that they know, and this is none.",
)


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long. `work` is the folder of models and logs."""

    work: Path
    quick: bool
    pace: Pace
    threads: int

    @classmethod
    def of(cls, work: Path, quick: bool, rounds: int | None, threads: int) -> "Plan":
        if quick:
            return cls(work, quick, Pace(rounds or 3, budget=0, patience=0.4), threads)
        return cls(work, quick, Pace(rounds or 5, budget=90, patience=3), threads)

    @property
    def together(self) -> Layout:
        """One engine on all threads."""
        return layouts(self.threads)[0]


@dataclass
class Result:
    """Findings and tables as they are found; `told` hears of each."""

    told: Callable[[str], None]
    findings: list[Finding] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)

    def found(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings.append(finding)
            self.told(page.row_line(finding))

    def excused(self, reason: str, *missing: Row) -> None:
        self.found(*(Finding(row, None, reason, excused=True) for row in missing))

    @property
    def in_order(self) -> list[Finding]:
        return sorted(self.findings, key=lambda finding: rows.ROWS.index(finding.row))

    @property
    def failed(self) -> bool:
        return any(finding.failed for finding in self.findings)

    def section(self, command: str, seconds: float) -> str:
        """The body of the page's section; `seconds` is what the command took."""
        tables = (page.findings_table(self.in_order), *self.tables)
        return page.section(command, seconds / 60, machine.describe(), tables, NOTES)


def run(plan: Plan, told: Callable[[str], None]) -> Result:
    """Raises BenchFailed when an engine cannot be measured."""
    result = Result(told)
    prepare(plan.work, ["base", "student-ending"] if plan.quick else list(SHAPES))
    for part in (machine_limits, loading, even_32, even_8, alone, uneven, continuous, gpu, onnx_runtime):
        part(plan, result)
    return result


def sampled(
    plan: Plan, result: Result, model: str, work: Work, engines: Sequence[str]
) -> tuple[dict[Setting, Samples], dict[Setting, float]]:
    """Samples of the engines in all their layouts, also as a table, and what their libraries alone hold in MiB."""
    chosen = [Setting(engine, layout) for engine in engines for layout in worth_trying(engine, work, plan.threads)]
    with workers(plan.work, model, chosen) as running:
        samples = measure(running, tuned(running, work, plan.quick), work, plan.pace, machine.wait_until_quiet)
        library = {setting: worker.library_mib for setting, worker in running.items()}
    title = TITLES[work] + (", beside ONNX Runtime" if ONNX_RUNTIME in engines else "")
    table = page.samples_table(title, samples, library)
    result.tables.append(table)
    result.told(f"\n{table}\n")
    return samples, library


def worth_trying(engine: str, work: Work, threads: int) -> tuple[Layout, ...]:
    """All layouts, but one for Hugging Face, and one for a single source."""
    both = layouts(threads)
    return both[:1] if engine == HUGGING_FACE or work.batch == 1 else both


def answered(plan: Plan, module: str, *arguments: str) -> dict[str, Any]:
    """What a module of this package prints, run at a quiet moment if one comes. Raises BenchFailed."""
    machine.wait_until_quiet(SINGLE * plan.pace.patience)
    return one_answer(module, *arguments, threads=plan.threads)


def even_32(plan: Plan, result: Result) -> None:
    reduced = (CT2_INT8, OURS_INT8) if plan.quick else (CT2_INT8, OURS_BF16, OURS_INT8)
    engines = (HUGGING_FACE, CT2_FP32, OURS_FP32, *reduced)
    samples, library = sampled(plan, result, "base", EVEN_32, engines)
    limits = result.limits
    result.found(
        compare.faster_alike(rows.SAME_LAYOUT, samples, plan.together, OURS_FP32, CT2_FP32),
        compare.faster(rows.BEST_LAYOUTS, samples, OURS_FP32, CT2_FP32),
        compare.faster(rows.INT8, samples, OURS_INT8, CT2_INT8),
        compare.faster(rows.HUGGING_FACE_FP32, samples, OURS_FP32, HUGGING_FACE),
        compare.faster(rows.HUGGING_FACE_INT8, samples, OURS_INT8, HUGGING_FACE),
        compare.gemm_share(samples, EVEN_32, limits["kernel"], limits["operations"]),
        compare.memory(samples, library, plan.together),
        compare.agreements(samples, plan.together),
    )


def even_8(plan: Plan, result: Result) -> None:
    samples, _ = sampled(plan, result, "base", EVEN_8, (CT2_FP32, OURS_FP32))
    result.found(compare.faster(rows.BATCH_8, samples, OURS_FP32, CT2_FP32))


def alone(plan: Plan, result: Result) -> None:
    samples, _ = sampled(plan, result, "base", ALONE, (CT2_FP32, OURS_FP32))
    limits = result.limits
    result.found(
        compare.faster(rows.BATCH_1, samples, OURS_FP32, CT2_FP32),
        compare.bytes_share(samples, ALONE, limits["reader"], limits["bytes"]),
    )


def uneven(plan: Plan, result: Result) -> None:
    if plan.quick:
        result.excused(NOT_QUICK, rows.UNEVEN)
        return
    samples, _ = sampled(plan, result, "base-ending", UNEVEN_32, (CT2_FP32, OURS_FP32))
    result.found(compare.faster(rows.UNEVEN, samples, OURS_FP32, CT2_FP32))


def continuous(plan: Plan, result: Result) -> None:
    arrivals(plan, result, rows.CONTINUOUS)
    if plan.quick:
        result.excused(NOT_QUICK, rows.LEAVING)
    else:
        arrivals(plan, result, rows.LEAVING, "--leaving")


def arrivals(plan: Plan, result: Result, row: Row, *more: str) -> None:
    requests, rounds = (150, 1) if plan.quick else (300, 3)
    found = answered(
        plan,
        "arrivals",
        *("--model", str(folder_of(plan.work, "student-ending"))),
        *("--vocabulary", str(SHAPES["student-ending"].vocabulary)),
        *("--requests", str(requests), "--rounds", str(rounds)),
        *more,
    )
    ratios = [new / old for new, old in zip(found["continuous"], found["static"], strict=True)]
    new, old = (1000 * statistics.median(found[name]) for name in ("continuous", "static"))
    detail = (
        f"{new:,.0f} against {old:,.0f} ms, {rounds} x {requests} requests at {found['rate']:.1f} a second, "
        "student of 2+2 layers and width 256, uneven"
    )
    result.found(Finding(row, statistics.median(ratios), detail))


def machine_limits(plan: Plan, result: Result) -> None:
    """What the machine can do at best, for the parts that compare with it."""
    step_rows = EVEN_32.batch * EVEN_32.beams
    asked = ("--rows", str(step_rows), "--threads", str(plan.threads))
    result.limits |= answered(plan, "limits", *asked)


def loading(plan: Plan, result: Result) -> None:
    folder = str(plan.work / "bundle")
    answered(plan, "loading", folder)  # makes it, or brings its files into memory
    times = 1 if plan.quick else 3
    seconds = [answered(plan, "loading", folder)["seconds"] for _ in range(times)]
    detail = f"digest, weights, engine, fp32; median of {times} processes, files in the page cache"
    result.found(Finding(rows.LOADING, statistics.median(seconds), detail))


def gpu(plan: Plan, result: Result) -> None:
    asked = {
        "step": rows.GPU_STEP,
        "graph": rows.GPU_GRAPH,
        "hugging_face": rows.GPU_HUGGING_FACE,
        "bytes": rows.GPU_BYTES,
    }
    found = answered(plan, "gpu", "--model", str(folder_of(plan.work, "base")))
    if "absent" in found:
        result.excused(found["absent"], *asked.values())
        return
    result.found(*(Finding(row, *found[name]) for name, row in asked.items()))


def onnx_runtime(plan: Plan, result: Result) -> None:
    """Fewer rounds: its search takes many times as long as the others'."""
    if plan.quick:
        result.excused(NOT_QUICK, rows.ONNX_RUNTIME)
        return
    folders = (folder_of(plan.work, "base", engine) for engine in (HUGGING_FACE, ONNX_RUNTIME))
    try:
        answered(plan, "onnx_export", *map(str, folders))
        samples, _ = sampled(
            replace(plan, quick=True, pace=BRIEFLY), result, "base", EVEN_32, (ONNX_RUNTIME, OURS_FP32)
        )
    except BenchFailed as error:
        result.excused(str(error), rows.ONNX_RUNTIME)
        return
    result.found(compare.faster(rows.ONNX_RUNTIME, samples, OURS_FP32, ONNX_RUNTIME))
