"""Q-networks, critics and the tanh-Gaussian actor; the encoder follows from the observation's shape."""

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from iqlearn_jax.errors import InputError
from iqlearn_jax.types import conv_layers, size_fault

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


def orthogonal(scale: float) -> nn.initializers.Initializer:
    """Orthogonal weights, drawn one matrix at a time however many runs and critics are mapped over.

    The numbers are those of flax's initialiser. But a batched QR decomposition on the CPU waits inside the
    thread pool for parts of itself that it put into the same pool: with as many of them at once as there are
    cores, nothing moves any more (seen with jaxlib 0.10.2 on 2 cores).
    """
    draw = nn.initializers.orthogonal(scale)

    def init(key, shape, dtype=jnp.float32):
        impl = jax.random.key_impl(key)

        @jax.custom_batching.sequential_vmap
        def one(data):  # plain words: the check for keys used twice does not see through nested loops
            return draw(jax.random.wrap_key_data(data, impl=impl), shape, dtype)

        return one(jax.random.key_data(key))

    return init


class MLP(nn.Module):
    """Hidden layers with ReLU, orthogonal weights (as SAC's authors' PyTorch successors use)."""

    hidden: Sequence[int]
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.hidden:
            x = nn.Dense(width, kernel_init=orthogonal(math.sqrt(2.0)))(x)
            x = nn.LayerNorm()(x) if self.layer_norm else x
            x = nn.relu(x)
        return x


class Conv(nn.Module):
    """flax's `nn.Conv` without padding, as one matrix product over patches; the same parameters and numbers.

    XLA's convolutions leave their fast path on the CPU inside a scan, and wherever the kernels of many runs
    are mapped over: measured, the gradient of Nature's three layers takes 105 ms instead of 1,750 in a scan,
    that of MinAtar's layer 0.3 instead of 6.6 (2 cores, batch 64, one run), and 1.6 instead of 50 for five.
    """

    features: int
    size: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return patches(x, self.size, self.stride) @ kernel.reshape(-1, self.features) + bias


def patches(x: jax.Array, size: int, stride: int) -> jax.Array:
    """All size x size patches of [..., H, W, C] without padding: [..., H', W', size * size * C]."""
    rows, columns = ((length - size) // stride * stride + 1 for length in x.shape[-3:-1])
    shifts = [(i, j) for i in range(size) for j in range(size)]
    parts = [x[..., i : i + rows : stride, j : j + columns : stride, :] for i, j in shifts]
    return jnp.concatenate(parts, axis=-1)


class ConvEncoder(nn.Module):
    """Nature CNN (Mnih et al. 2015) for 84 x 84 frames; one 3 x 3 layer for MinAtar's 10 x 10 grids.

    Takes [..., H, W, C] in [0, 1] and returns [..., features].
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if (fault := size_fault(x.shape[-3:])) is not None:
            raise InputError(f"images of shape {list(x.shape[-3:])}: {fault}")
        for features, size, stride in conv_layers(x.shape[-2]):
            x = nn.relu(Conv(features, size, stride)(x))
        return x.reshape(*x.shape[:-3], -1)


def encode(obs: jax.Array, image: bool) -> jax.Array:
    """Features of [..., H, W, C] images or [..., D] vectors, inside a flax module."""
    return ConvEncoder(name="encoder")(obs) if image else obs


class QNetwork(nn.Module):
    """Action values (or logits) [..., A] of an observation.

    Attributes:
      num_states: set for tabular observations (integer states): the network is then a table of zeros.
      head_scale: of the last layer's weights; a small one makes logits alike at the start.
    """

    num_actions: int
    hidden: Sequence[int]
    image: bool = False
    num_states: int | None = None
    layer_norm: bool = False
    head_scale: float = 1.0

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        if self.num_states is not None:
            table = nn.Embed(self.num_states, self.num_actions, embedding_init=nn.initializers.zeros)
            return table(obs)
        x = MLP(self.hidden, self.layer_norm)(encode(obs, self.image))
        return nn.Dense(self.num_actions, kernel_init=orthogonal(self.head_scale))(x)


class Critic(nn.Module):
    """Value [...] of an observation and a continuous action."""

    hidden: Sequence[int]
    image: bool = False
    layer_norm: bool = False

    @nn.compact
    def __call__(self, obs: jax.Array, action: jax.Array) -> jax.Array:
        x = jnp.concatenate([encode(obs, self.image), action], axis=-1)
        x = MLP(self.hidden, self.layer_norm)(x)
        return nn.Dense(1, kernel_init=orthogonal(1.0))(x)[..., 0]


class Actor(nn.Module):
    """Mean and log standard deviation [..., action_dim] of the Gaussian before tanh.

    The log standard deviation is squashed smoothly into [-5, 2], so that its gradient never vanishes
    at a hard clip.
    """

    action_dim: int
    hidden: Sequence[int]
    image: bool = False

    @nn.compact
    def __call__(self, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = MLP(self.hidden)(encode(obs, self.image))
        out = nn.Dense(2 * self.action_dim, kernel_init=orthogonal(0.01))(x)
        mean, raw = jnp.split(out, 2, axis=-1)
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (jnp.tanh(raw) + 1.0)
        return mean, log_std


class QuadraticCritic(nn.Module):
    """What makes up a Q-function that is quadratic in the action (`agents.gaussian_q`): its peak [...], the
    peak's place before tanh and what sets its width, each [..., action_dim].
    """

    action_dim: int
    hidden: Sequence[int]
    image: bool = False
    layer_norm: bool = False

    @nn.compact
    def __call__(self, obs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        x = MLP(self.hidden, self.layer_norm)(encode(obs, self.image))
        out = nn.Dense(2 * self.action_dim + 1, kernel_init=orthogonal(0.01))(x)
        mean, width, peak = jnp.split(out, (self.action_dim, 2 * self.action_dim), axis=-1)
        return peak[..., 0], mean, width


class TransitionEncoder(nn.Module):
    """Features of a vector in (0, 1), and from them alone the action that is taken there and what it does
    (TRIL, the transition-regularised imitation network of Lee et al. 2019).

    Takes [B, D] and returns features [B, features], logits [B, A], successors [B, A, D].
    """

    num_actions: int
    features: int
    hidden: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        size = x.shape[-1]
        features = nn.sigmoid(nn.Dense(self.features, kernel_init=orthogonal(1.0))(MLP(self.hidden)(x)))
        logits = nn.Dense(self.num_actions, kernel_init=orthogonal(1.0))(features)
        change = nn.Dense(self.num_actions * size, kernel_init=orthogonal(0.1))(features)
        return features, logits, x[..., None, :] + change.reshape(*x.shape[:-1], self.num_actions, size)


class Network(NamedTuple):
    """A network as two pure functions; a flax module has the same two.

    Attributes:
      init: (key, *inputs) -> parameters.
      apply: (parameters, *inputs) -> outputs.
    """

    init: Callable
    apply: Callable


class Ensemble(NamedTuple):
    """A network with `size` independent parameter sets: leaves and outputs have a leading axis [size, ...].

    The members are applied one by one: plain products [m, k] x [k, n] are faster on the CPU than a batch of
    two (docs/performance.md), and runs mapped over are a batch anyway.
    """

    member: Network | nn.Module
    size: int

    def init(self, key: jax.Array, *inputs: jax.Array) -> Any:
        """Parameters, those of each member from a key of its own."""
        return jax.vmap(lambda k: self.member.init(k, *inputs))(jax.random.split(key, self.size))

    def apply(self, params: Any, *inputs: jax.Array) -> jax.Array:
        """Outputs of all members."""
        members = (jax.tree.map(itemgetter(i), params) for i in range(self.size))
        outputs: list[Any] = [self.member.apply(member, *inputs) for member in members]
        return jnp.stack(outputs)


class Split(NamedTuple):
    """An ensemble whose members share a part of their outputs: the sum of a reward and of what follows.

    Parameters are {"reward": the shared ones, "future": the ensemble's}.
    """

    reward: Network | nn.Module
    future: Ensemble

    def init(self, key: jax.Array, *inputs: jax.Array) -> Any:
        """Parameters of both, from a key each."""
        reward_key, future_key = jax.random.split(key)
        return {
            "reward": self.reward.init(reward_key, *inputs),
            "future": self.future.init(future_key, *inputs),
        }

    def apply(self, params: Any, *inputs: jax.Array) -> jax.Array:
        """Outputs of all members, [size, ...]; of parameters without "future" the reward, [1, ...]."""
        output: Any = self.reward.apply(params["reward"], *inputs)
        if "future" not in params:
            return output[None]
        return output + self.future.apply(params["future"], *inputs)
