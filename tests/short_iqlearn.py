"""`iqlearn` as the documentation's tests run it: the same command line, with training made short.

Appends to `train` (but not to --resume, which goes on with what a run's folder says) and to `sweep` what is
listed in SHORT and SWEEP; says so on standard error. The page's text stays as readers see it.
"""

import sys

from iqlearn_jax.cli import main

SHORT = [
    "--config.updates=4", "--config.log_every=2", "--config.eval_every=4", "--config.eval_episodes=1",
    "--config.checkpoint_every=4", "--config.batch_size=16", "--config.online.learning_starts=32",
    "--config.online.rollout_steps=16", "--config.online.updates_per_step=1", "--config.round_updates=2",
]  # fmt: skip
TRAIN, SWEEP = ["--config.seeds=2"], ["--seeds=2"]


def shortened(arguments: list[str]) -> list[str]:
    """What is appended to a command."""
    if arguments[:1] == ["train"] and "--resume" not in arguments:
        return SHORT + TRAIN
    return SHORT + SWEEP if arguments[:1] == ["sweep"] else []


if __name__ == "__main__":
    added = shortened(sys.argv[1:])
    if added:
        print("for the test:", *added, file=sys.stderr)
    sys.exit(main(sys.argv[1:] + added))
