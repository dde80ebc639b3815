"""A run that is to make good what a model broke is thought by another one, when there is another."""

from actors.recovery import STRATEGIES
from bus.messages import call, task
from bus.messages.base import Recovery
from tests.buying_ground import LOCAL, PAID, ROOMY, Desk

BROKEN = Recovery("model_error", STRATEGIES["model_error"].name, "Keep it short.", "500")
FAILED = "ollama/qwen3-coder:30b"


def after(desk: Desk, failure: str = "model_error") -> Desk:
    """An earlier run of the phase, by somebody else, whose last request was not answered."""
    desk.given(
        "evt.call.b.t-0",
        call.ModelFailed(1, "openai/gpt-4o", "timeout", "it was slow once", provider="openai", model="gpt-4o"),
        call.ModelReplied(1, "ollama/x", "So.", again=1),
        call.ModelFailed(2, FAILED, failure, "500", provider="ollama", model=LOCAL.name),
    )
    desk.given("evt.task.t", task.PhaseFailed("implement", "b", "t-0", "the mind does not reply", failure=failure))
    desk.given("evt.agent.c", desk.work)
    desk.crash()
    return desk


def test_the_next_run_avoids_the_model_that_failed_in_every_turn_and_says_so() -> None:
    desk = after(Desk(LOCAL, ROOMY, recovery=BROKEN, attempt=2))
    for turn in (1, 2):
        assert desk.asks(turn).prompt.model == ROOMY.name
        assert f"{FAILED} failed in the run before; " in desk.events(call.CallStarted)[0].reason
        desk.says("So.")
    desk.crash()
    assert desk.asks(3).prompt.model == ROOMY.name


def test_it_would_have_been_asked_otherwise() -> None:
    assert Desk(LOCAL, ROOMY).asks().prompt.model == LOCAL.name
    other = Recovery("test_failure", "fix_the_code", "Mend it.", "1 failed")
    assert after(Desk(LOCAL, ROOMY, recovery=other, attempt=2)).asks().prompt.model == LOCAL.name


def test_a_paid_one_is_asked_when_there_is_no_other() -> None:
    assert after(Desk(LOCAL, PAID, recovery=BROKEN, attempt=2)).asks().provider == "openai"


def test_without_another_it_is_asked_again() -> None:
    desk = after(Desk(LOCAL, recovery=BROKEN, attempt=2))
    assert desk.asks().prompt.model == LOCAL.name
    assert "there is no other" in desk.events(call.CallStarted)[0].reason
