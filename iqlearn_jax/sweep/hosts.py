"""What JAX is to use: a device for each core of a CPU, and several processes as one machine."""

import argparse
import os

import jax

from iqlearn_jax.errors import InputError


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_device_per_core() -> None:
    """Without an accelerator JAX shows each core as a device, and runs are spread over them.

    64 small runs on 2 cores go 1.7 times as fast as mapped over on one device (docs/performance.md). For
    programs of our own only, before JAX computes anything; JAX_NUM_CPU_DEVICES or XLA_FLAGS take precedence.
    """
    unset = jax.config.values["jax_num_cpu_devices"] == -1
    if unset and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", cores())


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
