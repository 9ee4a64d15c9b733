"""Workers end to end, on a model that takes milliseconds: the same replies from every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dialogue_predictor.bench.models import SHAPES, Shape, convert, folder_of, save
from dialogue_predictor.bench.processes import BenchFailed, Reply, Worker, one_answer, workers
from dialogue_predictor.bench.settings import CT2_FP32, HUGGING_FACE, ONNX_RUNTIME, OURS_FP32, Layout, Setting
from dialogue_predictor.bench.work import Work

TINY = Shape(encoder_layers=1, decoder_layers=2, d_model=32, heads=4, ffn=48, vocabulary=60)
WORK = Work(batch=4, source=9, target=6, beams=3, uneven=True)
ONE, TWO = Layout(1, 1), Layout(2, 1)
IMPORTS_MIB = 50.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHAPES, "tiny", TINY)
        save(TINY, folder_of(place, "tiny"))
        yield place


def replies(folder: Path, *settings: Setting) -> dict[Setting, Reply]:
    with workers(folder, "tiny", settings) as running:
        return {setting: worker.ask(WORK, group=2, outputs=True) for setting, worker in running.items()}


def test_ours_says_what_hugging_face_says_in_every_layout(folder: Path) -> None:
    found = replies(folder, Setting(HUGGING_FACE, ONE), Setting(OURS_FP32, ONE), Setting(OURS_FP32, TWO))
    first, *others = (reply.outputs for reply in found.values())
    assert first is not None
    assert all(len(tokens) == WORK.target for tokens in first)
    assert len({tuple(tokens) for tokens in first}) == WORK.batch, "the weights are chosen for replies that differ"
    assert others == [first, first]
    for reply in found.values():
        assert reply.seconds > 0
        assert reply.tokens == WORK.batch * WORK.target
        assert reply.peak_mib > IMPORTS_MIB


def test_the_peers_say_the_same_from_their_own_forms(folder: Path) -> None:
    for library in ("ctranslate2", "onnx", "onnxruntime"):
        pytest.importorskip(library, reason="the extra `bench` is not installed")
    convert(folder_of(folder, "tiny"), folder_of(folder, "tiny", CT2_FP32), None)
    one_answer("onnx_export", str(folder_of(folder, "tiny")), str(folder_of(folder, "tiny", ONNX_RUNTIME)), threads=1)
    found = replies(folder, Setting(OURS_FP32, TWO), Setting(CT2_FP32, TWO), Setting(ONNX_RUNTIME, TWO))
    ours, *peers = (reply.outputs for reply in found.values())
    assert peers == [ours, ours]


def test_a_worker_that_cannot_load_says_why_in_one_line(folder: Path) -> None:
    worker = Worker(folder, "tiny", "ours-int3", ONE)
    try:
        with pytest.raises(BenchFailed, match=r"^ours-int3 1x1: \w+: .*; see .*\.log$"):
            worker.wait_ready()
    finally:
        worker.close()


def test_a_module_that_fails_is_named() -> None:
    with pytest.raises(BenchFailed, match=r"^limits: .*--rows"):
        one_answer("limits", threads=1)


def test_limits_are_measured() -> None:
    found = one_answer("limits", "--rows", "2", "--threads", "1", "--seconds", "0.001", threads=1)
    assert found["operations"] > 0
    assert found["bytes"] > 0
