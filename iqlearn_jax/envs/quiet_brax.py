"""Imports brax without what mujoco.mjx prints where NVIDIA's warp, which nothing here uses, is not installed.

Whoever imports brax imports this first.
"""

import contextlib
import io

_NOTES = ("Failed to import warp:", "Failed to import mujoco_warp:")

with contextlib.redirect_stdout(io.StringIO()) as _printed:
    import brax.envs  # noqa: F401
_lines = _printed.getvalue().splitlines(keepends=True)
print(*(line for line in _lines if not line.startswith(_NOTES)), sep="", end="")
