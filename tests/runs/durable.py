"""The tiny run of the tests of durability, and a way to do something in the middle of it."""

from iqlearn_jax.training import train as session_lib
from iqlearn_jax.training.reopen import load_run
from tests.common import made_up_config
from tests.runs.comparing import assert_no_gap, assert_same_state, lines


def small(**changes):
    """Chunks of 4 updates up to 12; checkpoints after 8 and 12 stay."""
    return made_up_config("bc", "demos", "walk", **{"seeds": 2, "updates": 12, "eval_every": 8} | changes)


def assert_same_run(whole, parts, config=None):
    config = small() if config is None else config
    assert_same_state(load_run(whole, config)[1], load_run(parts, config)[1])
    assert lines(whole) == lines(parts)
    assert_no_gap(parts, config)


def at_chunk(monkeypatch, number, act):
    """Calls `act` while chunk `number` (1, 2, ...) is being written."""
    done, original = [], session_lib.record

    def write(*arguments):
        done.append(1)
        if len(done) == number:
            act()
        original(*arguments)

    monkeypatch.setattr(session_lib, "record", write)
