"""Several candidates at once: their trees are made side by side, and no more than two run commands."""

from pathlib import Path
from typing import Any

import pytest

from actors.executor.jobs import Job
from bus.messages.trial import CandidateTried
from tests.trial_ground import ground_in


def test_no_more_than_two_run_commands_however_many_are_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = set[str](), list[int]()
    with ground_in(tmp_path) as ground:
        run = ground.commands.run

        async def counted(job: Job, *rest: Any, **more: Any) -> Any:
            running.add(job.key)
            most.append(len(running))
            try:
                return await run(job, *rest, **more)
            finally:
                running.discard(job.key)

        monkeypatch.setattr(ground.commands, "run", counted)
        found = ground.all_of(*(ground.trial(f"m{number}", tests="true") for number in range(1, 5)))
        assert all(isinstance(each.event, CandidateTried) and each.event.tests for each in found)
        assert ground.trees() == []
    assert len(most) == 4 and max(most) <= 2
