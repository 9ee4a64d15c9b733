"""From evidence to recorded verdicts. A verdict speaks of one revision in one step, and of nothing else."""

from collections.abc import Sequence

from dialogue_operator.api.rollout import Gate
from dialogue_operator.api.status import DialogueModelStatus, GateVerdict
from dialogue_operator.rollout.case import Case, Outcome, Said, normal, warning
from dialogue_operator.rollout.evidence import Evidence
from dialogue_operator.rollout.gates import differs, judge
from dialogue_operator.rollout.stages import Stage

MORE = 1.1  # a verdict is written again when it rests on this much more evidence, or says something else


def evidence_for(case: Case, status: DialogueModelStatus, step: int) -> Evidence | None:
    """What was gathered for this very rollout and step."""
    found = case.observed.evidence
    return found if found and (found.rollout_id, found.step) == (status.rollout.id, step) else None


def judged(
    case: Case,
    status: DialogueModelStatus,
    revision: str,
    step: int,
    gates: Sequence[Gate],
    askings: int,
    aa: bool = False,
) -> Outcome:
    """The status with what these gates say of this revision now; nothing changes where there is no evidence.

    `askings`: how many times each gate is asked in all, at other steps or of other arms: more chances to fail by chance.
    """
    evidence = evidence_for(case, status, step)
    if evidence is None or not gates:
        return status, ()
    said: Said = ()
    for gate in gates:
        verdict = _verdict(evidence, status.stable_revision or "", revision, step, gate, len(gates) * askings, aa)
        old = _known(status, gate.name, revision, step)
        if old and old.verdict == "Fail" and step:  # kept while stable cannot take over: it must not be talked away
            continue
        if old and old.verdict == verdict.verdict and verdict.samples < max(1, old.samples) * MORE:
            continue
        rest = tuple(v for v in status.gates if v is not old)
        status = status.model_copy(update={"gates": (*rest, verdict)})
        if old is None or old.verdict != verdict.verdict:
            said += _announced(verdict, first=old is None)
    return status, said


def _verdict(
    evidence: Evidence, stable: str, revision: str, step: int, gate: Gate, comparisons: int, aa: bool
) -> GateVerdict:
    ours, theirs = evidence.tallies.get(revision), evidence.tallies.get(stable)
    if aa:
        found = differs(gate, ours, theirs, comparisons)
    else:
        found = judge(gate, ours, theirs, evidence.answers.get((gate.name, revision)), comparisons)
    words = evidence.problem if found.verdict == "NoData" and evidence.problem else found.evidence
    return GateVerdict(
        name=gate.name,
        revision=revision,
        step=step,
        verdict=found.verdict,
        samples=found.samples,
        evidence=words[:512],
    )


def _known(status: DialogueModelStatus, gate: str, revision: str, step: int) -> GateVerdict | None:
    wanted = (gate, revision, step)
    return next((v for v in status.gates if (v.name, v.revision, v.step) == wanted), None)


def _announced(verdict: GateVerdict, first: bool) -> Said:
    text = f"gate {verdict.name} of revision {verdict.revision}: {verdict.verdict}, {verdict.evidence}"
    if verdict.verdict == "Fail":
        return warning("GateFailed", text)
    if verdict.verdict == "Pass":
        return normal("GatePassed", text)
    return () if first else normal(f"Gate{verdict.verdict}", text)


def without_verdicts_on(status: DialogueModelStatus, revision: str) -> DialogueModelStatus:
    """Its steps begin anew, and their evidence with them."""
    gates = tuple(v for v in status.gates if v.revision != revision or not v.step)
    return status.model_copy(update={"gates": gates})


def step_has_failed(status: DialogueModelStatus, stage: Stage) -> GateVerdict | None:
    """The first gate of this step that failed, as recorded: a failure does not go away by being asked again."""
    names, rollout = {gate.name for gate in stage.gates}, status.rollout
    mine = (v for v in status.gates if (v.revision, v.step) == (rollout.revision, rollout.step))
    return next((v for v in mine if v.name in names and v.verdict == "Fail"), None)


def step_has_passed(case: Case, status: DialogueModelStatus, stage: Stage) -> bool:
    """Every gate passes on evidence that was gathered just now, and gates can be trusted."""
    if not stage.gates:
        return True
    step, revision = status.rollout.step, status.rollout.revision
    if evidence_for(case, status, step) is None or untrusted(status):
        return False
    known = (_known(status, gate.name, revision, step) for gate in stage.gates)
    return all(v is not None and v.verdict == "Pass" for v in known)


def untrusted(status: DialogueModelStatus) -> GateVerdict | None:
    """An A/A arm, which runs just what stable runs, was found to differ: something else than the model does that."""
    arms = {r.revision for r in status.revisions if r.arm and not r.retire_at and is_the_same(status, r.revision)}
    return next((v for v in status.gates if v.step == 0 and v.revision in arms and v.verdict == "Fail"), None)


def is_the_same(status: DialogueModelStatus, revision: str) -> bool:
    """It runs what the stable revision runs: an A/A arm."""
    serving = {r.revision: r.serving for r in status.revisions}
    return serving.get(revision) == serving.get(status.stable_revision or "")
