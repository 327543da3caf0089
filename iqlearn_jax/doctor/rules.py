"""Symptoms of IQ-Learn runs that fail, read from their metrics alone: no true reward, no returns.

A rule is a pure function of the history. It reads medians of the last chunks, so that one odd chunk says
nothing, and where training begins far outside (values behind bounded ends) it waits until the metric no
longer falls. docs/doctor.md has the maths of each limit, and the runs on which the factors were chosen.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iqlearn_jax.agents.common import entropy_floor
from iqlearn_jax.agents.gaussian_q import largest_entropy
from iqlearn_jax.config.schema import ONLINE
from iqlearn_jax.config.values import values_of
from iqlearn_jax.loops.loop import runs_of
from iqlearn_jax.methods import METHODS
from iqlearn_jax.methods.iq.bounds import reward_bounds, value_bounds
from iqlearn_jax.methods.method import quadratic
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.types import EnvSpec

WATCHED = (
    "iq/reward_expert", "iq/reward_policy", "iq/reward_max", "iq/value", "iq/initial_value", "iq/penalty",
    "iq/end_rate", "policy/entropy", "policy/temperature", "critic/grad_norm", "eval/likeness",
)  # fmt: skip
RECENT = 3  # chunks in a median
TREND = 10  # chunks that a trend takes at least
REWARD_SLACK = 0.5  # of the largest optimal reward, by which means over batches may miss their bound
SINGLE_SLACK = 15.0  # offline: largest reward of a batch over its bound
SINGLE_SLACK_UNLIKE = 1.5  # the same where an evaluation shows harm
UNBOUNDED = 5.0  # rewards below so many times -4α where nothing bounds the learner's
VALUE_SLACK = 1.05
SINKING = 0.25  # of the value bound, below zero
END_BIAS = 5.0  # largest optimal rewards that separate the other states from an end worth 0
EXPLOSION = 30.0  # times the gradient's median so far
SATURATION = 30.0  # times the penalty of rewards that all lie on their bound
UNIFORM, UNIFORM_AFTER = 0.95, 0.1  # share of the largest entropy; share of the planned updates
COLLAPSED = 1e-4  # share of the largest entropy, discrete actions
COLLAPSED_NATS = -10.0  # per dimension of continuous actions in half-widths of the box
UNLIKE = 0.5  # likeness to the demonstrations below which an evaluation shows harm
LOST = 0.2  # likeness at which a policy that was like them is lost: next to uniform play
INVERTED = 0.1  # of the largest optimal reward


class Case(NamedTuple):
    """What a history is judged by; hyperparameters are [R].

    Attributes:
      action_dim: None for discrete actions.
      max_entropy: in nats, as V counts them (`agents.common.Agent`).
      gaussian: whether the policy is that of one critic, whose entropy is set and not learned.
      unit: log-volume [nats] of half the box's widths; continuous entropies are judged from there, else 0.
    """

    config: Any
    action_dim: int | None
    max_entropy: float
    hparams: dict[str, NDArray]
    gaussian: bool = False
    unit: float = 0.0

    @property
    def has_actor(self) -> bool:
        """Whether an actor follows the critic."""
        return self.action_dim is not None and not self.gaussian

    @property
    def reward_range(self) -> tuple[NDArray, NDArray]:
        """Bounds [R] of the reward at the optimum."""
        low, high = reward_bounds(self.config, self.hparams["alpha"])
        zero = np.zeros_like(self.hparams["alpha"])
        return low + zero, high + zero

    @property
    def large_reward(self) -> NDArray:
        """[R] A scale: the largest reward at the optimum; 1, of the order of every φ', if there is none."""
        high = self.reward_range[1]
        return np.where(np.isfinite(high), high, 1.0)

    @property
    def bound_of_both(self) -> NDArray:
        """[R] 4α, the bound of χ² over both kinds of rows."""
        return 4.0 * self.hparams["alpha"]

    @property
    def room(self) -> float:
        """Entropy of the uniform policy in nats, with continuous actions in half-widths of the box."""
        return self.max_entropy - self.unit

    def floor(self, temperature: NDArray) -> NDArray:
        """[R] How far V may sink by where entropies count from: the unit of actions, or a target above it."""
        nats = np.minimum(self.unit - entropy_floor(self.config, self.hparams), 0.0)
        return temperature * nats / (1.0 - self.hparams["gamma"])

    @property
    def online(self) -> bool:
        """Whether the learner's own samples are in the batch."""
        return self.config.feed in ONLINE


class History(NamedTuple):
    """What the rules read of all runs: updates [T], WATCHED name -> [T, R], NaN where there was none."""

    updates: NDArray
    metrics: dict[str, NDArray]

    def __len__(self) -> int:
        return len(self.updates)

    def recent(self, name: str, back: int = 0) -> NDArray:
        """Median [R] of the last chunks before the newest `back` ones; NaN (sick by no rule) if unknown."""
        rows, stop = self.metrics[name], len(self) - back
        if stop < RECENT:
            return np.full(rows.shape[1], np.nan)
        return np.median(rows[stop - RECENT : stop], axis=0)

    def unlike(self) -> NDArray:
        """[R] Whether the newest evaluation was unlike the demonstrations; False before there is one."""
        known = self.evaluations()
        return known[-1] < UNLIKE if len(known) else np.zeros(known.shape[1], bool)

    def temperature(self, case: Case) -> NDArray:
        """τ [R] of late, or the configured one where none was logged."""
        now = self.recent("policy/temperature")
        return np.where(np.isnan(now), case.hparams["temperature"], now)

    def evaluations(self) -> NDArray:
        """Likeness [E, R] of all evaluations; NaN in those that could not tell."""
        rows = self.metrics["eval/likeness"]
        return rows[~np.isnan(rows).all(axis=1)]

    def upto(self, chunks: int) -> "History":
        """The first chunks."""
        return History(self.updates[:chunks], {name: rows[:chunks] for name, rows in self.metrics.items()})


class Symptom(NamedTuple):
    """A metric beside its limit [R], and the runs [R] that left it."""

    metric: str
    value: NDArray
    bound: NDArray
    sick: NDArray


Rule = Callable[[Case, History], list[Symptom]]


def make_case(config, spec: EnvSpec) -> Case:
    """What the runs of a configuration are judged by."""
    runs = runs_of(config)
    names = ("alpha", "gamma", "temperature", "target_entropy")
    same = {name: np.full(len(runs.seeds), config[name]) for name in names}
    hparams = same | {name: values for name, values in runs.values.items() if name in same}
    if spec.discrete:
        return Case(config, None, float(np.log(spec.num_actions)), hparams)
    widths = np.asarray(spec.action_high, float) - np.asarray(spec.action_low, float)
    if quadratic(config, spec, METHODS[config.method]):
        return Case(config, widths.size, largest_entropy(config, widths.size), hparams, gaussian=True)
    unit = float(np.sum(np.log(0.5 * widths)))
    return Case(config, widths.size, float(np.sum(np.log(widths))), hparams, unit=unit)


def rewards_out_of_bounds(case: Case, history: History) -> list[Symptom]:
    """Mean rewards of the expert's and the learner's rows; offline, where φ can fall, a batch's largest."""
    names = ["iq/reward_expert"] + ["iq/reward_policy"] * case.online
    low, high = case.reward_range
    slack = REWARD_SLACK * case.large_reward
    symptoms = [_stays_outside(history, name, low - slack, high + slack) for name in names]
    if not (case.online or DIVERGENCES[case.config.divergence].monotone):
        times = np.where(history.unlike(), SINGLE_SLACK_UNLIKE, SINGLE_SLACK)
        symptoms.append(_stays_outside(history, "iq/reward_max", low, times * high))
    return symptoms


def _stays_outside(history: History, name: str, low: NDArray, high: NDArray) -> Symptom:
    """Outside [low, high] and not on its way back."""
    now, before = history.recent(name), history.recent(name, back=RECENT)
    sick = ((now > high) & (now >= before)) | ((now < low) & (now <= before))
    return Symptom(name, now, np.where(now < low, low, high), sick)


def unbounded_rewards(case: Case, history: History) -> list[Symptom]:
    """χ² over the expert's samples alone: nothing keeps the learner's rewards; limits are those of both."""
    low, high = case.reward_range
    if not (case.online and np.isneginf(low).all() and np.isfinite(high).all()):
        return []
    now, value, bound = history.recent("iq/reward_policy"), history.recent("iq/value"), case.bound_of_both
    worth = bound / (1.0 - case.hparams["gamma"]) - case.floor(history.temperature(case))
    return [
        Symptom("iq/reward_policy", now, -UNBOUNDED * bound, np.abs(now) > UNBOUNDED * bound),
        Symptom("iq/value", value, -worth, value < -worth),
    ]


def values_out_of_bounds(case: Case, history: History) -> list[Symptom]:
    """V(s') or V(s0) outside its bounds, or past half of them and at its present pace outside soon."""
    temperature = history.temperature(case)
    low, high = value_bounds(case.config, case, case.hparams, temperature)
    low = low + case.floor(temperature)
    return [_drifts_outside(history, name, low, high) for name in ("iq/value", "iq/initial_value")]


def _drifts_outside(history: History, name: str, low: NDArray, high: NDArray) -> Symptom:
    now = history.recent(name)
    ahead = 2.0 * now - history.recent(name, back=max(TREND, len(history) // 4))
    sick = (now > VALUE_SLACK * high) | ((now > 0.5 * high) & (ahead > high))
    sick |= (now < VALUE_SLACK * low) | ((now < 0.5 * low) & (ahead < low))
    return Symptom(name, now, np.where(now < 0, low, high), sick)


def value_term_drift(case: Case, history: History) -> list[Symptom]:
    """Sinking values where V(s) is pushed down beside a target network."""
    telescoped = case.config.value_term in ("mixture", "expert", "v0_all")
    if not (case.online and case.config.target_network and telescoped):
        return []
    now, before = history.recent("iq/value"), history.recent("iq/value", back=RECENT)
    bound = case.reward_range[1] / (1.0 - case.hparams["gamma"])
    limit = case.floor(history.temperature(case)) - SINKING * bound
    return [Symptom("iq/value", now, limit, (now < limit) & (now < before))]


def survival_bias(case: Case, history: History) -> list[Symptom]:
    """An end is worth 0, everything else far more than a best step; no word where rewards have no bound."""
    return _end_bias(case, history, 1.0)


def termination_bias(case: Case, history: History) -> list[Symptom]:
    """An end is worth 0, everything else far less; no word where rewards have no bound."""
    return _end_bias(case, history, -1.0)


def _end_bias(case: Case, history: History, sign: float) -> list[Symptom]:
    if case.config.terminal != "zero" or not case.online:
        return []  # offline no sample of the learner's chooses between an end and living on
    now, limit = history.recent("iq/value"), sign * END_BIAS * case.reward_range[1]
    has_ends = np.nansum(history.metrics["iq/end_rate"], axis=0) > 0
    return [Symptom("iq/value", now, limit, (sign * (now - limit) > 0) & has_ends)]


def reward_gap_inverted(case: Case, history: History) -> list[Symptom]:
    """The recovered reward prefers the learner's samples to the expert's, and no less than before."""
    if not case.online:
        return []
    gap, before = (
        history.recent("iq/reward_expert", back) - history.recent("iq/reward_policy", back)
        for back in (0, RECENT)
    )
    limit = -INVERTED * case.large_reward
    return [Symptom("iq/reward_expert - iq/reward_policy", gap, limit, (gap < limit) & (gap <= before))]


def policy_uniform(case: Case, history: History) -> list[Symptom]:
    """The entropy stays at its largest."""
    early = len(history) < 2 * RECENT or history.updates[-1] < UNIFORM_AFTER * case.config.updates
    if case.gaussian or early:
        return []
    room = case.max_entropy if case.action_dim is None else case.action_dim
    now, limit = history.recent("policy/entropy"), case.max_entropy - (1.0 - UNIFORM) * room
    return [Symptom("policy/entropy", now, np.full_like(now, limit), now > limit)]


def policy_collapsed(case: Case, history: History) -> list[Symptom]:
    """The policy no longer draws and plays unlike the demonstrations; alone, a greedy expert asks for it."""
    if case.gaussian or not np.isfinite(case.unit):
        return []
    limit = COLLAPSED * case.max_entropy
    if case.action_dim is not None:
        limit = case.unit + COLLAPSED_NATS * case.action_dim
    now, before = history.recent("policy/entropy"), history.recent("policy/entropy", back=RECENT)
    sick = (np.maximum(now, before) < limit) & history.unlike()
    return [Symptom("policy/entropy", now, np.full_like(now, limit), sick)]


def policy_lost(case: Case, history: History) -> list[Symptom]:
    """It played like the demonstrations and now like a uniform policy: twice, or at the end of training."""
    last = 1 if history.updates[-1] >= case.config.updates else 2
    evaluations = history.evaluations()
    if len(evaluations) <= last:
        return []
    before, now = np.fmax.reduce(evaluations[:-last]), np.fmax.reduce(evaluations[-last:])
    return [Symptom("eval/likeness", now, np.full_like(now, LOST), (before >= UNLIKE) & (now < LOST))]


def critic_explosion(case: Case, history: History) -> list[Symptom]:
    """The critic's gradient against its own past, which is not the calm after learning alone."""
    if len(history) < TREND:
        return []
    past, now = history.metrics["critic/grad_norm"], history.recent("critic/grad_norm")
    limit = EXPLOSION * np.maximum(np.median(past, axis=0), np.median(past[:RECENT], axis=0))
    return [Symptom("critic/grad_norm", now, limit, now > limit)]


def penalty_saturated(case: Case, history: History) -> list[Symptom]:
    """χ² over both kinds of rows: E[r²]/4α against 4α, what it is where every reward lies on its bound."""
    if case.config.regularize != "both" or max(values_of(case.config, "gradient_penalty")) > 0:
        return []
    limit = SATURATION * case.bound_of_both
    return [_stays_outside(history, "iq/penalty", np.zeros_like(limit), limit)]
