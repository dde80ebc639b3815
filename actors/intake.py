"""An actor's intake of commands, on the loop's side: they are read here, and what they may find is looked up.

A command with an id of its own may have been executed before, so the entity that it would make must be looked up.
Here that costs the actor nothing: it goes on deciding while the log answers.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.decider import Decider, Message
from actors.outbox import Wires
from bus.commands import command_id, refuse_headers
from bus.connection import header
from bus.errors import Invalid, Unavailable
from bus.follow import Letter
from bus.log import Loaded
from bus.messages.kinds import read_command
from bus.subjects import command_of

CROWD_MAX = 64
"""So many commands at a time: a burst of them does not keep the actor from what is under way."""


class Told(NamedTuple):
    """A letter, and what it says or why it says nothing."""

    letter: Letter
    message: Message | None
    refusal: Invalid | None = None


class Commands(NamedTuple):
    """Commands in their order, and the entities that they may find."""

    told: list[Told]
    ahead: dict[str, Loaded]


class Intake:
    """Hands commands over in batches: what comes during a look-up waits for the next one."""

    def __init__(
        self,
        wires: Wires,
        decider: Decider,
        head: int,
        tell: Callable[[Commands], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._wires, self._decider, self._head, self._tell, self._failed = wires, decider, head, tell, failed
        self._waiting: list[Letter] = []
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def take(self, batch: Sequence[Letter], _waiting: int = 0) -> None:
        """The sink of the actor's work queue."""
        self._waiting += batch
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._hand_over())

    def taken(self) -> None:
        """The actor has decided on what it was told."""
        self._taken.set()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _hand_over(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:CROWD_MAX], self._waiting[CROWD_MAX:]
                told = [self._read(letter) for letter in batch]
                ahead = await self._look_ahead(told)
                self._taken.clear()
                self._tell(Commands(told, ahead))
                await self._taken.wait()
            self._task = None
        except Exception as error:
            self._failed(error)  # the actor begins again, and with it a new intake

    def _read(self, letter: Letter) -> Told:
        """What has a name may have been said before; what has none is new if it was stored after our start."""
        try:
            refuse_headers(letter.headers)
            command = read_command(*command_of(letter.subject), letter.body)
        except Invalid as error:
            return Told(letter, None, error)
        name = command.id or header(letter.headers, b"Nats-Msg-Id")
        fresh = not name and letter.seq > self._head
        return Told(letter, Message(name or command_id(letter), command, letter.subject, fresh=fresh))

    async def _look_ahead(self, told: Sequence[Told]) -> dict[str, Loaded]:
        named = (each.message for each in told if each.message is not None and not each.message.fresh)
        subjects = list(dict.fromkeys(subject for message in named if (subject := self._decider.opened_by(message))))
        try:
            found = await asyncio.gather(*map(self._look_up, subjects))
        except Unavailable:
            return {}  # the actor asks for itself, and fails where it needs the answer
        return dict(zip(subjects, found, strict=True))

    async def _look_up(self, subject: str) -> Loaded:
        """Nearly always there is nothing, and nothing is found fastest where the newest would be."""
        newest = await self._wires.log.last(subject)
        return Loaded([], 0) if newest is None else await self._wires.log.load(subject)
