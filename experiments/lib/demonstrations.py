"""What experiments learn from: shared files by task, and experts that are trained here.

The shared files are not part of this repository; they lie beside the checkout (--shared).
"""

from pathlib import Path

from iqlearn_jax.config.files import load_config
from iqlearn_jax.data.save import save
from iqlearn_jax.trained.record import record_demos
from iqlearn_jax.training.train import train

SHARED = {
    "cartpole": "CartPole-v1_zoo-dqn_50ep.npz",
    "acrobot": "Acrobot-v1_zoo-dqn_100ep.npz",
    "lunarlander": "LunarLander-v3_zoo-ppo_100ep.npz",
    "hopper": "Hopper-v5_cs285_25ep.npz",
    "halfcheetah": "HalfCheetah-v5_cs285_25ep.npz",
    "walker2d": "Walker2d-v5_cs285_25ep.npz",
    "ant": "Ant-v5_cs285_10ep.npz",
    "humanoid": "Humanoid-v5_cs285_6ep.npz",
    "pong": "Pong-frames84_baby-a3c_5ep.npz",
}


def own_demos(config: str, path: Path, episodes: int, stochastic: bool, shared: Path) -> str:
    """Trains an expert on the true reward and records it, unless that is done; a stopped one goes on.

    But for its last argument, which it does not need, it is given by `partial` as a row's `prepare`.

    Args:
      config: the expert's, e.g. minatar:breakout_expert.
      path: the file to be; the expert's folder lies beside it, PATH's stem with _expert.
      stochastic: draws actions as the expert did while it learned.
    """
    if path.exists():
        return ""
    folder = path.with_name(f"{path.stem}_expert")
    if not (folder / "summary.json").exists():
        train(load_config(config), folder, resume=(folder / "config.json").exists())
    save(path, record_demos(folder, run=0, episodes=episodes, stochastic=stochastic))
    return ""
