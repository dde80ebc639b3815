"""What a run's mind is asked: its conversation is read from the log, put into words, and a reply to it is bought."""

from typing import Any

from actors.agent.team import Team
from actors.desk import Desk
from actors.orchestrator.routing import Weights, complexity
from actors.orchestrator.task import Task
from actors.redaction import Redactor
from actors.treasurer.asking import Bought, Model, Reply, SettleSoon, Survey, Surveyed
from actors.treasurer.briefing import brief
from actors.treasurer.buying import Buyer
from actors.treasurer.call import Calls
from actors.treasurer.choosing import Chosen, Facts
from actors.treasurer.context import Transcript
from actors.treasurer.conversation import SIDES, STEPS, Conversation
from actors.treasurer.knowing import facts_of
from actors.treasurer.measure import estimate
from actors.treasurer.opening import Artifacts, Opening
from actors.treasurer.standings import looked_again
from actors.treasurer.texts import Texts
from actors.treasurer.wanted import Wanted, Worded
from bus.envelope import Commit, Record
from bus.messages import step as said
from bus.messages.agent import WorkAssigned
from bus.messages.base import Event
from bus.messages.kinds import read_commit
from bus.messages.run import RunFinished
from bus.messages.task import PhaseFailed

SURVEY = "survey"
SURVEY_AGAIN_S = 10.0
FRESH_S = 60.0
"""Who calls after so long has somebody look once more, and does not wait for it: a server may have been started."""
OF_MODELS = "model_error"
NO_ROLE = "There is no role `{}` any more. Put its file back and start Witan again."
LOOK_BACK = 5000
"""An assignment stands so few places before the first step of its run, or else it is looked for from the beginning."""


class Thinking:
    """Everything that stands between a request and a reply that is bought. The conversations follow from the log."""

    def __init__(self, buyer: Buyer, team: Team, weights: Weights, redactor: Redactor) -> None:
        self.buyer, self.team, self.weights, self.redactor = buyer, team, weights, redactor
        self.runs: dict[str, Conversation] = {}
        self.avoided: dict[str, tuple[str, ...]] = {}
        """By run: models that failed in the runs that it is to make good."""
        self.surveyed_s: float | None = None
        """When it was found out last who can be asked; None: that is still to come."""

    def forget_all(self) -> None:
        """As after a crash: what was under way is gone."""
        self.runs, self.avoided, self.surveyed_s = {}, {}, None
        self.buyer.forget_all()

    def forget(self, steps: str) -> None:
        """The run is over."""
        self.runs.pop(steps, None)
        self.avoided.pop(steps.rsplit(".", 1)[1], None)
        calls = _calls_of(steps)
        for key in [key for key, parked in self.buyer.parked.items() if parked.wanted.subject == calls]:
            del self.buyer.parked[key]
            self.buyer.short.pop(key, None)

    def overhear(self, record: Record, commit: Commit[Any]) -> None:
        """A record of a run that is in mind need not be read again when the run asks."""
        run = self.runs.get(f"{STEPS}{record.subject[len(STEPS) :]}")
        if run is not None and record.subject[:9] in SIDES:
            run.take(record, commit)

    def ask(self, desk: Desk, subject: str, wish: said.ModelRequested) -> None:
        """The run needs a reply. It is begun to be bought, waits, or the run is told why there is none."""
        _, _, agent, run_id = subject.split(".")
        run = self._read(desk, subject)
        if run.steps.closed or run.transcript.work is None:
            return
        calls = _calls_of(subject)
        work = run.transcript.work
        key = f"{calls}/{wish.turn}/{wish.again}"
        wanted = Wanted(key, calls, agent, run_id, work.task, work.role, wish.turn, wish.again)
        known: Calls = desk.state(calls)
        if key in self.buyer.under_way:
            return
        if known.has_begun(wish.turn, wish.again):
            self.buyer.lost(desk, wanted)
            return
        desk.open(key)
        self._buy(desk, wanted, run)

    def _buy(self, desk: Desk, wanted: Wanted, run: Conversation | None = None) -> None:
        """Choose, reserve and ask; when nobody is there, look once more who is."""
        now_s, looked_s = desk.message.now_s, self.surveyed_s
        stale = looked_s is not None and not self.buyer.surveyed.models and now_s - looked_s > SURVEY_AGAIN_S
        if stale or (looked_s is not None and now_s - looked_s > FRESH_S):
            self.surveyed_s = None if stale else now_s
            desk.perform(SURVEY, Survey())
        if stale or looked_s is None:
            self.buyer.wait(wanted, now_s + SURVEY_AGAIN_S)
            return
        run = run or self._read(desk, _steps_of(wanted.subject))
        if wanted.role not in self.team.roles:
            self.buyer.refuse(desk, wanted, "help", NO_ROLE.format(wanted.role))
            desk.close(wanted.key)
            return
        words = _Wording(self, desk, wanted, run)
        if run.steps.closed or not self.buyer.buy(desk, wanted, self._facts(desk, run), words):
            desk.close(wanted.key)

    def surveyed(self, desk: Desk, found: Surveyed) -> None:
        self.buyer.surveyed, self.surveyed_s = looked_again(self.buyer.surveyed, found), desk.message.now_s

    def hears(self, desk: Desk, key: str, told: Bought | SettleSoon | Surveyed) -> None:
        match told:
            case Bought():
                self.bought(desk, key, told)
            case SettleSoon():
                self.buyer.settle(desk, at_last=True)
            case Surveyed():
                self.surveyed(desk, told)

    def bought(self, desk: Desk, key: str, told: Bought) -> None:
        """A reply, or none; what it did not cost may be enough for somebody who waits."""
        if key in self.buyer.under_way:
            run = self.runs.get(_steps_of(self.buyer.under_way[key][0].subject))
            if run is not None and isinstance(told.outcome, Reply):
                run.bounds.counted(told.outcome.usage)
            self.buyer.bought(desk, key, told)
            desk.close(key)

    def again(self, desk: Desk, waiting: list[Wanted]) -> None:
        """Look at these once more."""
        for wanted in waiting:
            self.buyer.parked.pop(wanted.key, None)
            self._buy(desk, wanted)

    def _facts(self, desk: Desk, run: Conversation) -> Facts:
        work = run.transcript.work
        assert work is not None
        if run.weight is None:
            task: Task = desk.peek(f"evt.task.{work.task}")
            score = complexity(work.text, self.weights, priority=task.priority, failures=work.attempt - 1)
            run.weight = task.priority, score.total
        priority, hard = run.weight
        return Facts(
            role=work.role,
            phase=work.phase,
            work_type={"implement": "code"}.get(work.phase, work.phase),
            complexity=hard,
            priority=priority,
            turn=run.steps.turn,
            failed_turns=run.steps.failed_turns,
            loops=run.steps.loops,
            prompt_tokens=run.transcript.tokens if run.transcript.opening else estimate(work.text) + 3000,
            pin=self.team.roles[work.role].model,
            avoid=self._avoid(desk, run, work),
        )

    def _avoid(self, desk: Desk, run: Conversation, work: WorkAssigned) -> tuple[str, ...]:
        """Where the strategy is another model: those that did not reply at the end of the phase's failed runs."""
        if work.recovery is None or work.recovery.failure != OF_MODELS:
            return ()
        if work.run not in self.avoided:
            records = [each for each in desk.records(f"evt.task.{work.task}") if each.seq < run.transcript.assigned_at]
            ends = [each for each in _events(records) if isinstance(each, PhaseFailed) and each.phase == work.phase]
            failed = [
                each
                for end in ends
                if end.failure == OF_MODELS
                for each in desk.peek(f"evt.call.{end.agent}.{end.run}").failed
            ]
            self.avoided[work.run] = tuple(dict.fromkeys(f"{each.provider}/{each.model}" for each in failed))
        return self.avoided[work.run]

    def _read(self, desk: Desk, subject: str) -> Conversation:
        """The conversation as it stands: all that was overheard up to the request, or else what the log has of it."""
        _, _, agent, run_id = subject.split(".")
        run = self.runs.get(subject)
        if run is None:
            run = self.runs[subject] = Conversation(Transcript(run_id, self.redactor, Texts(desk.blob)))
        transcript = run.transcript
        if run.step != desk.message.id:
            for record in desk.records(f"evt.*.{agent}.{run_id}", run.upto):
                if record.subject[:9] in SIDES:
                    run.take(record, read_commit(record))
        if transcript.work is None:
            self._find_work(desk, agent, transcript, transcript.places.get(subject, 0))
        return run

    @staticmethod
    def _find_work(desk: Desk, agent: str, transcript: Transcript, place: int) -> None:
        for after in (max(0, place - LOOK_BACK), 0):
            for record in desk.records(f"evt.agent.{agent}", after):
                transcript.take(record)
            if transcript.work is not None:
                return
            transcript.places.pop(f"evt.agent.{agent}", None)

    def opening(self, desk: Desk, work: WorkAssigned, before: int) -> Opening:
        """What was known of the task when this run was assigned: the same whenever it is read."""
        records = list(desk.records(f"evt.task.{work.task}"))
        artifacts: list[Artifacts] = []
        texts = Texts(desk.blob)
        for done in work.inputs:
            records += desk.records(f"evt.step.{done.agent}.{done.run}") + desk.records(
                f"evt.exec.{done.agent}.{done.run}"
            )
            for event in _events(desk.records(f"evt.run.{done.agent}.{done.run}")):
                if isinstance(event, RunFinished):
                    artifacts.append([(artifact, texts.artifact(artifact)) for artifact in event.artifacts])
        records = sorted((record for record in records if record.seq < before), key=lambda record: record.seq)
        facts = facts_of(work.text, work.checklist, _events(records))
        checklist = [(each.text, each.done) for each in facts.requirements]
        return Opening([each for some in artifacts for each in some], brief(facts), checklist)


class _Wording:
    """Puts a run into words for the model that was chosen."""

    def __init__(self, thinking: Thinking, desk: Desk, wanted: Wanted, run: Conversation) -> None:
        self._thinking, self._desk, self._wanted, self._run = thinking, desk, wanted, run

    def __call__(self, model: Model, chosen: Chosen) -> Worded:
        team, transcript = self._thinking.team, self._run.transcript
        work = transcript.work
        assert work is not None
        role = team.roles[work.role]
        opening = Opening() if transcript.opening else self._thinking.opening(self._desk, work, transcript.assigned_at)
        prompt = transcript.prompt(role, model, team.playbooks, opening)
        condensed = transcript.condense()
        if condensed is not None:
            self._desk.append(self._wanted.subject, condensed, flow=work.task)
            transcript.hear(condensed)
            prompt = transcript.prompt(role, model, team.playbooks, opening)
        output = min(model.output_max_tokens, chosen.output_max_tokens)
        prompt = prompt._replace(effort=chosen.effort, output_max_tokens=output)
        most = self._run.bounds.of(model.provider, prompt)
        return Worded(prompt, min(most, model.context_max_tokens))


def _events(records: list[Record]) -> list[Event]:
    return [event for record in records for event in read_commit(record).events]


def _calls_of(steps: str) -> str:
    return steps.replace("evt.step.", "evt.call.", 1)


def _steps_of(calls: str) -> str:
    return calls.replace("evt.call.", "evt.step.", 1)
