"""All methods by name, and which configuration keys each of them reads."""

import difflib
from collections.abc import Callable, Iterable, Mapping

from iqlearn_jax.config.schema import FEEDS, KEYS, Key
from iqlearn_jax.errors import Catalogue, InputError, unknown
from iqlearn_jax.methods.forward_rl import ppo, pqn, rl
from iqlearn_jax.methods.imitation import adril, airl, asaf, dac, gail, max_entropy_deep, pwil, sqil
from iqlearn_jax.methods.iq import method as iq
from iqlearn_jax.methods.method import DEMOS, Method, MethodEntry
from iqlearn_jax.methods.offline import avril, bc, dsfn, edm, lstd_mu, regularized_bc, value_dice
from iqlearn_jax.methods.tabular import max_entropy, max_entropy_dynamics, max_likelihood, max_margin

METHODS: Catalogue[MethodEntry] = Catalogue(
    "method",
    {
        "iq": iq.ENTRY,
        "bc": bc.ENTRY,
        "regularized_bc": regularized_bc.ENTRY,
        "value_dice": value_dice.ENTRY,
        "avril": avril.ENTRY,
        "edm": edm.ENTRY,
        "rl": rl.ENTRY,
        "ppo": ppo.ENTRY,
        "pqn": pqn.ENTRY,
        "sqil": sqil.ENTRY,
        "adril": adril.ENTRY,
        "dac": dac.ENTRY,
        "pwil": pwil.ENTRY,
        "gail": gail.ENTRY,
        "airl": airl.ENTRY,
        "asaf": asaf.ENTRY,
        "max_entropy": max_entropy.ENTRY,
        "max_entropy_deep": max_entropy_deep.ENTRY,
        "max_margin": max_margin.ENTRY,
        "lstd_mu": lstd_mu.ENTRY,
        "dsfn": dsfn.ENTRY,
        "max_likelihood": max_likelihood.ENTRY,
        "max_entropy_dynamics": max_entropy_dynamics.ENTRY,
    },
)
FORWARD_RL = ("rl", "ppo", "pqn")  # learn from the environment's reward, without demonstrations
_BUILT_IN = frozenset(METHODS)
_ADDED: dict[str, str] = {}  # config keys that came with registered methods, and with which


def register_method(
    name: str,
    make: Callable[..., Method],
    keys: Iterable[str] | Mapping[str, Key | None] = (),
    feeds: Iterable[str] = FEEDS,
    meaning: str = "",
    parts: Iterable[str] = (),
) -> None:
    """Makes a method known to `config.method` by name; registering a name again replaces it.

    Args:
      make: (config, spec) -> Method; with `parts` (config, spec, parts: `agents.common.Parts`) -> Method.
      keys: config keys that it reads, besides those of demonstrations. A mapping brings new ones along, each
        with its row of the table; a traced one is a hyperparameter from then on, in grids as well.
      feeds, meaning, parts: as `MethodEntry`.
    Raises:
      InputError: a name of the library's own methods, a key that exists with another row, or an unknown one.
    """
    if name in _BUILT_IN:
        raise InputError(f"method '{name}' is one of the library's own; register yours under another name")
    rows = keys if isinstance(keys, Mapping) else dict.fromkeys(keys)
    new = {key: row._replace(of_method=True) for key, row in rows.items() if row is not None}
    for key, row in new.items():
        if KEYS.get(key, row) != row and _ADDED.get(key) != name:
            raise InputError(f"config key '{key}' of method '{name}' exists with another row; rename it")
    for key in rows.keys() - new.keys() - KEYS.keys():
        raise unknown(f"config key of method '{name}'", key, KEYS)
    _ADDED.update(dict.fromkeys(new.keys() - KEYS.keys(), name))
    KEYS.update(new)
    entry = MethodEntry(make, DEMOS | rows.keys(), meaning, frozenset(feeds), parts=frozenset(parts))
    METHODS.register(name, entry)


def readers(method: str, name: str) -> str:
    """Which methods read a key, and keys of similar names that this one reads."""
    readers = ", ".join(reader for reader, entry in METHODS.items() if name in entry.keys)
    near = difflib.get_close_matches(name, METHODS[method].keys, n=3, cutoff=0.5)
    hint = f"; near keys that '{method}' reads: {', '.join(near)}" if near else ""
    return f"it is read by {readers or 'none'}{hint}"
