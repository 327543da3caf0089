"""Several processes as one machine: each brings its devices, `jax.distributed` joins them."""

import argparse

import jax

from iqlearn_jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's flags for several processes; all get the same ones but --process-id."""
    group = parser.add_argument_group("several hosts (docs/devices.md)")
    group.add_argument("--distributed", action="store_true", help="join the other processes")
    group.add_argument("--coordinator", help="ADDRESS:PORT of process 0; TPUs, SLURM and MPI know it")
    group.add_argument("--processes", type=int, help="number of processes")
    group.add_argument("--process-id", type=int, help="0 to processes - 1")
    group.add_argument("--heartbeat", type=int, default=100, help="seconds after which a silent one is lost")


def join(options: argparse.Namespace) -> None:
    """Joins the other processes, if asked; must come before anything asks for devices.

    Raises:
      InputError: flags that do not fit together, or the others were not found.
    """
    names = ("coordinator", "processes", "process_id")
    values = {name: getattr(options, name) for name in names}
    missing = [name.replace("_", "-") for name, value in values.items() if value is None]
    if not options.distributed:
        if len(missing) < len(names):
            raise InputError("--coordinator, --processes and --process-id need --distributed beside them")
        return
    if 0 < len(missing) < len(names):
        raise InputError(f"--{missing[0]} is missing; name coordinator, processes and process-id, or none")
    try:
        jax.distributed.initialize(
            coordinator_address=options.coordinator,
            num_processes=options.processes,
            process_id=options.process_id,
            heartbeat_timeout_seconds=options.heartbeat,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(f"--distributed: could not join the other processes ({error})") from error
