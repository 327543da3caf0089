"""Settings for all tests; set before anything imports jax, pygame or matplotlib's pyplot."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import jax

# A key used twice is an error here; it does not see one fold_in repeated.
jax.config.update("jax_debug_key_reuse", True)
