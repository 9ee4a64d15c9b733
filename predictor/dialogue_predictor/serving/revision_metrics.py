"""What one revision did, in numbers that gates compare: requests, replies, votes, copies for its shadow."""

from typing import Literal, get_args

from dialogue_predictor.inference.quality import Kind, degenerate
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.serving.families import Families
from dialogue_predictor.serving.problems import Outcome

Vote = Literal["up", "down"]
Result = Literal["same", "different", "failed", "dropped"]


class RevisionMetrics:
    """All series are there from the start, at zero: what never happened is told apart from what is not known."""

    def __init__(self, families: Families, model: str, revision: str) -> None:
        self.revision = revision
        at = (model, revision)
        self._requests = {outcome: families.requests.labels(*at, outcome) for outcome in get_args(Outcome)}
        self._replies = {quality: families.replies.labels(*at, quality) for quality in ("sound", "degenerate")}
        self._degenerate = {kind: families.degenerate.labels(*at, kind) for kind in get_args(Kind)}
        self._feedback = {vote: families.feedback.labels(*at, vote) for vote in get_args(Vote)}
        self._seconds = families.seconds.labels(*at)
        self._first = families.first.labels(*at)
        self._tokens = families.tokens.labels(*at)
        self._reply_tokens = families.reply_tokens.labels(*at)
        self._margin = families.margin.labels(*at)
        self._switches = families.switches.labels(*at)
        self._families = families
        self._at = at

    def request(self, outcome: Outcome, seconds: float) -> None:
        self._requests[outcome].inc()
        if outcome in ("ok", "server_error"):  # what we made somebody wait for
            self._seconds.observe(seconds)

    def reply(self, request: ReplyRequest, reply: Reply) -> None:
        self._tokens.inc(reply.tokens)
        self._reply_tokens.observe(reply.tokens)
        if reply.margin is not None:
            self._margin.observe(reply.margin)
        kinds = degenerate(reply, request.turns[-1].text)
        self._replies["degenerate" if kinds else "sound"].inc()
        for kind in kinds:
            self._degenerate[kind].inc()

    def first_text(self, seconds: float) -> None:
        self._first.observe(seconds)

    def voted(self, vote: Vote) -> None:
        self._feedback[vote].inc()

    def switched(self) -> None:
        """A client came back for a revision that is not here, and was answered by this one."""
        self._switches.inc()

    def shadowed(self, shadow: str, result: Result, seconds: float | None = None) -> None:
        """A copy of what this revision answered; `seconds` where the shadow answered, too."""
        self._families.shadow.labels(*self._at, shadow, result).inc()
        if seconds is not None:
            self._families.shadow_seconds.labels(*self._at, shadow).observe(seconds)
