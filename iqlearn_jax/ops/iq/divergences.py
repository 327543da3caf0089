"""Statistical divergences as concave reward functions φ  (IQ-Learn, §5.3 and Table 2).

A Csiszár divergence with generator f is d_f(ρ, ρ_E) = Σ ρ_E f(ρ/ρ_E). Its concave conjugate is
φ(r) = inf_{t≥0} (t r + f(t)), and the best reward for fixed occupancies satisfies φ'(r*) = ρ/ρ_E.
`alpha` is always the weight of the divergence: f_α = α f, hence φ_α(r) = α φ_1(r/α). So a record holds
the functions at α = 1 and every divergence scales in the same way: χ² gives r − r²/4α, total variation
the box |r| ≤ α (the paper's R), Wasserstein-1 the Lipschitz constant α.
The derivative φ' is never written down: it comes from differentiating φ.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from iqlearn_jax.errors import Catalogue, InputError

Array = jax.Array
Scalar = jax.Array | float

STEEPEST = 100.0  # slope at which `guarded_phi` goes on as a straight line


class Divergence(NamedTuple):
    """A divergence at α = 1, and its scaled forms as methods. x = r/α throughout.

    Attributes:
      name: name in DIVERGENCES.
      unit_phi: concave φ(x), valid inside (lower, upper).
      unit_generator: convex f(t), t = ρ/ρ_E.
      unit_optimal_reward: r*(w) at α = 1 for w = ρ_E/ρ, or None where it does not depend on w alone.
      lower, upper: domain of x. `upper` is finite for total variation only, whose φ is flat above it.
      largest: x of the largest reward at the optimum, where φ' = 0 inside the domain; None: it is `upper`.
      monotone: whether φ is non-decreasing; only then is J*(Q) concave in Q (Prop. 3.5).
      steep: whether φ' outgrows every bound so fast that `guarded_phi` caps it.
      barrier: slope of `guarded_phi` below a domain at whose end φ is finite; 0 for all others.
      squared: whether φ(r) = r − r²/4α, so that χ² over both kinds of samples (`chi2_regularizer`) stands in
        its place instead of beside it.
      lipschitz: whether it is a bound on the reward's slope, which a gradient penalty keeps.
    """

    name: str
    unit_phi: Callable[[Array], Array]
    unit_generator: Callable[[Array], Array]
    unit_optimal_reward: Callable[[Array], Array] | None = None
    lower: float = -math.inf
    upper: float = math.inf
    largest: float | None = None
    monotone: bool = True
    steep: bool = False
    barrier: float = 0.0
    squared: bool = False
    lipschitz: bool = False

    def phi(self, r: Array, alpha: Scalar) -> Array:
        """Exact concave conjugate φ_α(r): −∞ (with gradient 0) below the domain, never NaN.

        For proofs and exact solvers. Training losses take `guarded_phi`, which points back into the domain.

        Args:
          r: [...] rewards.
          alpha: [] weight of the divergence, > 0, in reward units; may be traced.
        Returns:
          [...] values, in reward units.
        """
        x = jnp.asarray(r) / alpha
        # A closed end (total variation) admits rounding: r = −α computed as Q − γPV must stay inside.
        closed = self.lower * (1 + 1000 * float(jnp.finfo(x.dtype).eps))
        inside = (x >= closed) if self.barrier else (x > self.lower)
        safe = jnp.where(inside, x, 0.5)  # 0.5 lies inside every domain; keeps NaN out of the gradient
        return jnp.where(inside, alpha * self.unit_phi(safe), -jnp.inf)

    def generator(self, t: Array, alpha: Scalar) -> Array:
        """Convex generator f_α(t) = α f(t) of the ratio t = ρ/ρ_E ≥ 0. [...]"""
        return alpha * self.unit_generator(jnp.asarray(t))

    def domain(self, alpha: Scalar) -> tuple[Scalar, Scalar]:
        """Ends (lower, upper) of the rewards' domain, in reward units; ±inf where there is none."""
        return alpha * self.lower, alpha * self.upper

    def bounds(self, alpha: Scalar) -> tuple[Scalar, Scalar]:
        """Bounds (lower, upper) of the reward at the optimum, in reward units; ±inf where there is none.

        They are those of φ over expert samples alone.
        """
        return alpha * self.lower, alpha * (self.upper if self.largest is None else self.largest)

    @property
    def boxed(self) -> bool:
        """Whether it is the constraint lower ≤ r/α ≤ upper on all rewards (`domain_penalty`)."""
        return math.isfinite(self.upper)

    @property
    def optimal_reward(self) -> Callable[[Array, Scalar], Array] | None:
        """r*(w, alpha), solving φ'(r*) = 1/w for w = ρ_E/ρ; None where w does not determine it."""
        unit = self.unit_optimal_reward
        return None if unit is None else lambda w, alpha: alpha * unit(jnp.asarray(w) / 1.0)

    def knot(self, steepest: Scalar) -> Scalar | None:
        """x = r/α below which `guarded_phi` replaces φ by a straight line; None where it never does."""
        if self.steep and self.unit_optimal_reward is not None:
            return self.unit_optimal_reward(1.0 / jnp.asarray(steepest))  # φ'(r*(w)) = 1/w
        return self.lower if self.barrier else None


def guarded_phi(
    divergence: Divergence,
    r: Array,
    alpha: Scalar,
    steepest: Scalar = STEEPEST,
    barrier: Scalar | None = None,
) -> Array:
    """φ_α(r) inside the domain, continued below it by a straight line that pushes rewards back.

    Value and gradient are finite up to |r|/α = 1e19 in float32 (where r² overflows; 1e150 in float64), and
    the result is concave. With x = r/α:
      forward KL, reverse KL in both forms, Hellinger, Jensen–Shannon: the tangent (C¹) from where φ' has
        grown to `steepest`;
      total variation: φ itself on [lower, upper], flat above, slope `barrier` below; a kink, not a tangent;
      χ², monotone χ², Wasserstein-1: φ everywhere.

    Args:
      divergence: record from DIVERGENCES.
      r: [...] rewards.
      alpha: [] weight of the divergence, > 0, in reward units; may be traced.
      steepest: [] > 1, largest slope of the tangents. r* is exact wherever ρ ≤ steepest · ρ_E. A row of
        that slope weighs as much as so many others: at 10⁶ single rows threw online critics off
        (docs/research/08-target-networks-and-bounds.md). May be traced.
      barrier: slope ≥ 1 below total variation's domain; None takes the record's own.
    Returns:
      [...] values, in reward units.
    """
    x, knot = jnp.asarray(r) / alpha, divergence.knot(steepest)
    if knot is None:
        return alpha * divergence.unit_phi(x)
    edge, slope = jnp.asarray(knot, x.dtype), steepest
    if divergence.barrier:
        slope = divergence.barrier if barrier is None else barrier
    below = x < edge
    curve = divergence.unit_phi(jnp.where(below, edge, x))  # evaluated inside the domain on either branch
    return alpha * (curve + jnp.where(below, jnp.asarray(slope, x.dtype) * (x - edge), 0.0))


def domain_penalty(divergence: Divergence, r: Array, alpha: Scalar) -> Array:
    """Distance of r from total variation's box |r| ≤ α; zero for every other divergence.

    φ alone bounds rewards of expert samples only. Total variation bounds them everywhere, so methods add
    a multiple of this penalty's mean over all samples. It is exact (not squared): a weight above the
    largest probability ratio keeps the constrained optimum.

    Args:
      divergence: record from DIVERGENCES.
      r: [...] rewards of all samples.
      alpha: [] weight of the divergence, > 0, in reward units.
    Returns:
      [...] penalties ≥ 0, in reward units.
    """
    if not divergence.boxed:
        return jnp.zeros_like(r)
    lower, upper = divergence.domain(alpha)
    return jnp.maximum(lower - r, 0.0) + jnp.maximum(r - upper, 0.0)


def _chi2(x: Array) -> Array:
    return x - x**2 / 4


def _point(t: Array) -> Array:
    """Generator whose conjugate is the identity: 0 at t = 1, infinite elsewhere."""
    return jnp.where(t == 1, 0.0, jnp.inf)


_RECORDS = (
    Divergence(
        "forward_kl",
        lambda x: 1 + jnp.log(x),
        lambda t: -jnp.log(t),
        lambda w: w,
        lower=0.0,
        steep=True,
    ),
    Divergence(
        "reverse_kl",
        lambda x: -jnp.exp(-x - 1),
        lambda t: xlogy(t, t),
        lambda w: jnp.log(w) - 1,
        steep=True,
    ),
    Divergence(
        "reverse_kl_unbiased",
        lambda x: -jnp.expm1(-x),
        lambda t: xlogy(t, t) - t + 1,
        jnp.log,
        steep=True,
    ),
    Divergence(
        "hellinger",
        lambda x: 1 - 1 / (1 + x),  # unlike x/(1 + x), its derivative does not cancel for large x
        lambda t: (jnp.sqrt(t) - 1) ** 2,
        lambda w: jnp.sqrt(w) - 1,
        lower=-1.0,
        steep=True,
    ),
    Divergence(
        "js",
        lambda x: jnp.log1p(-jnp.expm1(-x)),  # log(2 − e^−x)
        lambda t: xlogy(t, t) - (1 + t) * jnp.log((1 + t) / 2),
        lambda w: jnp.log((1 + w) / 2),
        lower=-math.log(2),
        steep=True,
    ),
    # χ² as printed is the conjugate over all real t: φ falls for r > 2α, so J* is not concave in Q there.
    Divergence(
        "chi2",
        _chi2,
        lambda t: (t - 1) ** 2,
        lambda w: 2 * (1 - 1 / w),
        largest=2.0,
        monotone=False,
        squared=True,
    ),
    # The conjugate over t ≥ 0: constant above r = 2α.
    Divergence(
        "chi2_monotone",
        lambda x: _chi2(jnp.minimum(x, 2.0)),
        lambda t: (t - 1) ** 2,
        lambda w: 2 * (1 - 1 / w),
        largest=2.0,
    ),
    # r* is unique where ρ_E ≠ ρ only. φ is monotone; it is the two-sided box that is not convex in Q.
    Divergence(
        "tv",
        lambda x: jnp.where(x > 1, 1.0, x),  # not minimum: at r = α the slope must be that of the box, 1
        lambda t: jnp.abs(t - 1),
        lambda w: jnp.sign(w - 1),
        lower=-1.0,
        upper=1.0,
        barrier=10.0,
    ),
    # φ(r) = r; the divergence lives in the constraint ‖r‖_Lip ≤ α, kept by penalties.gradient_penalty.
    Divergence("w1", lambda x: x, _point, lipschitz=True),
)
DIVERGENCES: Catalogue[Divergence] = Catalogue("divergence", {record.name: record for record in _RECORDS})
_BUILT_IN = frozenset(DIVERGENCES)


def register_divergence(divergence: Divergence) -> None:
    """Makes a divergence known to `config.divergence` by its name; registering a name again replaces it.

    Raises:
      InputError: the name is one of the library's own, or nothing says how φ goes on below its domain.
    """
    if divergence.name in _BUILT_IN:
        raise InputError(f"divergence '{divergence.name}' is one of the library's own; expected another name")
    if math.isfinite(divergence.lower) and not (divergence.steep or divergence.barrier):
        raise InputError(
            f"divergence '{divergence.name}' ends at {divergence.lower} with neither `steep` nor `barrier`; "
            "set the one that says how `guarded_phi` goes on below"
        )
    DIVERGENCES.register(divergence.name, divergence)
