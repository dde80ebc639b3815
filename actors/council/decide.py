"""What the council decides: who is asked, what is tried, who judges, and one end in time whatever happens."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.agent.team import Team
from actors.council import appointing, closing, history, opinions, sitting
from actors.council.convening import GUARDIAN, Ways, convene
from actors.council.learning import Standings
from actors.council.opinions import LOST, Store
from actors.council.overheard import Overheard
from actors.council.rules import Rules
from actors.council.sitting import Ask, View
from actors.council.state import KEPT
from actors.council.state import Council as Sitting
from actors.decider import Answer, Done, Effects, Hold, Message, Plain
from actors.desk import Desk
from bus.envelope import Commit, Record, open_envelope
from bus.errors import Missing, Refused
from bus.messages import call, guardian, trial
from bus.messages import council as said
from bus.messages.guardian import AcknowledgeFreeze, JoinWatch

OFFERS_S = 10.0
"""So long it is believed who can be asked and how much may be spent; the treasurer refuses what is not so any more."""
OPINION_SHARE = 0.75
"""So much of the time that is left an opinion may take; the rest is for trying and weighing what it says."""


class Council(Plain):
    """Several models on one problem at a time; any number of councils at once."""

    name = "council"
    follows: Sequence[str] = (history.TRIALS, "evt.call.council.*", GUARDIAN)
    watches: Sequence[str] = (GUARDIAN,)
    ignores: Sequence[type] = (call.CallStarted, call.CallParked, call.TranscriptCondensed)

    def __init__(self, team: Team, blamed: Callable[[str, str], str], rules: Rules, clock: Effects) -> None:
        """`blamed` says which phase of a workflow is done once more when a phase fails."""
        self.rules, self.ways = rules, Ways(rules, team, blamed)
        self.effects: Effects | None = clock
        self._begin_anew(Standings())

    def _begin_anew(self, standings: Standings) -> None:
        self.standings = standings
        self.sitting: dict[str, str] = {}
        """The councils that have not ended, and their tasks."""
        self.choosing: set[str] = set()
        """Those of them that wait to hear who can be asked."""
        self.trials = Overheard()
        self.offers: dict[str, tuple[float, dict[str, Any]]] = {}  # and what they heard, and when

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Where its own newest commit says that it was."""
        newest = last(history.COUNCILS)
        return open_envelope(newest).after if newest else 0

    def recover(self, desk: Desk, message: Message) -> None:
        """Set the clocks again, close the cases whose end was missed, and go on with the councils that sit."""
        past = history.Past(desk.records)
        self._begin_anew(past.standings)
        desk.send("guardian", "join_watch", JoinWatch(actor=self.name))
        if frozen := desk.state(GUARDIAN).frozen:
            desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=frozen, actor=self.name))
        for id, council in past.councils.items():
            if council.convened is not None and council.sits:
                self._sit(desk, id, council.convened)
            elif council.solution:
                self._close(desk, id, None)
        self._all_go_on(desk)

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
        body = message.body
        match body:
            case trial.ProblemGathered() | trial.GatheringFailed() | trial.CandidateTried():
                self._go_on(desk, message.subject.rsplit(".", 1)[1])
            case call.ModelReplied() | call.ModelFailed():
                self._heard(desk, message.subject, body)
            case Answer(command="list_models"):
                self._choose(desk, body.fields)
            case Done():
                self._time_over(desk, body.key.partition("/")[2])
            case said.Convene():
                if id := convene(desk, body, self.ways):
                    self._sit(desk, id, desk.state(f"evt.council.{id}").convened)
                    self.trials.begin(id)
                    self._find_out(desk, id)  # while the executor looks at the problem
            case said.CallOff():
                self._call_off(desk, body)
            case said.CloseCase():
                self._close_case(desk, body)
            case guardian.FreezeOrdered():
                desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=body.order, actor=self.name))
            case guardian.ThawOrdered():
                self._all_go_on(desk)
            case _:
                pass

    def overhear(self, record: Record, commit: Commit[Any]) -> None:
        self.trials.hear(record, commit)

    def _sit(self, desk: Desk, id: str, convened: said.CouncilConvened) -> None:
        self.sitting[id] = convened.task
        desk.perform(f"time/{id}", convened.until_s)

    def _all_go_on(self, desk: Desk) -> None:
        for id in list(self.sitting):
            self._go_on(desk, id)

    def _view(self, desk: Desk, id: str) -> View:
        trials, accuracy = self.trials.of(desk, id), self.standings.accuracy
        kind = trials.gathered.kind if trials.gathered else ""
        return View(desk.state(f"evt.council.{id}"), trials, lambda model: accuracy(model, kind), self.rules.weights)

    def _go_on(self, desk: Desk, id: str) -> None:
        """Whatever comes next; in a freeze nothing does, and after it this is asked again."""
        if id not in self.sitting or desk.state(GUARDIAN).frozen:
            return
        view = self._view(desk, id)
        if view.is_over(desk.message.now_s) or not view.trials.told:
            return  # the clock ends it, or the executor has not looked yet
        if view.trials.failed:
            self._end(desk, id, sitting.ended(view.council, "no_answer", view.trials.failed))
        elif view.council.chosen is None:
            self._before_asking(desk, id, view)
        elif not sitting.waits(view):
            if ask := self._next_opinion(desk, view):
                self._ask(desk, id, ask)
            else:
                self._end(desk, id, sitting.decided(view))

    def _before_asking(self, desk: Desk, id: str, view: View) -> None:
        """What helped with the same problem before is tried first; only then is anybody paid."""
        found = None if KEPT in view.council.candidates else self.standings.kept(view.fingerprint)
        if found and (kept := opinions.kept(*found, _store(desk))):
            desk.append(f"evt.council.{id}", *kept, flow=self.sitting[id])
        elif not sitting.waits(view):
            heard_s, fields = self.offers.pop(id, (0.0, {}))
            if view.able:
                self._end(desk, id, sitting.decided(view))
            elif desk.message.now_s - heard_s <= OFFERS_S:
                self._appoint(desk, id, view, fields)
            else:
                self._find_out(desk, id)

    def _find_out(self, desk: Desk, id: str) -> None:
        if id not in self.choosing:
            self.choosing.add(id)
            desk.send("treasurer", "list_models", call.ListModels())

    def _choose(self, desk: Desk, fields: dict[str, Any]) -> None:
        """It is known now who can be asked."""
        if self.choosing and desk.state(GUARDIAN).frozen:
            raise Hold
        waiting, self.choosing = sorted(self.choosing & set(self.sitting)), set()
        for id in waiting:
            self.offers[id] = desk.message.now_s, fields
            self._go_on(desk, id)

    def _appoint(self, desk: Desk, id: str, view: View, fields: dict[str, Any]) -> None:
        ground = view, fields, self.standings, self.rules
        chosen = appointing.appoint(*ground)
        desk.append(f"evt.council.{id}", chosen, flow=self.sitting[id])
        if not chosen.members:
            self._end(desk, id, sitting.ended(view.council, appointing.why_nobody(*ground), chosen.note))
            return
        try:
            asks = appointing.opinions_of(view, chosen, desk.blob)
        except LOST as error:
            self._end(desk, id, sitting.ended(view.council, "no_answer", str(error)))
            return
        for ask in asks:
            self._ask(desk, id, ask)

    def _ask(self, desk: Desk, id: str, ask: Ask) -> None:
        now_s, words = desk.message.now_s, msgspec.json.encode(ask.words)
        end_s = desk.state(f"evt.council.{id}").convened.until_s
        until_s = now_s + OPINION_SHARE * (end_s - now_s)
        asked = said.OpinionAsked(ask.member, ask.purpose, ask.model, desk.note(words), len(words), until_s, ask.order)
        desk.append(f"evt.council.{id}", asked, flow=self.sitting[id])

    def _heard(self, desk: Desk, subject: str, told: call.ModelReplied | call.ModelFailed) -> None:
        """An opinion has come, or will not. After the end, or a second time, it changes nothing."""
        id, _, member = subject.rsplit(".", 1)[1].rpartition("-")
        if id not in self.sitting or not desk.state(f"evt.council.{id}").waits_for(member):
            return
        if desk.state(GUARDIAN).frozen:
            raise Hold
        asked = desk.state(f"evt.council.{id}").asked[member]
        desk.append(f"evt.council.{id}", *opinions.heard(asked, told, _store(desk)), flow=self.sitting[id])
        self._go_on(desk, id)

    def _next_opinion(self, desk: Desk, view: View) -> Ask | None:
        try:
            return sitting.next_opinion(view, desk.blob)
        except LOST:
            return None  # what nobody can read, nobody can judge

    def _time_over(self, desk: Desk, id: str) -> None:
        if id in self.sitting:
            self._end(desk, id, sitting.decided(self._view(desk, id), in_time=False))

    def _end(self, desk: Desk, id: str, end: said.CouncilEnded) -> None:
        desk.append(f"evt.council.{id}", end, flow=end.task)
        desk.perform(f"time/{id}", None)
        del self.sitting[id]
        self.choosing.discard(id)
        self.offers.pop(id, None)
        self._learn(desk, id)

    def _learn(self, desk: Desk, id: str) -> None:
        history.learn(self.standings, id, desk.state(f"evt.council.{id}"), self.trials.of(desk, id))
        self.trials.forget(id)

    def _call_off(self, desk: Desk, wish: said.CallOff) -> None:
        councils = [id for id, task in self.sitting.items() if task == wish.task_id]
        for id in councils:
            state: Sitting = desk.state(f"evt.council.{id}")
            self._end(desk, id, sitting.ended(state, "called_off", wish.reason or "nobody needs the answer any more"))
        desk.answer(councils=councils)

    def _close_case(self, desk: Desk, wish: said.CloseCase) -> None:
        state: Sitting = desk.state(f"evt.council.{wish.council}")
        if state.convened is None:
            raise Missing(f"there is no council {wish.council}", "List them with `witan council list`.")
        if not state.solution:
            raise Refused(f"the council {wish.council} has no answer", f"See `witan council show {wish.council}`.")
        if not state.outcome:
            self._close(desk, wish.council, wish.ok)
        desk.answer(council=wish.council, outcome=state.outcome)

    def _close(self, desk: Desk, id: str, ok: bool | None) -> None:
        """Say whether it helped, if that is known."""
        state: Sitting = desk.state(f"evt.council.{id}")
        assert state.convened is not None
        task = state.convened.task
        told = closing.sequel(desk.records(f"evt.task.{task}"), id)
        if outcome := closing.outcome_of(told, desk.records, ok):
            desk.append(f"evt.council.{id}", outcome, flow=task)
            self._learn(desk, id)


def _store(desk: Desk) -> Store:
    return Store(desk.blob, desk.keep)
