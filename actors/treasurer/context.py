"""The prompt for each turn of a run, built from the run's own events."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from actors.agent.playbooks import Playbook
from actors.agent.role import Role
from actors.redaction import Redactor
from actors.treasurer.asking import Answered, Asked, Model, Prompt, Text, ToolSpec, Turn
from actors.treasurer.measure import cut, estimate, shares
from actors.treasurer.opening import Opening, first_note, note_of, opening_of, system_of
from actors.treasurer.outcomes import answer, at_the_time, checklist_in_words, in_words, playbook_in_words
from actors.treasurer.quoting import tokens_of
from actors.treasurer.rounds import Rounds
from actors.treasurer.schemas import specs_of
from actors.treasurer.story import story_of
from actors.treasurer.texts import Texts
from bus.envelope import Commit, Record
from bus.errors import Missing
from bus.messages.agent import WorkAssigned
from bus.messages.call import TranscriptCondensed
from bus.messages.kinds import read_commit

FULL, EMPTIED, KEPT_ROUNDS, SQUEEZED = 0.7, 0.45, 6, 0.6
"""When so much of the room is taken, older rounds are told in short, until so much is: at most so many stay whole.
The last is what is left of the room each time that a model had none for the conversation."""
SHARE_OF_STORY, SHARE_OF_ANSWERS = 0.1, 0.25
SILENT, GO_ON = "(I said nothing.)", "Go on."
_odd = re.compile(r"[^A-Za-z0-9_-]")


class _Said(NamedTuple):
    """What was said in one round, both sides of it, and how many tokens that is."""

    mind: Turn
    user: Turn
    tokens: int


class _Frame(NamedTuple):
    """What all prompts of a run have in common as long as neither its files nor the room for it change."""

    system: str
    tools: tuple[ToolSpec, ...]
    room: int
    tokens: int


class Transcript:
    """The conversation of one run.

    It is fed the run's records as they are on the log: those of one entity in their order, the three entities in any.
    Asked for is always the newest turn that was requested. What it was opened with stays: later openings are ignored.
    """

    def __init__(self, run: str, redactor: Redactor | None = None, texts: Texts | None = None) -> None:
        self.run, self.rounds = run, Rounds()
        self.work: WorkAssigned | None = None
        self.assigned_at = 0
        """Where in the log the assignment stands: what the run is opened with is what was known before that."""
        self.opening: Opening | None = None  # the next prompt needs one
        self.places: dict[str, int] = {}
        """By subject: the place of the last record that was taken."""
        self._redactor, self._texts = redactor or Redactor({}), texts or Texts()
        self._playbooks: Mapping[str, Playbook] = {}
        self._frame = _Frame("", (), 0, 0)
        self._rounds_said: dict[int, _Said] = {}
        self._first: tuple[int, Turn, int] | None = None
        self._counted = (0, 0, 0)
        """The rounds behind this one, up to this one, are so many tokens."""
        self._other_frame = (0, 0)
        """What had been asked before the frame changed."""

    def take(self, record: Record, commit: Commit[Any] | None = None) -> None:
        """One record of the run's steps, calls or execs, or of its agent's queue; one that was taken before is none."""
        if record.seq > self.places.get(record.subject, 0):
            self.places[record.subject] = record.seq
            for event in (commit or read_commit(record)).events:
                self.hear(event)
                if event is self.work:
                    self.assigned_at = record.seq

    def hear(self, event: object) -> None:
        """One event."""
        if isinstance(event, WorkAssigned):
            self.work = event if event.run == self.run else self.work
        else:
            self.rounds.hear(event)

    def prompt(self, role: Role, model: Model, playbooks: Mapping[str, Playbook], opening: Opening) -> Prompt:
        """The request for the newest turn."""
        if self.work is None or not self.rounds.turn:
            raise Missing(f"nothing was asked in the run {self.run} yet", "Feed its assignment and its steps first.")
        if self.opening is None:
            items = opening.checklist or [(item, False) for item in self.work.checklist]
            self.opening = opening._replace(checklist=items)
        self._set(role, model, playbooks)
        turns = [self._first_turn()[1]]
        for turn in range(self.rounds.condensed.turn + 1, self.rounds.turn):
            said = self._said(turn)
            turns += (said.mind, said.user)
        return Prompt(
            model=model.name,
            system=self._frame.system,
            turns=tuple(turns),
            tools=self._frame.tools,
            output_max_tokens=model.output_max_tokens,
            context_max_tokens=min(self._frame.room + model.output_max_tokens, model.context_max_tokens),
            cached_turns=self._cached(len(turns)),
        )

    @property
    def tokens(self) -> int:
        """How many tokens the last prompt was, at most."""
        since, upto, total = self._counted
        if since != self.rounds.condensed.turn:
            since, upto, total = self.rounds.condensed.turn, self.rounds.condensed.turn, 0
        total += sum(self._said(turn).tokens for turn in range(upto + 1, self.rounds.turn))
        self._counted = since, max(upto, self.rounds.turn - 1), total
        return self._frame.tokens + self._first_turn()[2] + total

    def condense(self) -> TranscriptCondensed | None:
        """What is to be told in short from now on, if the last prompt has become too long; to be heard, and asked anew.

        It follows from the events alone, so it is the same whoever makes it.
        """
        room, before, newest = self._frame.room, self.rounds.condensed.turn, self.rounds.turn - 1
        if self.opening is None or self.tokens <= FULL * room:
            return None
        left = EMPTIED * room - self._frame.tokens - self._opening_tokens() - SHARE_OF_STORY * room
        upto = newest
        while upto > before and newest - upto < KEPT_ROUNDS:
            left -= self._said(upto).tokens
            if left < 0 and upto < newest:
                break
            upto -= 1
        if upto <= before:
            return None
        story = story_of(self.rounds, upto, int(SHARE_OF_STORY * room))
        return TranscriptCondensed(turn=upto, text=self._redactor.text(story))

    def _set(self, role: Role, model: Model, playbooks: Mapping[str, Playbook]) -> None:
        """What was built for another room, or with other files, is built anew."""
        answer_tokens = min(model.output_max_tokens, model.context_max_tokens // 2)
        room = min(role.context_max_tokens, model.context_max_tokens - answer_tokens)
        room, system = int(room * SQUEEZED**self.rounds.squeezes), system_of(role)
        tools = specs_of(role, playbooks) if model.tools else ()
        if (system, tools, room) != self._frame[:3] or playbooks != self._playbooks:
            tokens = estimate(system) + estimate(msgspec.json.encode(tools).decode())
            self._other_frame = self.rounds.told if self._frame.room else (0, 0)
            self._frame, self._playbooks = _Frame(system, tools, room, tokens), playbooks
            self._rounds_said, self._first, self._counted = {}, None, (0, 0, 0)

    def _cached(self, count: int) -> int:
        """How many turns the last request had, if nothing was condensed since."""
        turn, condensed = self.rounds.told
        if not turn or condensed != self.rounds.condensed.turn or self.rounds.told == self._other_frame:
            return 0
        return min(2 * (turn - condensed) - 1, count)

    def _first_turn(self) -> tuple[int, Turn, int]:
        """The opening, and behind it what is told in short."""
        upto = self.rounds.condensed.turn
        if self._first is None or self._first[0] != upto:
            texts = [*self._opening_texts(), *(self._short(upto) if upto else self._first_note())]
            turn = Turn("user", tuple(self._clean(each) for each in texts))
            self._first = (upto, turn, tokens_of(turn))
        return self._first

    def _opening_texts(self) -> list[Text]:
        assert self.work is not None and self.opening is not None
        return opening_of(self.work, self.opening, self._frame.room)

    def _opening_tokens(self) -> int:
        return tokens_of(Turn("user", tuple(self._opening_texts())))

    def _first_note(self) -> list[Text]:
        hint = self.work.recovery.hint if self.work and self.work.recovery else ""
        return first_note(self.rounds, hint, self._texts.output, int(SHARE_OF_ANSWERS * self._frame.room))

    def _short(self, upto: int) -> list[Text]:
        """The story of the older rounds, and what was in force when they were over."""
        assert self.opening is not None
        texts = [Text(f"Your replies up to {upto} and what came of them, in short:")]
        texts.append(Text(self.rounds.condensed.text, "a summary of your earlier replies"))
        last = self.rounds.round(upto)
        if last.checklist != (0, frozenset()):
            items = checklist_in_words(at_the_time(last.checklist, self.rounds, self.opening.checklist))
            texts += [Text("The checklist after that:"), Text(items, "checklist")]
        if last.playbook is not None:
            words, _ = playbook_in_words(last.playbook, self._playbooks)
            texts += [Text(f"You follow the playbook {last.playbook.playbook}:\n\n{words}")]
        return texts

    def _said(self, turn: int) -> _Said:
        said = self._rounds_said.get(turn)
        if said is None:
            mind, user = self._mind(turn), self._user(turn)
            said = self._rounds_said[turn] = _Said(mind, user, tokens_of(mind) + tokens_of(user))
        return said

    def _mind(self, turn: int) -> Turn:
        reply = self.rounds.reply(turn)
        text = self._redactor.text(self._texts.thought(reply)).strip() if reply else ""
        asked = [
            Asked(
                f"{turn}-{place}",
                _odd.sub("_", call.tool)[:64] or "unknown",
                self._redactor.tree(self._texts.input(call.input)),
            )
            for place, call in enumerate(reply.calls if reply else (), 1)
        ]
        return Turn("assistant", (*([Text(text or SILENT)] if text or not asked else ()), *asked))

    def _user(self, turn: int) -> Turn:
        """Each call of the round answered once and in order, then what else there is to say before the next."""
        reply, round = self.rounds.reply(turn), self.rounds.round(turn)
        checklist = self.opening.checklist if self.opening else ()
        ids = [f"{turn}-{place}" for place in range(1, len(reply.calls) + 1)] if reply else []
        told = [answer(self.rounds, id, self._playbooks, checklist, self._texts.output) for id in ids]
        waited = {str(call.request.input.get("call")) for call in round.calls.values() if call.request}
        late = [(id, outcome) for id in round.late if id not in waited and (outcome := self.rounds.outcome(id))]
        said = (*(text for text, _ in told), *(in_words(each, self._texts.output)[0] for _, each in late))
        words = [self._redactor.text(each) for each in said]
        given = shares([estimate(each) for each in words], int(SHARE_OF_ANSWERS * self._frame.room))
        words = [cut(each, share) for each, share in zip(words, given, strict=True)]
        answers = [Answered(id, text, ok) for id, text, (_, ok) in zip(ids, words, told, strict=False)]
        ends = [
            Text(text, f"{id}, which ran in the background and has ended")
            for (id, _), text in zip(late, words[len(ids) :], strict=True)
        ]
        note = [self._clean(each) for each in note_of(self.rounds.round(turn + 1).note)]
        return Turn("user", (*answers, *ends, *note) or (Text(GO_ON),))

    def _clean(self, text: Text) -> Text:
        return text._replace(text=self._redactor.text(text.text))
