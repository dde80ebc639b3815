"""The models of the council bench, in a process of their own: what they need to answer is not the council's time."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from tests.council_models import World, serving
from tests.council_problems import problems

Spans = list[tuple[float, float]]


class Heard(NamedTuple):
    """What the models did up to now: when they thought, and by problem and model the sort of what it said."""

    thought: Spans
    said: dict[tuple[int, str], str]


@contextmanager
def answering(count: int) -> Iterator[tuple[Mapping[str, str], Callable[[], Heard]]]:
    """They know so many problems. What is given are the variables that lead to them, and what they have to tell."""
    words = [sys.executable, "-m", "ops.bench.models", str(count)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        there, back = process.stdin, process.stdout
        assert there is not None and back is not None

        def heard() -> Heard:
            print(flush=True, file=there)
            thought, said = json.loads(back.readline())
            spans = [(began, ended) for began, ended in thought]
            return Heard(spans, {(number, model): sort for number, model, sort in said})

        yield json.loads(back.readline()), heard


def _serve(count: int) -> None:
    """Until nobody asks any more."""
    world = World(problems(count))
    world.gives_up = "ask_for_help"
    with serving(world) as variables:
        print(json.dumps(variables), flush=True)
        for _ in sys.stdin:
            said = [(number, model, sort) for (number, model), sort in world.said.items()]
            print(json.dumps((world.thought, said)), flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
