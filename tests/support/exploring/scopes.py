"""What is explored: small scopes to the last state on every run, larger ones by `make explore`."""

from support.exploring.moves import ACTIONS, Scope
from support.exploring.wishes import Wish

VERSIONS = ("version", (1, 2))

QUICK = (
    Scope("canary, there and back", Wish(strategy="half"), edits=(VERSIONS,)),
    Scope(
        "first revision",
        Wish(strategy="half"),
        (),
        serves=False,
        conflicts=True,
        pods=("up", "down", "gone"),
        most=3000,
    ),
    Scope("decoding alone", Wish(strategy="half"), (("beams", (4, 2)),), actions=("Abort", "Retry"), most=3000),
    Scope("steps are edited", Wish(replicas=2), (VERSIONS, ("strategy", ("canary", "blue-green", "half"))), most=3000),
    Scope(
        "arms and a shadow",
        Wish(arms="two"),
        (VERSIONS, ("arms", ("", "two", "a/a")), ("shadow", (True, False))),
        most=3000,
    ),
)

LONG = (
    Scope("canary with all verbs", Wish(strategy="half"), edits=(("version", (2,)),), actions=ACTIONS),
    Scope(
        "strategies, sizes, three versions",
        Wish(replicas=2, bake="10s"),
        edits=(
            ("version", (1, 2, 3)),
            ("strategy", ("immediate", "canary", "other canary", "blue-green", "ungated", "partly gated")),
            ("replicas", (1, 2)),
        ),
        pods=("up", "down", "partly"),
        most=40_000,
    ),
    Scope(
        "blue-green, golden dialogues, host conflicts",
        Wish(strategy="blue-green", golden=True),
        edits=(VERSIONS, ("strategy", ("blue-green", "half")), ("on_abort", ("Migrate", "Finish"))),
        actions=("Promote", "Abort", "Retry", "Rollback"),
        golden=("", "Passed", "wrong"),
        conflicts=True,
        most=40_000,
    ),
    Scope(
        "arms, shadow, A/A",
        Wish(strategy="half", arms="two"),
        edits=(VERSIONS, ("arms", ("", "two", "a/a")), ("shadow", (True, False))),
        most=40_000,
    ),
    Scope(
        "decoding, variants, pods deleted by hand",
        Wish(strategy="half"),
        edits=(VERSIONS, ("beams", (4, 2)), ("arms", ("", "variant"))),
        actions=("Abort", "Retry", "Rollback"),
        pods=("up", "down", "gone"),
        most=40_000,
    ),
    Scope(
        "sleep", Wish(replicas=0), edits=(VERSIONS, ("replicas", (0, 2))), actions=("Abort", "Promote"), most=40_000
    ),
)  # fmt: skip
