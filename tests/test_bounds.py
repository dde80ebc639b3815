"""The bound of a request's tokens: never less than any tokenizer can count, and close to what the last one counted."""

from hypothesis import given
from hypothesis import strategies as st

from actors.treasurer.asking import Answered, Asked, Prompt, Text, ToolSpec, Turn
from actors.treasurer.bounds import Bounds
from actors.treasurer.quoting import quoted
from bus.messages.call import Usage

WORDS = st.text(max_size=60)
BLOCKS = st.one_of(
    st.builds(Text, WORDS, st.sampled_from(("", "a file"))),
    st.builds(Asked, st.just("1-1"), st.just("write"), st.dictionaries(WORDS, WORDS, max_size=2)),
    st.builds(Answered, st.just("1-1"), WORDS, st.booleans()),
)
TURNS = st.lists(st.builds(Turn, st.just("user"), st.lists(BLOCKS, max_size=3).map(tuple)), max_size=6).map(tuple)
TOOLS = (ToolSpec("write", "writes", {"type": "object"}),)


def prompt_of(turns: tuple[Turn, ...], system: str = "You code.", model: str = "m") -> Prompt:
    return Prompt(model, system, turns, TOOLS, 100, 10_000)


def bytes_of(turns: tuple[Turn, ...]) -> int:
    """A token a byte: the worst that there is."""
    total = 0
    for block in (block for turn in turns for block in turn.blocks):
        match block:
            case Text():
                total += len(quoted(block).encode())
            case Asked():
                total += len(block.tool) + sum(len((name + str(each)).encode()) for name, each in block.input.items())
            case Answered():
                total += len(block.text.encode())
    return total


@given(TURNS)
def test_no_tokenizer_counts_more_than_is_reserved_for(turns: tuple[Turn, ...]) -> None:
    assert Bounds().of("p", prompt_of(turns)) >= bytes_of(turns) + len("You code.")


@given(TURNS, TURNS, st.integers(1, 10_000))
def test_what_was_counted_once_is_not_counted_by_its_bytes_again(
    first: tuple[Turn, ...], more: tuple[Turn, ...], tokens: int
) -> None:
    bounds = Bounds()
    bounds.of("p", prompt_of(first))
    bounds.counted(Usage(input=tokens))
    assert tokens + bytes_of(more) <= bounds.of("p", prompt_of(first + more)) <= tokens + 20 * bytes_of(more) + 1000


def test_another_model_other_rules_or_another_beginning_are_counted_anew() -> None:
    turns = (Turn("user", (Text("long words " * 100),)),)
    fresh = Bounds().of("p", prompt_of(turns))
    for provider, prompt in (
        ("q", prompt_of(turns)),
        ("p", prompt_of(turns, model="n")),
        ("p", prompt_of(turns, "You test.")),
        ("p", prompt_of((Turn("user", (Text("told in short" * 100),)),))),
    ):
        bounds = Bounds()
        bounds.of("p", prompt_of(turns))
        bounds.counted(Usage(input=7, cache_read=3))
        assert bounds.of("p", prompt_of(turns)) == 10
        assert bounds.of(provider, prompt) >= fresh
