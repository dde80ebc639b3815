"""How a reply is bought: choose a model, reserve the most it can cost, ask, settle, tell. Or wait, and say for what."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from actors.apart import apart, head_of, too_large
from actors.desk import Desk
from actors.redaction import Redactor
from actors.treasurer import health, purse
from actors.treasurer.asking import Asking, Bought, Failed, Model, Prompt, Reply, SettleSoon, Surveyed
from actors.treasurer.budget import SUBJECT, Budget, Short
from actors.treasurer.call import Calls
from actors.treasurer.choosing import Candidate, Chosen, Facts, Mix, Price, Tried, Unable, choose, without_money
from actors.treasurer.mixing import RECENT, begun_before
from actors.treasurer.presets import Presets
from actors.treasurer.standings import others_than, refused_by
from actors.treasurer.wanted import Parked, Wanted, Worded
from bus.days import day_of
from bus.messages import call as said
from bus.messages.base import ToolCall
from bus.messages.budget import FundsReserved
from bus.messages.call import Usage
from bus.messages.provider import BreakerClosed, BreakerOpened, RateLimited

SETTLE = "settle"
CALL_MAX_S = 300.0
WAIT_MAX_S = 60.0
"""A provider that wants to rest longer is waited for by a timer, and the run is told only so much."""
REASON_MAX_CHARS = 4000
WHAT_NEXT = "What to type: `witan auth status`; keys are read when Witan starts."


class Prices(Protocol):
    """What models cost, in millionths of a dollar; None: nobody knows."""

    def per_million(self, provider: str, model: str) -> tuple[int, int] | None: ...

    def bound_of(self, provider: str, model: str, input_max_tokens: int, output_max_tokens: int) -> int | None: ...

    def micro_of(self, provider: str, model: str, usage: Usage) -> int | None: ...

    def version(self) -> str: ...


class Buyer:
    """Buys replies. What it keeps beside the log is only what follows from it, or can be found out again."""

    def __init__(self, prices: Prices, presets: Presets, redactor: Redactor) -> None:
        self.prices, self.presets, self.redactor = prices, presets, redactor
        self.surveyed = Surveyed([], [])
        self.under_way: dict[str, tuple[Wanted, Chosen]] = {}
        self.parked: dict[str, Parked] = {}
        self.short: dict[str, tuple[str, str]] = {}
        """The requests of which was told that money is short for them, and the cap and its window."""
        self.in_a_row: dict[str, int] = {}
        self.spotless: set[str] = set()
        """The models that have never failed, as the log says."""
        self.recent: list[bool] | None = None
        """Of the last calls: whether they were paid; None: the log has to be asked."""
        self.due: list[tuple[str, int]] = []
        """Reservations of calls whose end is on the log, and says what they cost; all others are settled at once."""
        self.settling = False
        """It will be settled before long, whether another call begins or not."""
        self.newest = 0
        """Where on the log the newest call stood when this life began."""

    def forget_all(self) -> None:
        """As after a crash: what was under way is gone."""
        self.under_way, self.parked, self.recent, self.spotless = {}, {}, None, set()
        self.due, self.settling = [], False

    def buy(self, desk: Desk, wanted: Wanted, facts: Facts, worded: Callable[[Model, Chosen], Worded]) -> bool:
        """Begin to buy it of whoever suits best. False: there is nobody to ask, and the run has been told so."""
        calls: Calls = desk.state(wanted.subject)
        tried = (
            Tried(f"{each.provider}/{each.model}", each.failure) for each in calls.failed if each.turn == wanted.turn
        )
        facts = facts._replace(tried=tuple(tried), mix=self._mix(desk))
        candidates = self.candidates(desk)
        chosen = choose(candidates, facts, self.presets, self.surveyed.standings)
        if isinstance(chosen, Unable):
            return self.nobody(desk, wanted, chosen)
        return self.buy_of(desk, wanted, chosen, worded, partial(without_money, candidates, facts, self.presets))

    def buy_of(
        self,
        desk: Desk,
        wanted: Wanted,
        chosen: Chosen,
        worded: Callable[[Model, Chosen], Worded],
        free: Callable[[], Chosen | Unable | None] = lambda: None,
    ) -> bool:
        """Begin to buy it of this model, or of a free one when there is no money for it."""
        model = next(each for each in self.surveyed.models if (each.provider, each.name) == chosen[:2])
        prompt, tokens = worded(model, chosen)
        micro = 0 if model.local else self.prices.bound_of(*chosen[:2], tokens, prompt.output_max_tokens)
        if micro is None:
            self._fail(desk, wanted, "help", f"nobody knows what {chosen.provider}/{chosen.model} costs", chosen)
            return False
        reserved = FundsReserved(
            reservation=wanted.reservation,
            task=wanted.task,
            model=f"{chosen.provider}/{chosen.model}",
            role=wanted.role,
            micro=micro,
            at_day=day_of(desk.message.now_s),
            purpose=wanted.purpose,
        )
        self.settle(desk)
        short = purse.reserve(desk, reserved)
        if short is not None:
            instead = free()
            if isinstance(instead, Chosen):
                told = f"{instead.reason}; for {reserved.model} there is no money: {purse.in_words(short, reserved)}"
                return self.buy_of(desk, wanted, instead._replace(reason=told), worded)
            return self._no_money(desk, wanted, reserved, short, waits=instead is not None)
        self.short.pop(wanted.key, None)
        self._begin(desk, wanted, chosen, prompt)
        return True

    def _no_money(self, desk: Desk, wanted: Wanted, wish: FundsReserved, short: Short, waits: bool) -> bool:
        """`waits`: a free model could take it, when it has rested."""
        if self.short.get(wanted.key) != short[:2]:
            purse.exhausted(desk, short, wish.micro, wanted.task)
        if wanted.until_s:
            self.refuse(desk, wanted, "budget", purse.in_words(short, wish))
            return False
        self.short[wanted.key] = short[:2]
        until_s = purse.ends_at_s(short, desk.message.now_s)
        until_s = min(until_s, self._rests_until(desk, local=True)) if waits else until_s
        self._park(desk, wanted, "budget", short.scope, until_s)
        return True

    def _begin(self, desk: Desk, wanted: Wanted, chosen: Chosen, prompt: Prompt) -> None:
        started = said.CallStarted(
            turn=wanted.turn,
            provider=chosen.provider,
            model=chosen.model,
            reason=chosen.reason,
            reservation=wanted.reservation,
            again=wanted.again,
            local=self._is_local(chosen),
        )
        desk.append(wanted.subject, started, flow=wanted.task)
        self.recent = [*(self.recent or []), not started.local][-RECENT:]
        self.under_way[wanted.key] = (wanted, chosen)
        limit_s = wanted.until_s - desk.message.now_s if wanted.until_s else CALL_MAX_S
        desk.perform(wanted.key, Asking(chosen.provider, prompt, limit_s, wanted.topic))

    def bought(self, desk: Desk, key: str, told: Bought) -> None:
        """The call is over: its end goes on the log, and a little later, or before the next call begins, the funds that
        it did not need go back. After a crash in between the end says what it cost."""
        wanted, chosen = self.under_way.pop(key)
        if isinstance(told.outcome, Reply):
            self._replied(desk, wanted, chosen, told)
        else:
            self._failed(desk, wanted, chosen, told.outcome)

    def _replied(self, desk: Desk, wanted: Wanted, chosen: Chosen, told: Bought) -> None:
        reply = told.outcome
        assert isinstance(reply, Reply)
        if reply.stop == "context":
            why = f"the conversation has no room in {chosen.provider}/{chosen.model}"
            self._failed(desk, wanted, chosen, Failed("context", why, 0, "usage", reply.usage))
            return
        micro, prices = self._cost_of(desk, wanted, chosen, reply)
        text = self.redactor.text(reply.text)
        calls = [ToolCall(self.redactor.text(each.tool), self.redactor.tree(each.input)) for each in reply.calls]
        kept = apart(calls)
        if why := too_large(text, calls, kept):
            self._failed(desk, wanted, chosen, Failed("model_error", why, 0, "usage", reply.usage))
            return
        for blob in kept.blobs:
            desk.keep(blob)
        replied = said.ModelReplied(
            turn=wanted.turn,
            mind=f"{chosen.provider}/{self.redactor.text(reply.model)}",
            text=head_of(text),
            calls=kept.calls,
            again=wanted.again,
            ms=told.ms,
            provider=chosen.provider,
            model=chosen.model,
            stop=reply.stop,
            usage=reply.usage,
            micro=micro or 0,
            prices=prices,
            whole=desk.keep(text.encode("utf-8", "replace")) if head_of(text) != text else "",
        )
        self._end(desk, wanted, replied)
        if micro:
            if not self.settling:
                self.settling = True
                desk.perform(SETTLE, SettleSoon())
            self.due.append((wanted.reservation, micro))
        else:
            purse.settle(desk, wanted.reservation, 0, unknown=micro is None)
        self._is_well(desk, chosen)

    def settle(self, desk: Desk, at_last: bool = False) -> None:
        """Give back what the calls did not cost whose end is on the log."""
        self.settling = self.settling and not at_last
        for reservation, micro in self.due:
            purse.settle(desk, reservation, micro)
        self.due.clear()

    def _failed(self, desk: Desk, wanted: Wanted, chosen: Chosen, failed: Failed) -> None:
        micro = self._charged(chosen, failed)
        refuses = failed.failure == "help"
        if refuses and self._others_help(chosen, failed, wanted):
            failed = failed._replace(failure="model_error")
        elif refuses and not wanted.until_s:
            failed = failed._replace(reason=f"{failed.reason}. {WHAT_NEXT}")
        self._fail(desk, wanted, failed.failure, failed.reason, chosen, min(failed.wait_s, WAIT_MAX_S), micro or 0)
        purse.settle(desk, wanted.reservation, micro or 0, unknown=micro is None)
        hurried = wanted.until_s and failed.failure == "timeout"
        if failed.failure != "context" and not hurried:  # whoever is given little time is not to blame
            self._is_unwell(desk, chosen, failed, at_once=refuses)

    def _others_help(self, chosen: Chosen, failed: Failed, wanted: Wanted) -> bool:
        """Whoever has to be helped by a person is not asked again for now, and somebody else does it, if anybody."""
        model = next((each for each in self.surveyed.models if (each.provider, each.name) == chosen[:2]), None)
        if model is None or wanted.until_s or not others_than(self.surveyed, model):
            return False
        if not model.local:
            self.surveyed = refused_by(self.surveyed, model.provider, self.redactor.text(failed.reason))
        return True

    def lost(self, desk: Desk, wanted: Wanted) -> None:
        """It was begun before a crash, and nobody knows what became of it: it is paid for, and has failed."""
        self._fail(desk, wanted, "lost", "Witan stopped while the model was being asked", None)
        purse.settle(desk, wanted.reservation, 0, unknown=True)

    def wait(self, wanted: Wanted, until_s: float) -> None:
        """Nothing is known yet that would be worth an event."""
        self.parked[wanted.key] = Parked(wanted, until_s)

    def waiting(self) -> list[Wanted]:
        """What waits, oldest first: something has changed that it may have waited for."""
        return [each.wanted for each in self.parked.values()]

    def refuse(self, desk: Desk, wanted: Wanted, failure: str, reason: str) -> None:
        """It is not bought at all."""
        self._fail(desk, wanted, failure, reason, None)

    def nobody(self, desk: Desk, wanted: Wanted, unable: Unable) -> bool:
        """Wait for those that rest if that is any use. False: whoever wants it has been told that there is nobody."""
        if unable.rests and wanted.until_s:
            self.refuse(desk, wanted, "rate_limit", unable.reason)
            return False
        if unable.rests:
            until_s = min(self._rests_until(desk), desk.message.now_s + 600)
            self._park(desk, wanted, "provider", unable.reason, max(until_s, desk.message.now_s + 1))
            return True
        self.refuse(desk, wanted, "help", f"{unable.reason}. {unable.what_next}".strip())
        return False

    def _park(self, desk: Desk, wanted: Wanted, why: str, scope: str, until_s: float) -> None:
        calls: Calls = desk.state(wanted.subject)
        parked = said.CallParked(turn=wanted.turn, why=why, scope=scope, until_s=until_s, again=wanted.again)
        if not _says_the_same(calls.parked, parked, desk.message.now_s):
            desk.append(wanted.subject, parked, flow=wanted.task)
        self.parked[wanted.key] = Parked(wanted, until_s)

    def _fail(
        self,
        desk: Desk,
        wanted: Wanted,
        failure: str,
        reason: str,
        chosen: Chosen | None,
        wait_s: float = 0,
        micro: int = 0,
    ) -> None:
        failed = said.ModelFailed(
            turn=wanted.turn,
            mind=f"{chosen.provider}/{chosen.model}" if chosen else "nobody",
            failure=failure,
            reason=self.redactor.text(reason)[:REASON_MAX_CHARS],
            again=wanted.again,
            wait_s=wait_s,
            provider=chosen.provider if chosen else "",
            model=chosen.model if chosen else "",
            micro=micro,
        )
        self._end(desk, wanted, failed)

    def _end(self, desk: Desk, wanted: Wanted, end: said.ModelReplied | said.ModelFailed) -> None:
        """An entity that is only for this one reply need not be remembered."""
        desk.append(wanted.subject, end, flow=wanted.task)
        if wanted.until_s:
            desk.forget(wanted.subject)

    def candidates(self, desk: Desk) -> list[Candidate]:
        """Everybody who can be asked here, with price and health."""
        now_s = desk.message.now_s
        standing = {each.provider: each for each in self.surveyed.standings}
        return [
            Candidate(
                model,
                standing[model.provider],
                self._price(model),
                self._health(desk, model.provider, model.name).until_s > now_s,
            )
            for model in self.surveyed.models
        ]

    def _price(self, model: Model) -> Price | None:
        listed = None if model.local else self.prices.per_million(model.provider, model.name)
        return Price(*listed) if listed else None

    def _rests_until(self, desk: Desk, local: bool = False) -> float:
        """When the first of those that rest, or of the local ones among them, may be asked again."""
        models = (each for each in self.surveyed.models if each.local or not local)
        untils = (self._health(desk, each.provider, each.name).until_s for each in models)
        now_s = desk.message.now_s
        return min((until_s for until_s in untils if until_s > now_s), default=now_s + 1)

    def _health(self, desk: Desk, provider: str, model: str) -> health.Health:
        """Looked up once: of a model of which nothing was ever said nobody else says anything either."""
        name = f"{provider}/{model}"
        if name in self.spotless:
            return health.Health()
        found: health.Health = desk.state(health.subject_of(provider, model))
        if found.said_nothing:
            self.spotless.add(name)
        return found

    def _say(self, desk: Desk, chosen: Chosen, told: RateLimited | BreakerOpened | BreakerClosed) -> None:
        self.spotless.discard(f"{chosen.provider}/{chosen.model}")
        desk.append(health.subject_of(chosen.provider, chosen.model), told)

    def _is_well(self, desk: Desk, chosen: Chosen) -> None:
        name = f"{chosen.provider}/{chosen.model}"
        self.in_a_row.pop(name, None)
        if self._health(desk, chosen.provider, chosen.model).opened:
            closed = BreakerClosed(provider=chosen.provider, model=chosen.model)
            self._say(desk, chosen, closed)

    def _is_unwell(self, desk: Desk, chosen: Chosen, failed: Failed, at_once: bool) -> None:
        """A model that asks for rest gets it; one that fails again and again gets it unasked."""
        now_s = desk.message.now_s
        name = f"{chosen.provider}/{chosen.model}"
        if failed.failure == "rate_limit":
            until_s = now_s + max(failed.wait_s, 1)
            self._say(desk, chosen, RateLimited(provider=chosen.provider, model=chosen.model, until_s=until_s))
            return
        self.in_a_row[name] = self.in_a_row.get(name, 0) + 1
        if at_once or self.in_a_row[name] >= health.FAILURES_MAX:
            rest_s = self._health(desk, chosen.provider, chosen.model).rest_s
            opened = BreakerOpened(
                provider=chosen.provider,
                model=chosen.model,
                failures=self.in_a_row[name],
                until_s=now_s + rest_s,
                reason=self.redactor.text(failed.reason)[:500],
            )
            self._say(desk, chosen, opened)

    def _is_local(self, chosen: Chosen) -> bool:
        return any(
            each.local for each in self.surveyed.models if (each.provider, each.name) == (chosen.provider, chosen.model)
        )

    def _cost(self, chosen: Chosen, usage: Usage) -> int | None:
        return 0 if self._is_local(chosen) else self.prices.micro_of(chosen.provider, chosen.model, usage)

    def _charged(self, chosen: Chosen, failed: Failed) -> int | None:
        """What a failed call cost; None: nobody knows."""
        if failed.charged == "nothing" or self._is_local(chosen):
            return 0
        return self._cost(chosen, failed.usage) if failed.charged == "usage" and failed.usage else None

    def _cost_of(self, desk: Desk, wanted: Wanted, chosen: Chosen, reply: Reply) -> tuple[int | None, str]:
        """What a reply cost, and who says so. A bill over the reservation counts as much as was reserved."""
        if self._is_local(chosen):
            return 0, ""
        if reply.micro is None:
            return self._cost(chosen, reply.usage), self.prices.version()
        budget: Budget = desk.state(SUBJECT)
        reserved = budget.open.get(wanted.reservation)
        most = reserved.micro if reserved else 0
        told = f"{chosen.provider} says {reply.micro}"
        return min(reply.micro, most), told if reply.micro <= most else f"{told}, bounded by what was reserved"

    def _mix(self, desk: Desk) -> Mix:
        if self.recent is None:
            self.recent = begun_before(desk, self.newest)
        paid = sum(self.recent)
        return Mix(len(self.recent) - paid, paid)


def _says_the_same(before: said.CallParked | None, now: said.CallParked, now_s: float) -> bool:
    """It waits for the same still, and the log says until when."""
    if before is None or before.until_s <= now_s:
        return False
    return (before.turn, before.again, before.why, before.scope) == (now.turn, now.again, now.why, now.scope)
