"""The command line that experiments share: options, names, errors in one line, how to go on after Ctrl-C."""

import argparse
import fnmatch
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from iqlearn_jax.cli.common import INTERRUPTED, one_line, say_stopped
from iqlearn_jax.devices.placement import one_device_per_core
from iqlearn_jax.errors import InputError, unknown
from iqlearn_jax.runs.files import read_json
from iqlearn_jax.runs.provenance import collect
from iqlearn_jax.training.session import Stopped

OPTIONS: dict[str, dict[str, Any]] = {
    "list": {"action": "store_true", "help": "only name what there is, and its settings"},
    "only": {"help": "names, separated by commas; * stands for any letters"},
    "shared": {"type": Path, "default": Path("../shared/demos"), "help": "folder of shared demonstrations"},
    "force": {"action": "store_true", "help": "go on with runs of another commit or configuration"},
    "kinds": {"help": "kinds of policies to train, separated by commas; all without it"},
    "measure": {"action": "store_true", "help": "train nothing"},
    "demos": {"action": "store_true", "help": "write the bundled demonstrations anew, nothing else"},
    "quick": {"action": "store_true", "help": "a first look in minutes"},
}


def publishable(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance without the command, which names folders of this machine."""
    return {name: value for name, value in provenance.items() if name != "command"}


def made() -> dict[str, Any]:
    """Provenance of this process that can be published."""
    return publishable(collect(None))


def provenance_of(folder: Path) -> dict[str, Any]:
    """Provenance of a run's folder that can be published."""
    return publishable(read_json(folder / "provenance.json"))


def parse(description: str | None, *names: str) -> argparse.Namespace:
    """The options of that name (OPTIONS) from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in names:
        parser.add_argument(f"--{name}", **OPTIONS[name])
    return parser.parse_args()


def chosen(only: str | None, known: Iterable[str], option: str = "--only") -> list[str]:
    """The names that an option lists; all of them without it.

    Raises:
      InputError: an unknown name.
    """
    known = list(known)
    if only is None:
        return known
    matches = {name: fnmatch.filter(known, name) for name in only.split(",")}
    for name, names in matches.items():
        if not names:
            raise unknown(option, name, known)
    return list(dict.fromkeys(chain(*matches.values())))


def run(module: str, main: Callable[[], object]) -> None:
    """Runs an experiment's `main` on all cores and exits with 0, or the code of an error or a signal.

    Args:
      module: in experiments/ ("tables.table1"), for the command that goes on after a signal.
    """
    one_device_per_core()
    try:
        main()
    except InputError as error:
        sys.exit(one_line(error))
    except Stopped as stopped:
        again = " ".join(["python -m", f"experiments.{module}", *sys.argv[1:]])
        sys.exit(say_stopped(stopped.number, again))
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(0)
