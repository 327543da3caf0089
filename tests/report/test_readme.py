import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).parents[2]


def test_the_loss_in_the_documentation_is_the_objective():
    """Its imports, constants and definition; tests/test_docs.py trains with it."""
    text = (ROOT / "docs/pipelines.md").read_text("utf-8")
    block = next(code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "def loss(" in code)
    names: dict = {"jnp": jnp}
    exec(block.partition("@nnx.jit")[0], names)
    params = jax.random.normal(jax.random.key(0), (4, 2))
    keys = jax.random.split(jax.random.key(1), 2)
    obs, next_obs = (np.asarray(jax.random.normal(key, (8, 4))) for key in keys)
    action, terminated = np.arange(8) % 2, np.arange(8) == 7
    batch = {"obs": obs, "next_obs": next_obs, "action": jnp.asarray(action), "terminated": terminated * 1.0}
    loss = names["loss"](lambda x: x @ params, batch)

    q, next_q = obs @ np.asarray(params), next_obs @ np.asarray(params)
    v, next_v = (0.1 * np.log(np.exp(x / 0.1).sum(-1)) for x in (q, next_q))
    discounted = 0.99 * ~terminated * next_v
    reward = q[np.arange(8), action] - discounted
    expected = (v - discounted).mean() - (reward - reward**2 / (4 * 0.5)).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_change_shown_is_the_examples():
    text = (ROOT / "docs/pipelines.md").read_text("utf-8")
    shown = re.search(r"```diff\n(.*?)```", text, re.S).group(1).splitlines()
    before, after = ((ROOT / f"examples/{n}.py").read_text() for n in ("soft_dqn", "plug_in"))
    old, new = (["    " + x[1:].strip() for x in shown if x[0] in sign] for sign in ("- ", "+ "))
    assert "\n".join(old) in before
    assert "\n".join(new) in after
