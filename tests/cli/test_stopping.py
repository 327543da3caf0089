"""Ctrl-C and SIGTERM, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.cli.common import INTERRUPTED
from tests.cli.small import CARTPOLE, CLOCKS, SMALL, metrics, summary
from tests.common import ROOT

pytestmark = pytest.mark.slow  # tests/runs/test_resume.py has the same in one process


@contextmanager
def started(arguments, **env):
    """The command line in a process of its own, which does not outlive the test; one device, as here."""
    process = subprocess.Popen(
        [sys.executable, "-m", "iqlearn_jax.cli", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"} | env,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition, process, seconds=180):
    begun = time.monotonic()
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)


def test_ctrl_c_saves_and_the_resumed_run_equals_the_uninterrupted(demos, tmp_path):
    many = [*SMALL, "--config.updates=2_000", "--config.log_every=20", "--config.eval_every=0"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    log = parts / "metrics.jsonl"
    with started(["train", CARTPOLE, f"--workdir={parts}", f"--demos={demos}", *many]) as process:
        wait_for(lambda: log.exists() and log.stat().st_size > 0, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED == 130
    assert f"iqlearn train --workdir={parts} --resume" in out
    assert "Traceback" not in err
    stopped = metrics(parts)[-1]["update"]
    assert 0 < stopped < 2_000
    assert (parts / "checkpoints" / str(stopped)).is_dir()
    assert not (parts / "summary.json").exists()
    assert cli.main(["train", f"--workdir={parts}", "--resume"]) == 0
    assert cli.main(["train", CARTPOLE, f"--workdir={whole}", f"--demos={demos}", *many]) == 0
    assert metrics(parts) == metrics(whole)
    first, second = summary(whole), summary(parts)
    assert {k: v for k, v in first.items() if k not in CLOCKS} == {
        k: v for k, v in second.items() if k not in CLOCKS
    }


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_while_it_compiles_stops_after_the_first_chunk(number, code, demos, tmp_path):
    """An interrupt that Python raises inside a compiler's callback would be lost."""
    workdir = tmp_path / "early"
    endless = ["train", CARTPOLE, f"--workdir={workdir}", f"--demos={demos}", *SMALL]
    endless += ["--config.updates=100_000_000"]
    with started(endless, JAX_ENABLE_COMPILATION_CACHE="false") as process:
        wait_for(lambda: (workdir / "config.json").exists(), process)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in err
