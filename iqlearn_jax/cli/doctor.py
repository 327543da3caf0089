"""`iqlearn doctor`: what has gone wrong in a finished or running folder, by its metrics."""

from iqlearn_jax.cli.common import Parser, add_import, add_workdir

HELP = "what has gone wrong in a folder, by its metrics alone"
DESCRIPTION = """What has gone wrong in a finished or running folder, by its metrics; of a sweep's folder, in
all its programs. Needs no true reward. docs/doctor.md explains each finding."""


def make_parser() -> Parser:
    """The options."""
    parser = Parser("iqlearn doctor", description=DESCRIPTION)
    add_workdir(parser, "folder of a run or of a sweep")
    add_import(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Runs `iqlearn doctor ARGUMENTS`; returns the exit code.

    Raises:
      InputError: no run in the folder, or a damaged one.
    """
    options = make_parser().parse_args(arguments)
    from iqlearn_jax.config.files import import_modules
    from iqlearn_jax.doctor.doctor import examine_folder
    from iqlearn_jax.doctor.findings import sentence
    from iqlearn_jax.training.problem import find_spec

    import_modules(options.modules)
    programs = sorted(path.parent for path in options.workdir.glob("program-*/config.json"))
    for folder in programs or [options.workdir]:
        findings, runs, untold = examine_folder(folder, find_spec)
        print(f"{folder}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)} in {runs} runs")
        for finding in findings:
            print(f"  {sentence(finding, runs)}")
        for doubt in untold:
            print(f"  not judged: {doubt}")
    return 0
