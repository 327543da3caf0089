"""What JAX is to use: a device for each core of a CPU, and several processes as one machine."""

import argparse

import jax

from iqlearn_jax.errors import InputError


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
