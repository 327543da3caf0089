"""The command line: iqlearn train | sweep | evaluate | doctor | demos | reward | report.

Each command imports what it needs by itself: jax and its libraries take seconds, `iqlearn --help` should not.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from iqlearn_jax.errors import InputError, unknown

INTERRUPTED = 130  # what shells expect after Ctrl-C
PREEMPTED = 75  # EX_TEMPFAIL: saved after SIGTERM; schedulers may start the command again with --resume


class _Parser(argparse.ArgumentParser):
    """argparse with the project's one-line errors."""

    def error(self, message: str):
        raise InputError(f"{message}; see '{self.prog} --help'")


def add_moment(parser: argparse.ArgumentParser) -> None:
    """The option --at of everything that reads a trained folder; `sweep.moment` reads its value."""
    where = "final (the default), likeness (the first snapshot like the demonstrations), or updates of one"
    parser.add_argument("--at", default="final", help=where)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; by default the program's own, with a device for each core of a CPU.

    Returns:
      0, 2 for what cannot be used or written, 130 (Ctrl-C) or 75 (SIGTERM).
    """
    own_program = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: iqlearn COMMAND ...\n" + "\n".join(f"  {n:<9} {h}" for n, (_, h) in COMMANDS.items()))
        return 0 if arguments else 2
    try:
        if arguments[0] not in COMMANDS:
            raise unknown("command", arguments[0], COMMANDS)
        if own_program:
            from iqlearn_jax.sweep.hosts import one_device_per_core

            one_device_per_core()
        return COMMANDS[arguments[0]][0](arguments[1:])
    except InputError as error:
        return one_line(error)
    except KeyboardInterrupt:
        print("stopped; nothing new was saved since the last checkpoint", file=sys.stderr)
        return INTERRUPTED


def one_line(error: InputError) -> int:
    """Prints an error in one line on standard error; returns the exit code 2."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def train_command(arguments: list[str]) -> int:
    """iqlearn train --config=FILE.py:NAME --workdir=DIR [--demos=PATH] [--config.key=value ...]

    iqlearn train --workdir=DIR --resume [--force]
    """
    from iqlearn_jax.settings import assign, from_flat, load_config, override
    from iqlearn_jax.sweep import hosts
    from iqlearn_jax.sweep.run import Stopped, train
    from iqlearn_jax.sweep.workdir import read_config

    parser = _Parser("iqlearn train", description=train_command.__doc__, allow_abbrev=False)
    parser.add_argument("--config", help="FILE.py:NAME; with --resume the folder's own is used")
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument("--demos", help="demonstration file, the same as --config.demos.path")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--force", action="store_true", help="resume although config, code or demos changed")
    hosts.add_arguments(parser)
    options, overrides = parser.parse_known_args(arguments)
    if options.force and not options.resume:
        raise InputError("--force without --resume; it is for going on although something changed")
    if options.config is None and not options.resume:
        raise InputError("--config is missing; name one, e.g. --config=configs/cartpole.py:offline")
    hosts.join(options)
    config = load_config(options.config) if options.config else from_flat(read_config(options.workdir))
    if options.demos:
        assign(config, "demos.path", options.demos)
    override(config, overrides)
    try:
        summary = train(config, options.workdir, options.resume, options.force)
    except Stopped as stopped:
        return say_stopped(stopped.number, f"iqlearn train --workdir={options.workdir} --resume")
    print_summary(summary, options.workdir)
    return 0


def say_stopped(number: int, command: str) -> int:
    """Says how to go on after a signal; returns the exit code."""
    print(f"\nstopped and saved; go on with: {command}")
    return PREEMPTED if number == signal.SIGTERM else INTERRUPTED


def print_summary(summary: dict, workdir: Path) -> None:
    """Writes the report and says what came out; the first of several processes speaks for all."""
    from iqlearn_jax.report.page import write_report
    from iqlearn_jax.report.tables import interval_text
    from iqlearn_jax.sweep.mesh import is_main
    from iqlearn_jax.sweep.storage import writing

    if not is_main():
        return
    returns = ", ".join(f"{value:.4g}" for value in summary["returns"])
    print(f"returns per seed: {returns}")
    if summary["normalized_iqm"] is None:
        return
    if summary["varied"]:  # one score over different settings would mean nothing
        print(f"{', '.join(summary['varied'])} varied: the report's table has the score of each point")
    else:
        score = interval_text(summary["normalized_iqm"], summary["normalized_ci95"], digits=3)
        print(f"normalised IQM {score}  (0 random, 1 expert at {summary['expert_return']:.4g})")
    with writing(workdir):
        page = write_report([workdir], workdir)
    print(f"report: {page}")


def sweep_command(arguments: list[str]) -> int:
    """iqlearn sweep --config=FILE.py:NAME --workdir=DIR --seeds=64 --grid=alpha=0.1,0.5 [--grid=...]

    [--runs-per-device=N] [--dry-run] [--force] [--demos=PATH] [--config.key=value ...]; a stopped sweep goes
    on when the same command is given again.
    """
    from iqlearn_jax.cli_sweep import main as sweep
    from iqlearn_jax.sweep.run import Stopped

    parser = _Parser("iqlearn sweep", description=sweep_command.__doc__, allow_abbrev=False)
    try:
        return sweep(parser, arguments)
    except Stopped as stopped:
        return say_stopped(stopped.number, "the same command")


def evaluate_command(arguments: list[str]) -> int:
    """iqlearn evaluate --workdir=DIR [--episodes=N] [--at=likeness|UPDATES]: returns of its policies."""
    parser = _Parser("iqlearn evaluate", description=evaluate_command.__doc__, allow_abbrev=False)
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument("--episodes", type=int, default=100)
    add_moment(parser)
    options = parser.parse_args(arguments)

    from iqlearn_jax.sweep.moment import returns_at

    if options.episodes < 1:
        raise InputError(f"--episodes is {options.episodes}; expected at least 1")
    for seed, updates, own in returns_at(options.workdir, options.episodes, options.at):
        about = f"over {options.episodes} episodes, after {updates} updates"
        print(f"seed {seed}: {own.mean():.4g} ± {own.std():.3g} {about}")
    return 0


def doctor_command(arguments: list[str]) -> int:
    """iqlearn doctor --workdir=DIR: what has gone wrong in a finished or running folder, by its metrics.

    Of a sweep's folder, all its programs. Needs no true reward; docs/doctor.md explains each finding.
    """
    parser = _Parser("iqlearn doctor", description=doctor_command.__doc__, allow_abbrev=False)
    parser.add_argument("--workdir", required=True, type=Path)
    options = parser.parse_args(arguments)

    from iqlearn_jax.findings import sentence
    from iqlearn_jax.sweep.doctor import examine_folder

    folders = sorted(path.parent for path in options.workdir.glob("program-*/config.json"))
    for folder in folders or [options.workdir]:
        findings, runs = examine_folder(folder)
        print(f"{folder}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)} in {runs} runs")
        for finding in findings:
            print(f"  {sentence(finding, runs)}")
    return 0


def demos_command(arguments: list[str]) -> int:
    """iqlearn demos inspect | validate | convert | record"""
    from iqlearn_jax.cli_demos import main as demos

    return demos(arguments)


def reward_command(arguments: list[str]) -> int:
    """iqlearn reward export | inspect"""
    from iqlearn_jax.cli_reward import main as reward

    return reward(arguments)


def report_command(arguments: list[str]) -> int:
    """iqlearn report DIR [DIR ...] [--out=DIR]"""
    from iqlearn_jax.report.page import main as report

    return report(arguments)


COMMANDS = {
    "train": (train_command, "learn from demonstrations (or from the true reward: experts)"),
    "sweep": (sweep_command, "a grid of settings x seeds, on all devices"),
    "evaluate": (evaluate_command, "returns of a trained folder's policies"),
    "doctor": (doctor_command, "what has gone wrong in a folder, by its metrics alone"),
    "demos": (demos_command, "inspect, validate, convert or record demonstrations"),
    "reward": (reward_command, "a trained run's recovered reward as one file"),
    "report": (report_command, "one page with curves, returns and rewards of one or more folders"),
}

if __name__ == "__main__":
    sys.exit(main())
