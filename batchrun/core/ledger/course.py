"""How a run went, folded from the same lines as its statement: tokens and trouble over time, how long answers took, why rows failed.

It is what a page plots and a report of several runs adds up. One pass, in memory that grows with workspaces, models and kinds of failure,
and not with rows, but for what the statement's fold remembers too: calls that have not ended, and a digest of each row that failed
(`unanswered.py`). Calls and their tokens are counted at the moment the call began, so that a plot shows what was asked when.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from batchrun.core.classes import value
from batchrun.core.jobs.stated import quotas_of
from batchrun.core.ledger.attempts import Ended, Started
from batchrun.core.ledger.counting import Ending
from batchrun.core.ledger.durations import Durations
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.moments import as_told
from batchrun.core.ledger.timeline import Timeline, plausible
from batchrun.core.ledger.unanswered import MOST_REASONS, REST, Reason, Told, Unanswered, status_of, word
from batchrun.core.ledger.usual import Began, UsualAnswer
from batchrun.core.model import Usage

_counted = itemgetter(*map(Entry._fields.index, ("workspace", "model", "outcome", "usage", "started_at", "latency_ms", "first_token_ms")))
_TROUBLE = frozenset({"again", "throttled", "parked"})

Lane = tuple[str, str]


class Trouble(NamedTuple):
    """Why calls of a workspace brought nothing, though their rows were not lost by it."""

    workspace: str
    verdict: str
    code: str


@value
class _Tracks:
    """Where the calls of a lane are counted: found once, for there are millions."""

    calls: dict[int, int]
    input: dict[int, int]
    output: dict[int, int]
    quota_calls: tuple[dict[int, int], ...]
    quota_tokens: tuple[dict[int, int], ...]
    latency: Durations
    first_token: Durations


@value
class Standstill:
    """A lane whose last word was a refusal that only a person can mend."""

    workspace: str
    model: str
    code: str
    status: int | None
    at: float


class Course:
    """Looks on while the ledger of one run is folded: `attempts` and `entries` hand on what they are given. Those of several add up."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        """By workspace and ``calls``, ``input``, ``output``, ``throttled``, ``again`` or ``parked``."""
        self.minutes = Timeline(most=1500, narrowest=60)
        """By quota and ``calls`` or ``tokens``, in whole minutes at the least."""
        self.trouble: Counter[Trouble] = Counter()
        self.standstills: dict[Lane, Standstill] = {}
        self.untimed = 0
        """Calls whose time is not known, or cannot be right: they are in no series."""
        self.began: float | None = None
        self.ended: float | None = None
        self.job: Mapping[str, Any] = {}
        self._tracks: dict[Lane, _Tracks] = {}
        self._latency: dict[Lane, Durations] = {}
        self._first_token: dict[Lane, Durations] = {}
        self._unanswered = Unanswered()

    def begin(self, job: object) -> None:
        """Take a run's *job* as run.json describes it, whose quotas are to be held against its calls."""
        self.job = job if isinstance(job, dict) else {}

    def add(self, other: Course) -> None:
        """Add another run's."""
        self.timeline.merge(other.timeline)
        self.minutes.merge(other.minutes)
        for mine, its in ((self._latency, other._latency), (self._first_token, other._first_token)):
            for lane, durations in its.items():
                _durations(mine, lane).merge(durations)
        self.trouble.update(other.trouble)
        self.standstills.update(other.standstills)
        self._unanswered.add(other._unanswered)
        self.untimed += other.untimed
        for at in (other.began, other.ended):
            if at is not None:
                self._passed(at)

    def join(self, other: Course) -> bool:
        """Take in what entries of other workspaces came to apart; False where too many reasons are told apart."""
        unanswered, other._unanswered = other._unanswered, Unanswered()
        self.add(other)
        return self._unanswered.join(unanswered)

    def latency(self) -> dict[Lane, Durations]:
        """Of answers, from the request to the last byte; of the call that was answered, waiting before it not counted."""
        return {lane: durations for lane, durations in self._latency.items() if durations.count}

    def first_token(self) -> dict[Lane, Durations]:
        """Of streamed answers, from the request to the first token."""
        return {lane: durations for lane, durations in self._first_token.items() if durations.count}

    def reasons(self) -> dict[Reason, Told]:
        """Why rows have no answer: of those whose latest entry is none."""
        return self._unanswered.reasons()

    def called(self, begun: Mapping[Began, int], ended: Iterable[Ending]) -> None:
        """Look at calls when they start, and again when they end."""
        for (workspace, model, at), count in begun.items():
            self._began(self._tracks_of(workspace, model), at, count)
        for started, end in ended:
            self._came_back(started, end)

    def told(self, entries: Iterable[Entry]) -> None:
        """Look at entries: those of a row as they came, or those of its workspace's errors.jsonl first."""
        tracks_of, unanswered = self._tracks_of, self._unanswered
        spent: defaultdict[tuple[str, str, float | None], list[Usage]] = defaultdict(list)
        for entry in entries:
            workspace, model, outcome, usage, at, latency, first = _counted(entry)
            tracks = tracks_of(workspace, model)
            if len(unanswered):
                unanswered.take_back(entry)
            if outcome != "answered":
                unanswered.fail(entry)
            else:
                if latency is not None:
                    tracks.latency.add(latency)
                if first is not None:
                    tracks.first_token.add(first)
            if usage is not None:
                spent[workspace, model, at].append(usage)
        for (workspace, model, at), usages in spent.items():
            self._spent(tracks_of(workspace, model), at, usages)

    def answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> None:
        """Look at usual answers, from their calls' starts on."""
        for (workspace, model, _), some in answers.items():
            tracks = self._tracks_of(workspace, model)
            begun = [each.at for each in some]
            self._began(tracks, earliest := min(begun), len(some))
            if plausible(latest := max(begun)):
                self._passed(latest)
            self._spent(tracks, as_told(earliest), [each.usage for each in some])
            tracks.latency.add(*[each.outcome.call.latency_ms for each in some])
            tracks.first_token.add(*[first for each in some if (first := each.outcome.reply.first_token_ms) is not None])
            if ended := [each.ended_at for each in some if plausible(each.ended_at)]:
                self._passed(min(ended))
                self._passed(max(ended))
            self.standstills.pop((workspace, model), None)
            if len(self._unanswered):
                for each in some:
                    self._unanswered.take_back(each.outcome.row)

    def _began(self, tracks: _Tracks, at: float, count: int) -> None:
        bucket = self.timeline.bucket(at)
        if bucket is None:
            self.untimed += count
            return
        self._passed(at)
        tracks.calls[bucket] = tracks.calls.get(bucket, 0) + count
        for track in tracks.quota_calls:
            self._put(track, at, count)

    def _came_back(self, started: Started, ended: Ended) -> None:
        if plausible(at := ended.at):
            self._passed(at)
        if ended.verdict == "answered" and not self.standstills:
            return
        lane = (started.workspace, started.model)
        if ended.verdict == "answered":
            self.standstills.pop(lane, None)
        elif ended.verdict in _TROUBLE:
            self._met(Trouble(started.workspace, ended.verdict, word(ended.code)))
            self.timeline.add((started.workspace, ended.verdict), ended.at)
            if ended.verdict == "parked":
                self.standstills[lane] = Standstill(*lane, word(ended.code), status_of(ended.status), ended.at)
        if ended.usage is not None:
            self._spent(self._tracks_of(*lane), started.at, [ended.usage])

    def _spent(self, tracks: _Tracks, at: float | None, usages: Sequence[Usage]) -> None:
        bucket = None if at is None else self.timeline.bucket(at)
        if bucket is None or at is None:
            self.untimed += len(usages)
            return
        asked, told = sum([each.input_tokens for each in usages]), sum([each.output_tokens for each in usages])
        tracks.input[bucket] = tracks.input.get(bucket, 0) + asked
        tracks.output[bucket] = tracks.output.get(bucket, 0) + told
        for track in tracks.quota_tokens:
            self._put(track, at, asked + told)

    def _put(self, track: dict[int, int], at: float, count: int) -> None:
        bucket = self.minutes.bucket(at)
        if bucket is not None:
            track[bucket] = track.get(bucket, 0) + count

    def _passed(self, at: float) -> None:
        if self.began is None or self.ended is None:
            self.began = self.ended = at
        elif at > self.ended:
            self.ended = at
        elif at < self.began:
            self.began = at

    def _tracks_of(self, workspace: str, model: str) -> _Tracks:
        lane = (workspace, model)
        tracks = self._tracks.get(lane)
        if tracks is None:
            calls, asked, told = (self.timeline.track((workspace, kind)) for kind in ("calls", "input", "output"))
            quotas = tuple(quotas_of(self.job, workspace, model))
            sent, spent = (tuple(self.minutes.track((quota, kind)) for quota in quotas) for kind in ("calls", "tokens"))
            durations = _durations(self._latency, lane), _durations(self._first_token, lane)
            tracks = self._tracks[lane] = _Tracks(calls, asked, told, sent, spent, *durations)
        return tracks

    def _met(self, trouble: Trouble) -> None:
        known = trouble in self.trouble or len(self.trouble) < MOST_REASONS
        self.trouble[trouble if known else trouble._replace(code=REST)] += 1


def _durations(found: dict[Lane, Durations], lane: Lane) -> Durations:
    durations = found.get(lane)
    if durations is None:
        durations = found[lane] = Durations()
    return durations
