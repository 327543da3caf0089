"""`iqlearn train`: from demonstrations (or the true reward) to a folder with policy, reward and report."""

from pathlib import Path

from iqlearn_jax.cli.common import (
    OVERRIDES,
    Parser,
    add_settings,
    add_workdir,
    join_hosts,
    make_config,
    say_stopped,
    several_hosts,
)
from iqlearn_jax.errors import InputError

HELP = "learn from demonstrations (or from the true reward: experts)"
USAGE = """iqlearn train --config=NAME --workdir=DIR [--demos=FILE]
                     [--config.KEY=VALUE ...]
       iqlearn train --workdir=DIR --resume [--force] [--config.updates=MORE]"""


def make_parser() -> Parser:
    """The options; overrides are left over."""
    parser = Parser("iqlearn train", usage=USAGE, description=HELP, epilog=_keys, parents=[several_hosts()])
    add_workdir(parser, "folder for everything that training leaves; new, or with --resume one that stopped")
    add_settings(parser, config_required=False)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--force", action="store_true", help="resume although config, code or demos changed")
    return parser


def _keys() -> str:
    from iqlearn_jax.cli.keys import short_help

    return f"{OVERRIDES}\nKeys and their defaults (iqlearn list keys: types and ranges):\n\n{short_help()}"


def main(arguments: list[str]) -> int:
    """Runs `iqlearn train ARGUMENTS`; returns the exit code.

    Raises:
      InputError: whatever cannot be used.
    """
    options, overrides = make_parser().parse_known_args(arguments)
    if options.force and not options.resume:
        raise InputError("--force without --resume; it is for going on although something changed")
    if options.config is None and not options.resume:
        raise InputError("--config is missing; name one, e.g. --config=cartpole:offline")
    # imported here: help must not pay for jax
    from iqlearn_jax.methods import check_keys
    from iqlearn_jax.training.session import Stopped
    from iqlearn_jax.training.train import train

    join_hosts(options)
    config, names = make_config(options, overrides)
    check_keys(config, names)
    try:
        summary = train(config, options.workdir, options.resume, options.force, names)
    except Stopped as stopped:
        return say_stopped(stopped.number, f"iqlearn train --workdir={options.workdir} --resume")
    print_summary(summary, options.workdir)
    return 0


def print_summary(summary: dict, workdir: Path) -> None:
    """Writes the report and says what came out; the first of several processes speaks for all."""
    from iqlearn_jax.devices.placement import is_main
    from iqlearn_jax.report.page import write_report
    from iqlearn_jax.report.tables import interval_text
    from iqlearn_jax.runs.files import writing

    if not is_main():
        return
    if summary["returns"] is None:
        same = summary["agreement"] or ()
        print("nothing was played, so there are no returns")
        if same:
            print(
                f"agreement with the demonstrations per seed: {', '.join(f'{value:.3g}' for value in same)}"
            )
    else:
        known = ("not finite" if value is None else f"{value:.4g}" for value in summary["returns"])
        print(f"returns per seed: {', '.join(known)}")
    if summary["normalized_iqm"] is None:
        if summary["returns"] is None:
            return
        if summary.get("demo_transitions"):
            print(f"normalised score: not known, {_why_unknown(summary)}")
    elif summary["varied"]:  # one score over different settings would mean nothing
        print(f"{', '.join(summary['varied'])} varied: the report's table has the score of each point")
    else:
        score = interval_text(summary["normalized_iqm"], summary["normalized_ci95"], digits=3)
        print(f"normalised IQM {score}  (0 random, 1 expert at {summary['expert_return']:.4g})")
    with writing(workdir):
        page = write_report([workdir], workdir)
    print(f"report: {page}")


def _why_unknown(summary: dict) -> str:
    expert, random = summary["expert_return"], summary["random_return"]
    if all(value is None for value in summary["returns"]):
        return "as no return is finite; the report says when each run failed"
    if expert is None:
        return "as the demonstrations' rewards are not"
    return f"as demonstrations that return {expert:.4g} are no better than random play at {random:.4g}"
