"""`iqlearn report`: one page about one or more folders."""

import os
from pathlib import Path

from iqlearn_jax.cli.common import Parser

HELP = "one page with curves, returns and rewards of one or more folders"


def make_parser() -> Parser:
    """The options."""
    parser = Parser("iqlearn report", description="Write report.html and figures from runs or sweeps.")
    parser.add_argument("workdirs", nargs="+", type=Path, metavar="DIR", help="folder of a run or of a sweep")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: DIR, or the folder that all DIRs share"
    )
    return parser


def main(arguments: list[str]) -> int:
    """Runs `iqlearn report ARGUMENTS`; returns the exit code.

    Raises:
      InputError: a folder without a summary, or with a damaged file.
    """
    options = make_parser().parse_args(arguments)
    from iqlearn_jax.report.page import write_report

    out = options.out or Path(os.path.commonpath([path.absolute() for path in options.workdirs]))
    print(write_report(options.workdirs, out))
    return 0
