"""`iqlearn` and `iqlearn_jax.train` as the documentation's tests run them: the same, but training is short.

What is set here is set last, in the configuration that follows from everything a page says; it is said on
standard error. The page's text stays as readers see it.
"""

import sys
from collections.abc import Callable

from iqlearn_jax.cli import main, sweep, train
from iqlearn_jax.config.values import assign
from iqlearn_jax.trained import run

SHORT = {
    "updates": 4, "log_every": 2, "eval_every": 4, "checkpoint_every": 4, "round_updates": 2,
    "batch_size": 16, "eval_episodes": 1,
    "online.learning_starts": 32, "online.rollout_steps": 16, "online.updates_per_step": 1,
}  # fmt: skip
SEEDS = 2
LONGEST = 8  # updates of a run that goes on: as if twice as many had been asked for


def shorten(config):
    """The configuration of a short training; changed in place."""
    for name, value in SHORT.items():
        assign(config, name, value)
    config.seeds = min(config.seeds, SEEDS)
    return config


def shortened(make_config: Callable) -> Callable:
    """`cli.common.make_config` of a short training; what goes on has the sizes of its folder."""

    def make(options, overrides):
        config, names = make_config(options, overrides)
        if getattr(options, "resume", False):
            config.updates = min(config.updates, LONGEST)
            return config, names
        if getattr(options, "seeds", None) is not None:
            options.seeds = min(options.seeds, SEEDS)
        print("for the test:", SHORT, file=sys.stderr)
        return shorten(config), names

    return make


def short_python(monkeypatch) -> None:
    """Makes every `iqlearn_jax.train` of a test short."""
    configure = run.configured

    def short(*given):
        config, handle = configure(*given)
        return shorten(config), handle

    monkeypatch.setattr(run, "configured", short)


if __name__ == "__main__":
    for command in (train, sweep):
        command.make_config = shortened(command.make_config)
    sys.exit(main.main(sys.argv[1:]))
