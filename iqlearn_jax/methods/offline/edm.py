"""EDM: cloning with an energy-based model of the states (Jarrett, Bica & van der Schaar 2020)."""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from iqlearn_jax.agents.common import (
    CRITIC_KEYS,
    NETWORK_KEYS,
    STANDARD_PARTS,
    AgentState,
    Parts,
    critic_step,
    require_discrete,
)
from iqlearn_jax.agents.soft_q import make_agent, make_network
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.batches import taken
from iqlearn_jax.methods.method import DEMOS, PLAIN, Method, MethodEntry
from iqlearn_jax.ops.baselines.langevin import langevin

KEYS = DEMOS | NETWORK_KEYS | CRITIC_KEYS | {
    "chain_count", "chain_steps", "chain_step_size", "chain_noise", "chain_restart", "gap_square",
}  # fmt: skip


class EDMState(AgentState):
    """An agent's state and the persistent chains of its sampler.

    Attributes:
      chains: [chain_count, D] standardised observations.
    """

    chains: jax.Array


def make_edm(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """min −E_E[log π(a|s)] + gap + `gap_square`·gap²,  gap = E_E[E(s)] − E_chains[E(s)],  π = softmax f(s),
    E(s) = −log Σ_a exp f(s)_a.

    The gap has the gradient of −E_E[log p(s)], p ∝ exp(−E): the logits' free constant becomes
    a model of the states seen. Samples of p come from Langevin chains in the space of standardised
    observations; a block of `batch_size` of the `chain_count` chains moves `chain_steps` times at each
    update, after each was restarted from N(0, I) with probability `chain_restart`. EDM recovers no reward.

    The theory is disputed: p is a model of the expert's states and need not be the policy's occupancy,
    and tying its parameters to the policy's can make the policy inconsistent where cloning is not (Swamy
    et al. 2021, "A Critique of Strictly Batch Imitation Learning", arXiv 2110.02063).

    Departures from the paper: the square of the gap, which its authors' code adds with weight 1 and without
    which chains and energies diverged on few rows (docs/methods/edm.md): `gap_square=0`. Chains move
    in blocks of neighbours in the buffer (no chain twice in one update) and start from N(0, I), which suits
    standardised observations.

    Raises:
      InputError: continuous actions, observations that are no vectors, fewer chains than a batch.
    """
    check(config, spec)
    agent, network = make_agent(config, spec, parts), make_network(config, spec, parts)

    def logits(critic, x):
        return network.apply(critic["net"], x)[0]

    def energy(critic, x):  # [B]
        return -logsumexp(logits(critic, x), axis=-1)

    def init(key, hparams):
        net_key, chain_key = jax.random.split(key)
        state = agent.init(net_key, hparams | {"temperature": 1.0})  # outputs are logits, also when it acts
        chains = jax.random.normal(chain_key, (config.chain_count, *spec.obs_shape))
        return EDMState(**vars(state), chains=chains)

    def advance(hparams, state, key):
        """Numbers [B] of the chains that moved, and where they are now [B, D]."""
        pick_key, restart_key, start_key, walk_key = jax.random.split(key, 4)
        first = jax.random.randint(pick_key, (), 0, config.chain_count)
        index = (first + jnp.arange(config.batch_size)) % config.chain_count
        start = jax.random.normal(start_key, (config.batch_size, *spec.obs_shape))
        anew = jax.random.bernoulli(restart_key, hparams["chain_restart"], (config.batch_size, 1))
        start = jnp.where(anew, start, state.chains[index])
        slope = jax.grad(lambda x: jnp.sum(energy(state.critic, x)))
        step_size, noise = hparams["chain_step_size"], hparams["chain_noise"]
        return index, langevin(slope, start, walk_key, step_size, noise, config.chain_steps)

    def update(hparams, state, batch, key):
        rows, (index, drawn) = batch.expert, advance(hparams, state, key)
        seen = agent.preprocess(hparams, rows.obs)

        def loss(critic):
            f = logits(critic, seen)
            cloning = -jnp.mean(taken(jax.nn.log_softmax(f), rows.action))
            expert, model = jnp.mean(-logsumexp(f, axis=-1)), jnp.mean(energy(critic, drawn))
            gap = expert - model
            total = cloning + gap + hparams["gap_square"] * jnp.square(gap)
            metrics = {"edm/loss": total, "edm/cloning_loss": cloning}
            return total, metrics | {"edm/energy_expert": expert, "edm/energy_chains": model}

        state, metrics = critic_step(config, hparams, state, loss, parts.optimizer)
        chains = state.chains.at[index].set(drawn, unique_indices=True)
        metrics = metrics | {"edm/chain_spread": jnp.sqrt(jnp.mean(jnp.square(drawn)))}
        return state.replace(chains=chains), metrics

    return Method(init=init, update=update, act=agent.act, reward=None)


def check(config, spec) -> None:
    """Refuses what has no meaning, before anything is compiled."""
    require_discrete(config, spec, "its energy is a sum over all actions, −log Σ_a exp f(s)_a")
    require(
        len(spec.obs_shape) == 1,
        f"observations of {spec.id} have shape {list(spec.obs_shape)}, but method 'edm' draws standardised "
        "vectors [D] by following a gradient; set --config.method=bc",
    )
    require(
        config.chain_count >= config.batch_size,
        f"config.chain_count is {config.chain_count}, but each update moves config.batch_size chains "
        f"({config.batch_size}); set --config.chain_count={config.batch_size} or more",
    )


ENTRY = MethodEntry(
    make_edm,
    KEYS,
    "cloning with an energy-based model of the expert's states (Jarrett et al. 2020)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
    parts=frozenset({"critic", "optimizer"}),
)
