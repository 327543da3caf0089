"""The configurations that come with the library fit the table of keys, and what they name is there."""

import pytest

from iqlearn_jax.config.files import load_module, shipped_configs
from iqlearn_jax.config.values import check

MADE = {
    f"{file}:{name}": make()
    for file, path in shipped_configs().items()
    for name, make in load_module(path).CONFIGS.items()
}


@pytest.mark.parametrize("file", shipped_configs())
def test_values_are_in_range_and_intervals_fit(file):
    for name, config in MADE.items():
        if name.startswith(f"{file}:"):
            check(config)


def test_demonstrations_are_bundled_ones():
    """A path would be another one where the library is installed."""
    folder = shipped_configs()["cartpole"].parents[1] / "iqlearn_jax/data/bundled"
    bundled = {f"bundled:{path.stem}" for path in folder.glob("*.npz")}
    named = {config.demos.path for config in MADE.values() if config.demos.path}
    assert named == bundled


def test_tasks_that_gymnasium_has_too_leave_the_choice_open():
    both = ("CartPole-v1", "Acrobot-v1")
    assert {config.env.backend for config in MADE.values() if config.env.id in both} == {"auto"}
