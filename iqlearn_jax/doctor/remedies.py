"""The doctor's list: each kind of trouble with its rule, what it means and what to change."""

from collections.abc import Callable
from typing import NamedTuple

from iqlearn_jax.config.values import base_config, values_of
from iqlearn_jax.doctor import rules as symptoms
from iqlearn_jax.doctor.rules import Case, Rule
from iqlearn_jax.methods.iq.bounds import are_bounded


class Diagnosis(NamedTuple):
    """A kind of trouble; `remedy` reads the configuration and names switches."""

    rule: Rule
    meaning: str
    remedy: Callable[[Case], str]


def steadier(case: Case) -> str:
    """What keeps a critic from running away, by what the configuration has not got yet."""
    config = case.config
    if case.online and config.regularize == "expert":
        return square_of_both(case)
    if case.online and not config.target_network:
        return "--config.target_network=True --config.value_term=policy"
    if not case.online and config.target_network and not config.data.path:  # other data need one
        return "--config.target_network=False (offline the gradient has to reach V(s') too), and more rows"
    if case.has_actor and config.actor_lr < config.critic_lr / 10:
        return f"--config.actor_lr={config.critic_lr / 3:.1g}, so that the policy keeps up with its critic"
    slower = f"--config.critic_lr={config.critic_lr / 10:.1g}"
    if case.has_actor and config.critics == 1:
        return f"--config.critics=2, then {slower}"
    return slower if config.layer_norm or not case.online else f"--config.layer_norm=True, then {slower}"


def values(case: Case) -> str:
    """What keeps V in its bounds."""
    config = case.config
    if config.learn_temperature and not config.excess_entropy and config.target_entropy < 0:
        return (
            f"--config.excess_entropy=True if they sink (each step pays for entropy below 0); {bounded(case)}"
        )
    return bounded(case)


def bounded(case: Case) -> str:
    """The same, where entropy is not what moves V."""
    config = case.config
    if case.online and config.target_network and config.value_term not in ("policy", "v0"):
        return "--config.value_term=policy"
    if config.clip_targets or not case.online:
        return steadier(case)
    return f"--config.clip_targets=True; then {steadier(case)}"


def square_of_both(case: Case) -> str:
    """A bound of −4α on the learner's rewards, with χ² of ±4α."""
    return "--config.regularize=both (holds the learner's rewards above -4 alpha)"


def ends(case: Case) -> str:
    """A value of their own after ends."""
    bounds = case.online and are_bounded(case.config)
    return "--config.terminal=absorbing" + (" or bounded" if bounds else "")


def less_noise(case: Case) -> str:
    """Whether the entropy outweighs the reward, or the demonstrations say nothing."""
    bonus = case.hparams["temperature"].max() * case.room
    if case.config.learn_temperature:
        return f"--config.target_entropy below {case.config.target_entropy:g}"
    if bonus > case.large_reward.min():
        return (
            f"--config.temperature={case.config.temperature / 10:.1g} (entropy is worth {bonus:.3g}, the "
            f"best reward {case.large_reward.min():.3g})"
        )
    return "check that each action belongs to the observation beside it (iqlearn demos inspect FILE)"


def more_noise(case: Case) -> str:
    """A higher temperature, and more rows if there are few; from states alone the actions, if they can be."""
    if case.config.state_only and case.action_dim is not None and not case.config.infer_actions:
        return "--config.infer_actions=True, if observations are vectors"
    hotter = f"--config.temperature={case.config.temperature * 10:.1g}"
    if case.online:
        return hotter
    return f"more rows (--config.demos.trajectories, --config.demos.subsample=1), or {hotter}"


def held(case: Case) -> str:
    """Rates that are no faster than by default; and snapshots, among which the policy still is."""
    config, usual = case.config, base_config()
    rates = ("critic_lr", "actor_lr") if case.has_actor else ("critic_lr",)
    fast = [rate for rate in rates if max(values_of(config, rate)) > usual[rate]]
    slower = " ".join(f"--config.{rate}={usual[rate]:g}" for rate in fast)
    every = config.eval_every or config.log_every
    kept = f"--config.snapshot_every={every} keeps policies, of which --at=likeness takes the one most alike"
    return f"{slower or steadier(case)}; {kept}"


DIAGNOSES: dict[str, Diagnosis] = {
    "rewards_out_of_bounds": Diagnosis(
        symptoms.rewards_out_of_bounds,
        "At the optimum no recovered reward lies out there: the critic fits something else.",
        steadier,
    ),
    "unbounded_rewards": Diagnosis(
        symptoms.unbounded_rewards,
        "The square covers the expert's rows only, so nothing stops the learner's rewards from falling.",
        square_of_both,
    ),
    "value_term_drift": Diagnosis(
        symptoms.value_term_drift,
        "Under a target network this value term pushes down actions that no sample holds; values sink.",
        lambda case: "--config.value_term=policy",
    ),
    "values_out_of_bounds": Diagnosis(
        symptoms.values_out_of_bounds,
        "V leaves what discounted rewards inside their bounds can add up to, or soon will: it diverges.",
        values,
    ),
    "survival_bias": Diagnosis(
        symptoms.survival_bias,
        "Ends are worth 0 and all else far more: the learner lives on for its own sake, not the expert's.",
        ends,
    ),
    "termination_bias": Diagnosis(
        symptoms.termination_bias,
        "Ends are worth 0 and all else far less: the learner seeks the end, whatever the expert did.",
        ends,
    ),
    "reward_gap_inverted": Diagnosis(
        symptoms.reward_gap_inverted,
        "The recovered reward prefers the learner's samples to the expert's: it points the wrong way.",
        steadier,
    ),
    "policy_uniform": Diagnosis(
        symptoms.policy_uniform,
        "The policy is as good as uniform: nothing was learned about which action to take.",
        less_noise,
    ),
    "policy_collapsed": Diagnosis(
        symptoms.policy_collapsed,
        "The policy no longer draws: it has memorised few rows, or no longer explores.",
        more_noise,
    ),
    "policy_lost": Diagnosis(
        symptoms.policy_lost,
        "The policy was like the demonstrations and now plays like a uniform one: what was learned is lost.",
        held,
    ),
    "critic_explosion": Diagnosis(
        symptoms.critic_explosion,
        "The critic's gradient grows out of all proportion to its past: it is about to diverge.",
        steadier,
    ),
    "penalty_saturated": Diagnosis(
        symptoms.penalty_saturated,
        "The square of the rewards is far above what their bounds allow, and does not shrink.",
        steadier,
    ),
}
