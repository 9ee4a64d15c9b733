"""What a work must cost, against sums done by hand."""

from dialogue_predictor.bench.models import BASE, END, FIRST_WORD, Shape
from dialogue_predictor.bench.work import Operations, Work, bytes_a_step, operations

SMALL = Shape(encoder_layers=2, decoder_layers=3, d_model=4, heads=2, ffn=8, vocabulary=9)


def test_operations_by_hand() -> None:
    """Two sources of 5 tokens, 3 beams, 2 target tokens: 10 positions are read, 2 + 6 rows decoded."""
    assert operations(SMALL, Work(batch=2, source=5, target=2, beams=3)) == Operations(
        # a position: four maps 4x4, two of 4x8, and looking at 5 positions twice
        encoder=2 * 10 * (4 * 16 + 2 * 32 + 2 * 5 * 4) * 2,
        memory=2 * 10 * 2 * 16 * 3,
        # a row: six maps 4x4, two of 4x8, looking at 5 positions twice; 1 slot in the first step, 2 in the second
        decoder=2 * 3 * (8 * (6 * 16 + 2 * 32 + 2 * 5 * 4) + (2 * 1 + 6 * 2) * 2 * 4),
        vocabulary=2 * 8 * 4 * 10,
    )


def test_the_base_model_at_batch_32_is_known() -> None:
    assert round(operations(BASE, Work(batch=32)).total / 1e9) == 403


def test_bytes_of_a_step() -> None:
    assert bytes_a_step(SMALL) == 4 * (3 * (6 * 16 + 2 * 32) + 4 * 10)
    assert bytes_a_step(SMALL, bytes_a_weight=1) * 4 == bytes_a_step(SMALL)


def test_sources_are_the_same_each_time_and_end_once() -> None:
    work = Work(batch=50, source=12, uneven=True)
    sources = work.sources(vocabulary=30)
    assert sources == work.sources(vocabulary=30)
    assert {len(source) for source in sources} == set(range(8, 13))
    for source in sources:
        assert source[-1] == END
        assert all(FIRST_WORD <= token < 30 for token in source[:-1])


def test_even_sources_are_all_as_long() -> None:
    assert {len(source) for source in Work(batch=5, source=12).sources(30)} == {12}
