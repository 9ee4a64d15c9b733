"""From samples to findings. Pure."""

from collections.abc import Mapping

from dialogue_predictor.bench.models import BASE
from dialogue_predictor.bench.rows import AGREEMENT, BYTES_SHARE, GEMM_SHARE, MEMORY, Finding, Row
from dialogue_predictor.bench.sampling import Samples, agreement, best
from dialogue_predictor.bench.settings import CT2_FP32, HUGGING_FACE, OURS_FP32, Layout, Setting
from dialogue_predictor.bench.work import Work, bytes_a_step, operations

Taken = Mapping[Setting, Samples]


def faster(row: Row, samples: Taken, ours: str, theirs: str) -> Finding:
    """How many times as fast we are, best setting against best setting."""
    return ratio(row, best(samples, ours), best(samples, theirs))


def faster_alike(row: Row, samples: Taken, layout: Layout, ours: str, theirs: str) -> Finding:
    """The same with both in one layout and all sources at once."""
    mine, other = Setting(ours, layout), Setting(theirs, layout)
    return ratio(row, (mine, samples[mine]), (other, samples[other]))


def ratio(row: Row, ours: tuple[Setting, Samples], theirs: tuple[Setting, Samples]) -> Finding:
    detail = f"{milliseconds(*ours)} against {milliseconds(*theirs)}"
    return Finding(row, theirs[1].seconds / ours[1].seconds, detail)


def milliseconds(setting: Setting, taken: Samples) -> str:
    by = f" by {setting.group}" if setting.group else ""
    return f"{1000 * taken.seconds:,.0f} ms ({setting.layout}{by})"


def gemm_share(samples: Taken, work: Work, kernel: str, operations_a_second: float) -> Finding:
    """The time that the work's operations would take at the highest measured rate, over the time taken."""
    setting, taken = best(samples, OURS_FP32)
    total = operations(BASE, work).total
    value = 100 * total / operations_a_second / taken.seconds
    limit = f"{total / 1e9:,.0f} GFLOP at {operations_a_second / 1e9:,.0f} GFLOP/s ({kernel})"
    return Finding(GEMM_SHARE, value, f"{limit}, {milliseconds(setting, taken)}")


def bytes_share(samples: Taken, work: Work, reader: str, bytes_a_second: float) -> Finding:
    """The time that reading the decoder's weights once a step would take at the highest measured rate, over the time
    taken with the encoder's."""
    setting, taken = best(samples, OURS_FP32)
    read = bytes_a_step(BASE)
    value = 100 * work.target * read / bytes_a_second / taken.seconds
    limit = f"{work.target} steps of {read / 1e6:,.0f} MB at {bytes_a_second / 1e9:,.1f} GB/s ({reader})"
    return Finding(BYTES_SHARE, value, f"{limit}, {milliseconds(setting, taken)}")


def memory(samples: Taken, library_mib: Mapping[Setting, float], layout: Layout) -> Finding:
    """Growth over a process that has only imported its library, both in one layout and all sources at once."""
    ours, theirs = Setting(OURS_FP32, layout), Setting(CT2_FP32, layout)
    grown, other = (samples[setting].peak_mib - library_mib[setting] for setting in (ours, theirs))
    return Finding(MEMORY, grown / other, f"{grown:,.0f} against {other:,.0f} MiB, libraries apart ({layout})")


def agreements(samples: Taken, layout: Layout) -> Finding:
    """Ours against Hugging Face's replies, and CTranslate2's beside it."""
    reference = samples[Setting(HUGGING_FACE, layout)]
    ours, theirs = (100 * agreement(reference, samples[Setting(engine, layout)]) for engine in (OURS_FP32, CT2_FP32))
    return Finding(AGREEMENT, ours, f"CTranslate2 {theirs:.0f} %; the others differ by rounding where two are as good")
