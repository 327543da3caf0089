"""Settings for all tests; set before anything imports jax, pygame or matplotlib's pyplot."""

import atexit
import importlib.util
import os
import shutil
import tempfile

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # one for all workers of a session and what they start
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="iqlearn-tests-cache-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["XDG_STATE_HOME"] = os.environ[
    "JAX_COMPILATION_CACHE_DIR"
]  # whose seals are the tests', not yours
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import jax
import pytest

from iqlearn_jax.cli.common import print_diagnostics

# A key used twice is an error here; it does not see one fold_in repeated.
jax.config.update("jax_debug_key_reuse", True)
print_diagnostics()

MISSING = ("pip install iqlearn_jax[gymnax]", "No module named 'gymnax'")
GYMNAX = importlib.util.find_spec("gymnax") is not None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """gymnax caps jax, so the newest jax comes without it: what needs it is skipped there only."""
    outcome = yield
    report = outcome.get_result()
    if not GYMNAX and report.failed and any(message in str(report.longrepr) for message in MISSING):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1], "gymnax is not installed")
