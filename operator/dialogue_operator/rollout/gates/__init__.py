"""What a gate says: sequential tests that may be looked at as often as one likes, as pure functions of sums.

May live here: mathematics and sentences. May not: state between two looks. Where the numbers come from is another's
business, and so is what follows from a verdict.

    mixture      evidence against a hypothesis, as a martingale's logarithm (one arm, two arms)
    shares, percentiles, means      what each kind of measure asks of it
    interval     the confidence sequence that such evidence leaves
    measures     from a gate and two tallies to the right question
    judge        from evidence to a verdict
"""

from dialogue_operator.rollout.gates.judge import differs, judge
from dialogue_operator.rollout.gates.judgement import Judgement

__all__ = ["Judgement", "differs", "judge"]
