"""What training says: a bar in a terminal, lines elsewhere, and first of all what it learns from."""

import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from iqlearn_jax.data.sampling import DemoIndices
from iqlearn_jax.training import console
from tests.cli.small import ROOT
from tests.data.made_up import make_demos


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """The time, which only the test moves on."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(console.time, "monotonic", lambda: now.seconds)
    return now


def lines_of(capsys):
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.splitlines()


def test_without_a_terminal_lines_come_each_ten_seconds_and_at_the_end(clock, capsys):
    with console.progress_bar("iq CartPole-v1 x 2", total=100, done=0) as show:
        for done in range(10, 101, 10):
            clock.seconds += 4
            show(done, {"iq/loss": np.array([0.5, 1.5]), "eval/return": np.array([9.0, 11.0])})
    lines = lines_of(capsys)
    assert [line.split(": ")[1].split()[0] for line in lines] == ["10/100", "40/100", "70/100", "100/100"]
    assert lines[0] == "iq CartPole-v1 x 2: 10/100 updates (10%), return 10, loss 1, 0:00:04 elapsed"
    assert lines[1].endswith("0:00:16 elapsed, 0:00:24 left")  # 30 updates in 12 s, the first chunk left out


def test_the_last_line_comes_also_where_training_stops(clock, capsys):
    with pytest.raises(KeyboardInterrupt), console.progress_bar("iq", total=100, done=20) as show:
        for done in (30, 40):
            clock.seconds += 1
            show(done, {})
        raise KeyboardInterrupt
    assert [line.split()[1] for line in lines_of(capsys)] == ["30/100", "40/100"]


def test_a_return_stays_until_the_next_and_failed_runs_do_not_count(clock, capsys):
    with console.progress_bar("dac", total=4, done=0) as show:
        clock.seconds += 20
        show(1, {"eval/return": np.array([3.0, np.nan]), "train/return": np.array([7.0, 7.0])})
        clock.seconds += 20
        show(2, {"dac/loss": np.array([np.nan, np.nan])})
    lines = lines_of(capsys)
    assert all("return 3," in line for line in lines) and len(lines) == 2
    assert "loss" not in lines[1]


def test_in_a_terminal_it_is_a_bar_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with console.progress_bar("iq", total=10, done=0) as show:
        show(10, {"iq/loss": np.array([0.25])})
    drawn = sys.stderr.getvalue()
    assert "10/10" in drawn and "loss 0.25" in drawn
    assert capsys.readouterr().out == ""


def test_in_a_notebook_it_is_lines(monkeypatch, capsys):
    """Jupyter's standard error may call itself a terminal, but cannot draw bars without ipywidgets."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    with console.progress_bar("iq", total=10, done=0) as show:
        show(10, {})
    assert capsys.readouterr().out.startswith("iq: 10/10 updates (100%)")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: object()))
    with console.progress_bar("iq", total=10, done=0) as show:  # IPython in a terminal
        show(10, {})
    assert "10/10" in sys.stderr.getvalue()


def test_only_the_first_of_several_processes_speaks(monkeypatch, capsys):
    monkeypatch.setattr(console, "is_main", lambda: False)
    with console.progress_bar("iq", total=10, done=0) as show:
        show(10, {})
    gathered, problem = [], made_up_problem()
    problem.placement.get = lambda tree: gathered.append(tree) or tree
    console.announce(problem)
    assert lines_of(capsys) == []
    assert gathered  # by all processes, or the first would wait for ever


def made_up_problem(trajectories=1, subsample=1, counts=(5, 5), env=True, backend="gymnax", demos=True):
    """What `announce` looks at; the demonstrations have episodes of 5 and 3 steps."""
    return SimpleNamespace(
        spec=SimpleNamespace(id="CartPole-v1", max_episode_steps=500),
        env=object() if env else None,
        has_simulator=backend != "none",
        handle=SimpleNamespace(backend=backend),
        demos=make_demos((5, 3), (False, True)) if demos else None,
        demo_indices=DemoIndices(indices=None, count=np.array(counts), initial=None) if demos else None,
        placement=SimpleNamespace(get=lambda tree: tree),
        config=SimpleNamespace(demos=SimpleNamespace(trajectories=trajectories, subsample=subsample)),
    )


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {},
            [
                "environment: CartPole-v1 on gymnax (device)",
                "demonstrations: 1 of 2 episodes, 5 of 8 transitions; all: --config.demos.trajectories=all",
            ],
        ),
        (
            {"trajectories": 0, "counts": (8, 8), "env": False, "backend": "gymnasium"},
            [
                "environment: CartPole-v1 on gymnasium (host)",
                "demonstrations: 2 of 2 episodes, 8 of 8 transitions",
            ],
        ),
        (
            {"trajectories": 2, "subsample": 3, "counts": (3, 4), "env": False, "backend": "none"},
            [
                "environment: CartPole-v1, no simulator",
                "demonstrations: 2 of 2 episodes, 3 to 4 of 8 transitions; all: --config.demos.subsample=1",
            ],
        ),
        ({"demos": False}, ["environment: CartPole-v1 on gymnax (device)"]),
    ],
)
def test_it_says_where_it_plays_and_what_it_learns_from(changes, lines, capsys):
    console.announce(made_up_problem(**changes))
    assert lines_of(capsys) == lines


def test_training_goes_on_where_nobody_reads_any_longer():
    code = (
        "import sys; from iqlearn_jax.training.console import say\n"
        "sys.stdin.readline(); [say('x' * 100) for _ in range(3)]; print('done', file=sys.stderr)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=ROOT,
    )  # fmt: skip
    process.stdout.close()  # before it prints anything
    process.stdin.write("\n")
    process.stdin.close()
    assert process.stderr.read() == "done\n"
    assert process.wait(60) == 0
