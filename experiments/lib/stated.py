"""The properties of the paper's Table 1: those that follow from a method's equations, in our words, with
sources, and the paper's own ticks.

Whether two players are trained against each other, what the reward may be, and whether one function of one
set of parameters is optimised by its gradient. Measured ones: experiments/studies/properties.py.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Stated(NamedTuple):
    """What a method's definition says.

    Attributes:
      adversarial: "no", or the two sides of the game.
      reward: what it is restricted to.
      direct: "yes", or what has to be solved besides.
      source: the paper; the method's page in docs/methods has the equation itself.
      ticks: whether Garg et al.'s Table 1 ticks each of `PROPERTIES`; "" where it has no such row.
      remarks: {property: what the equations say where that is not what the tick says}.
    """

    adversarial: str
    reward: str
    direct: str
    source: str
    ticks: str = ""
    remarks: Mapping[str, str] = MappingProxyType({})


PROPERTIES = (
    "dynamics-aware", "non-adversarial", "convergence", "non-restrictive reward", "direct optimisation",
)  # fmt: skip
NO_TABLE = {
    "edm": "its chains walk through continuous states; its loss reads no successor (docs/methods/edm.md)",
    "dsfn": "its features are networks of vectors; with one-hot ones it would be lstd_mu",
    "pwil": "it measures distances, which states of a table do not have",
}  # methods without a tabular form, and why
LINEAR = "wᵀφ, ‖w‖ ≤ 1"
ANY = "any r(s,a)"
RL_INSIDE = "no: an RL problem for each reward"
STATED = {
    "iq": Stated(
        "no", "any r(s,a) in φ's domain", "yes (with continuous actions offline); online an actor follows",
        "eqs. 9, 10, 12, Garg et al. 2021", "✓✓✓✓✓",
        {"direct optimisation": "online, with continuous actions, an actor has to follow Q, as in SAC"},
    ),
    "max_margin": Stated("no", LINEAR, RL_INSIDE, "Abbeel & Ng 2004", "✓✓✓✗✗"),
    "max_entropy": Stated("no", "wᵀφ", RL_INSIDE, "Ziebart et al. 2008; Ziebart 2010", "✓✓✓✗✗"),
    "max_entropy_deep": Stated(
        "yes: reward and learner in alternation", "a network of (s,a), E[r²] penalised", RL_INSIDE,
        "Ziebart 2010's gradient, one step of each",
    ),
    "gail": Stated("yes: discriminator and policy", ANY, RL_INSIDE, "Ho & Ermon 2016", "✓✗✓✓✗"),
    "airl": Stated("yes: discriminator and policy", "g(s[,a]), or any", RL_INSIDE, "Fu et al. 2018", "✓✗✓✓✗"),
    "dac": Stated("yes: discriminator and policy", ANY, RL_INSIDE, "Kostrikov et al. 2019"),
    "asaf": Stated(
        "in rounds: the discriminator is the next policy", "none is learned", "within a round: yes",
        "Barde et al. 2020", "✓✓✓✗✓",
        {"direct optimisation": "within a round; between rounds the other policy is replaced"},
    ),
    "sqil": Stated("no", "fixed: 1 on demonstrations, 0 elsewhere", "yes", "Reddy et al. 2020", "✓✓✗✗✓"),
    "adril": Stated(
        "in rounds: against all past policies", "fixed within a round", "within a round: yes",
        "Swamy et al. 2021",
    ),
    "pwil": Stated(
        "no", "fixed by a greedy coupling with the demonstrations", RL_INSIDE, "Dadashi et al. 2021"
    ),
    "lstd_mu": Stated("no", LINEAR, RL_INSIDE, "Klein et al. 2011", "✓✓✓✗✗"),
    "dsfn": Stated("no", LINEAR, RL_INSIDE, "Lee et al. 2019", "✓✓✓✗✗"),
    "max_likelihood": Stated(
        "no", "table or wᵀφ", "yes, through backups of Q", "Jain et al. 2019", "✓✓✓✗✗",
        {"direct optimisation": "one likelihood is climbed by its own gradient, with backups of Q inside"},
    ),
    "max_entropy_dynamics": Stated(
        "no", "table or wᵀφ", "yes, through a fixed point (implicit gradient)", "Herman et al. 2016",
        "✓✓✓✗✗",
        {"direct optimisation": "one likelihood is climbed by its own gradient, with a fixed point inside"},
    ),
    "value_dice": Stated(
        "yes: ν and policy", "any log ρ_E/ρ_π", "no: max over π, min over ν", "Kostrikov et al. 2020",
        "✓✗✗✗✗",
        {"non-restrictive reward": "the logarithm of a ratio of two occupancies may be any function"},
    ),
    "bc": Stated("no", "none is learned", "yes", "Ross & Bagnell 2010", "✗✓✓✗✓"),
    "regularized_bc": Stated("no", "Q − γ max Q', sparse", "yes", "Piot et al. 2014", "✓✓✓✗✓"),
    "edm": Stated(
        "no", "none is learned", "yes, with Langevin sampling inside", "Jarrett et al. 2020", "✓✓✗✓✓",
        {
            "dynamics-aware": "its loss reads states and actions, no successor",
            "non-restrictive reward": "it learns none, as cloning, which has no tick",
        },
    ),
    "avril": Stated("no", "Gaussian posterior over r(s,a)", "yes", "Chan & van der Schaar 2021"),
}  # fmt: skip
