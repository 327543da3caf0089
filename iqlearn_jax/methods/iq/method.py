"""IQ-Learn: inverse soft-Q learning (Garg et al. 2021, eqs. 9, 10, 12; Algorithm 1).

One gradient step of the critic on −J(Q). With continuous actions V is known in closed form offline
(`agents.gaussian_q`); online, an actor takes one step of SAC besides, which maximises E[Q − τ log π] (the
paper's §4.4 and Algorithm 1 print it as a minimisation).

Departures from the authors' code, each with the switch that restores their choice:
  initial states of (1−γ)E_ρ0[V] are the demonstrations' true start states (`value_term="v0"`, eq. 9); the
    authors average over all expert states under that name: `value_term="v0_all"`;
  online, the presets estimate the value term in its saddle form over the policy's samples
    (`value_term="policy"`, see `saddle_value_term`): `value_term="mixture"` is the authors';
  offline, a policy over continuous actions is the Gaussian of one quadratic critic; the authors' is an actor
    of its own: `policy_class="sac"`;
  observations are standardised by the demonstrations, online by them and random play: `normalize_obs=False`;
  terminal treatment: `terminal="zero"` is the authors';
  thinned-out demonstrations may show (s', a'), too (`next_rows_gain`): off by default, `next_actions=False`;
  several critics: the recovered reward is the mean of Q_e(s,a) − γ·min V(s'), theirs has min Q: `critics=1`;
  from states alone, actions may be inferred: `infer_actions=False` is the paper's E_{a~π}[Q(s,a)].
"""

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import (
    AGENT_KEYS,
    POLICY_KEYS,
    STANDARD_PARTS,
    Learner,
    Parts,
    anchored,
    critic_step,
    policy_class,
    require_differentiable,
    reward_part,
)
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.schema import FEEDS, ONLINE
from iqlearn_jax.config.values import require, values_of
from iqlearn_jax.methods.iq.bounds import are_bounded, end_reward, value_origin
from iqlearn_jax.methods.iq.inverse_dynamics import inferring
from iqlearn_jax.methods.iq.loss import critic_loss, reward_eq11
from iqlearn_jax.methods.method import DEMOS, Method, MethodEntry, quadratic
from iqlearn_jax.methods.rollouts import PASSES, in_passes
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.types import join

KEYS = DEMOS | AGENT_KEYS | POLICY_KEYS | {
    "divergence", "alpha", "phi_slope", "gradient_penalty", "regularize", "value_term", "gamma", "terminal",
    "absorbing_entropy", "clip_targets", "next_actions", "state_only", "infer_actions", "discriminator_lr",
    "split_critic", "anchor", "data.path",
} | PASSES  # fmt: skip


def make_iq(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """IQ-Learn as a record of pure functions.

    Raises:
      InputError: an unknown divergence, or a combination that has no meaning.
    """
    check(config)
    require_differentiable(config, spec, "set it to 0 and choose a divergence other than 'w1'")
    require(
        not (config.absorbing_entropy and quadratic(config, spec, ENTRY)),
        "config.absorbing_entropy gives the absorbing state the largest entropy that V may hold, and with "
        "policy class 'gaussian_q' V holds none but of widths; set --config.absorbing_entropy=False",
    )
    agent = make_agent(config, spec, parts, policy_class(config), anchored(config), config.split_critic)
    as_expert = config.feed == "demos" or config.state_only  # decides the sign after a bounded terminal

    def update(hparams, state, batch, key):
        loss_key, improve_key = jax.random.split(key)
        rows, _ = join(batch)
        learner = Learner(config, agent, hparams, state)

        def loss(critic):
            return critic_loss(learner, critic, batch, loss_key)

        state, metrics = critic_step(config, hparams, state, loss, parts.optimizer)
        state, policy_metrics = agent.improve(hparams, state, rows.obs, improve_key, batch.expert)
        return state, metrics | policy_metrics

    def reward(hparams, state, transition, key):
        if config.split_critic:
            return agent.q(hparams, reward_part(state.critic), transition.obs, transition.action)[0]
        expert = jnp.full(transition.reward.shape, float(as_expert))
        learner = Learner(config, agent, hparams, state)
        sample = reward_eq11(learner, state.critic, state.critic, transition, expert, key)
        return jnp.mean(sample.reward, axis=0)

    def value(hparams, state, obs, key):
        return agent.value(hparams, state, state.critic, obs, key) + value_origin(config, hparams)

    def after_end(hparams, state):
        return end_reward(Learner(config, agent, hparams, state), as_expert)

    method = Method(
        init=agent.init,
        update=in_passes(config, update) if config.feed == "rollout" else update,
        act=agent.act,
        reward=reward,
        value=value,
        end_reward=None if config.terminal == "zero" else after_end,
    )
    if config.infer_actions:
        return inferring(config, spec, agent.preprocess, method, parts.optimizer)
    return method


def check(config) -> None:
    """Refuses configurations that have no meaning, before anything is compiled."""
    divergence, term = DIVERGENCES[config.divergence], config.value_term
    require(
        term != "policy" or config.feed in ONLINE,
        "config.value_term='policy' is a mean over the learner's own samples, but config.feed is "
        f"'{config.feed}'; set --config.feed=replay, or --config.value_term=expert",
    )
    with_data = config.data.path != ""
    require(
        not config.state_only or config.feed in ONLINE or (with_data and config.infer_actions),
        "config.state_only with config.feed='demos' can learn no policy: without actions and without acting, "
        "nothing says what an action does; set --config.feed=replay, or --config.infer_actions=True with "
        "data that says it (--config.data.path)",
    )
    require(
        not with_data or term in ("mixture", "v0") or config.regularize == "both" or config.infer_actions,
        f"config.data.path is '{config.data.path}', but with config.value_term='{term}' and "
        "config.regularize='expert' nothing reads it; set --config.value_term=mixture and "
        "--config.regularize=both",
    )
    require(
        not config.state_only or not anchored(config),
        f"config.anchor is {config.anchor}, which reads the expert's actions, but config.state_only is True; "
        "set --config.anchor=0, or --config.state_only=False",
    )
    require(
        not config.next_actions or (term == "expert" and not config.state_only),
        "config.next_actions needs a value term over the expert's rows, where V(s'') cancels, and their "
        f"actions, but config.value_term is '{term}' and config.state_only {config.state_only}; set "
        "--config.value_term=expert and --config.state_only=False, or --config.next_actions=False",
    )
    require(
        not config.split_critic or (term == "policy" and config.terminal == "bounded"),
        "config.split_critic counts values from the least that an end can be worth, and its reward is judged "
        f"on the learner's own rows, but config.terminal is '{config.terminal}' and config.value_term "
        f"'{term}'; set --config.terminal=bounded and --config.value_term=policy, or "
        "--config.split_critic=False",
    )
    require(
        not config.split_critic or config.policy_class != "gaussian_q",
        "config.split_critic needs a critic of (s, a), but config.policy_class is 'gaussian_q', which is a "
        "parabola; set --config.policy_class=sac, or --config.split_critic=False",
    )
    require(
        not config.split_critic or not config.state_only or config.infer_actions,
        "config.split_critic has a reward of (s, a), but config.state_only is True; set "
        "--config.split_critic=False, or --config.infer_actions=True",
    )
    require(
        config.terminal != "bounded" or are_bounded(config),
        "config.terminal='bounded' needs rewards bounded on both sides; those of divergence "
        f"'{config.divergence}' with config.regularize='{config.regularize}' are not: set "
        "--config.regularize=both with divergence 'chi2', --config.divergence=tv, or "
        "--config.terminal=absorbing",
    )
    penalty = min(values_of(config, "gradient_penalty"))
    require(
        not divergence.lipschitz or penalty > 0,
        f"divergence '{divergence.name}' is a constraint on the gradient, but config.gradient_penalty is "
        f"{penalty}; set it above 0 (the paper: 10)",
    )


ENTRY = MethodEntry(
    make_iq,
    KEYS,
    "inverse soft-Q learning: one critic holds policy and reward (Garg et al. 2021)",
    feeds=frozenset(FEEDS),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
