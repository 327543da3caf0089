"""What `pip install` gives: a wheel with every file, which works where there is no clone.

The slow one installs it into an environment of its own with core dependencies only (`make test-install`).
`make release` has both run on what it built, in the folder that $RELEASE names.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KINDS = (".py", ".typed", ".npz", ".jinja", ".json")
METADATA = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
FRONT_DOOR = """
import iqlearn_jax as iq

demos = iq.load_demos("bundled:CartPole-v1")
run = iq.train("CartPole-v1", demos, method="iq", seeds=2, updates=200, temperature=0.5)
policy = run.policy(seed=0)
print(policy(demos.observations[0]), iq.load_policy("policy.npz")(demos.observations[0]))
"""
ALL_CONFIGS = """
from iqlearn_jax.config.files import load_module, shipped_configs

for path in shipped_configs().values():
    for make in load_module(path).CONFIGS.values():
        make()
print(*shipped_configs())
"""


def sources():
    """{path in the wheel: file of the clone} of everything that the package consists of."""
    homes = {"iqlearn_jax": ROOT / "iqlearn_jax", "iqlearn_jax/configs": ROOT / "configs"}
    return {
        f"{home}/{path.relative_to(folder).as_posix()}": path
        for home, folder in homes.items()
        for path in sorted(folder.rglob("*"))
        if path.suffix in KINDS
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: in the clone, what former builds left in build/ would come along."""
    if released("*.whl"):
        return released("*.whl")[0]
    pytest.importorskip("setuptools", "70.1")
    copy = tmp_path_factory.mktemp("copy")
    for path in (*sources().values(), *(ROOT / name for name in METADATA)):
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    said = run([sys.executable, "-c", build], copy)
    return copy / said.splitlines()[-1]


def released(pattern):
    """Files of a release, none where there is none to be tested."""
    return sorted(Path(os.environ["RELEASE"]).resolve().glob(pattern)) if "RELEASE" in os.environ else []


def run(command, folder):
    """What a command says in a folder, without the clone on its path."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=env, text=True, capture_output=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_wheel_holds_every_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == sources().keys()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["wheel", *(["sdist"] if released("*.tar.gz") else [])])
def test_what_is_installed_works_where_there_is_no_clone(kind, wheel, tmp_path):
    """Core dependencies only, pinned as in development; CartPole is gymnasium's there."""
    package = wheel if kind == "wheel" else released("*.tar.gz")[0]
    venv, folder = tmp_path / "venv", tmp_path / "empty"
    python, iqlearn = venv / "bin/python", venv / "bin/iqlearn"
    folder.mkdir()
    run([sys.executable, "-m", "venv", "--without-pip", venv], tmp_path)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    run([*pip, "--constraint", ROOT / "requirements/lock.txt", package], tmp_path)
    missing = "import importlib.util as u; print(u.find_spec('gymnax'), u.find_spec('iqlearn_jax').origin)"
    assert run([python, "-c", missing], folder).split() == [
        "None",
        str(next(venv.glob("lib/python*/site-packages")) / "iqlearn_jax/__init__.py"),
    ]
    assert run([iqlearn, "--version"], folder).startswith("iqlearn_jax ")
    short = ["--config.seeds=2", "--config.updates=400", "--config.log_every=100", "--config.eval_every=200"]
    run([iqlearn, "train", "--config=cartpole:offline", "--workdir=run", *short], folder)
    assert "over 5 episodes" in run([iqlearn, "evaluate", "--workdir=run", "--episodes=5"], folder)
    run([iqlearn, "report", "run"], folder)
    run([iqlearn, "policy", "export", "--workdir=run", "--run=0", "--out=policy.npz"], folder)
    assert {int(action) for action in run([python, "-c", FRONT_DOOR], folder).split()[-2:]} <= {0, 1}
    assert "mujoco" in run([python, "-c", ALL_CONFIGS], folder)
