"""Several processes as one machine: each brings its devices, `jax.distributed` joins them."""

import argparse

import jax

from iqlearn_jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's flags for several processes; all processes get the same ones but --process-id."""
    group = parser.add_argument_group("several hosts (docs/devices.md)")
    group.add_argument("--distributed", action="store_true", help="join the other processes")
    group.add_argument("--coordinator", help="ADDRESS:PORT of process 0; found by itself on TPUs, SLURM, MPI")
    group.add_argument("--processes", type=int, help="number of processes")
    group.add_argument("--process-id", type=int, help="0 to processes - 1")
    group.add_argument(
        "--heartbeat", type=int, default=100, help="seconds until a silent process counts as lost"
    )


def join(options: argparse.Namespace) -> None:
    """Joins the other processes, if asked; must come before anything asks for devices.

    Raises:
      InputError: flags that do not fit together, or the others were not found.
    """
    named = {
        "coordinator": options.coordinator,
        "processes": options.processes,
        "process-id": options.process_id,
    }
    given = [name for name, value in named.items() if value is not None]
    if not options.distributed:
        if given:
            raise InputError(f"--{given[0]} is given without --distributed; add it to join other processes")
        return
    if given and len(given) < len(named):
        missing = next(name for name, value in named.items() if value is None)
        raise InputError(
            f"--{missing} is missing; give --coordinator, --processes and --process-id, or none of them"
        )
    try:
        jax.distributed.initialize(
            coordinator_address=options.coordinator,
            num_processes=options.processes,
            process_id=options.process_id,
            heartbeat_timeout_seconds=options.heartbeat,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(f"--distributed: could not join the other processes ({error})") from error
