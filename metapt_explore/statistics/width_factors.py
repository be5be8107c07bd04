"""Where pairs share seeds, by how much a standard error is to be widened or narrowed so that 5 % is 5 %.

No exact test is known for the mean of pairs that share seeds both ways: how much each seed matters has to be estimated
from few levels, and an estimate of a variance cannot be negative. Any formula is too bold for some shares of the seeds
and too cautious for others (`raw_variance`: 0.4 to 7.3 % instead of 5 %). So the standard error is multiplied by a
factor that depends on what is seen of the shares: the logarithms of the two clustered variances over the unclustered
one. Its logarithm is a bilinear function over a grid of 5 × 5 nodes, found by least squares such that the false alarms
are 5 % at every one of 49 pairs of shares, from none of the variance to nearly all. Shares in between come out at 4.5
to 5.5 % (`benchmarks/false_alarms.py`), as nothing of it depends on anything but the layout of the seeds.

What is simulated are standard normal draws with a fixed seed: equal layouts have equal factors, always. Numerically
determined critical values of this kind go back to Elliott, Müller and Watson (2015, Econometrica 83(2)). Given all
residuals the mean is normal with known moments, so that no chance of rejection has to be counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from metapt_explore.statistics.shared_seeds import Clustered, Floats, Layout, clustered, raw_variance

LEVEL = 0.05
#: Variance that a seed brings to the mean over that of the rest, on all pairs of which false alarms are held at 5 %.
RATIOS = (0.0, 0.3, 1.0, 3.0, 10.0, 100.0, 10_000.0)
#: Simulated studies at each pair of ratios; fewer where there are very many pairs.
DRAWS, MOST_NUMBERS = 8_000, 2_000_000
#: Where the nodes of the grid lie: quantiles of what was simulated.
QUANTILES = np.linspace(0.02, 0.98, 5)
#: How much a bent factor costs, against a relative error of the false alarms.
ROUGHNESS = 1e-3
#: With fewer levels of a seed nothing can be calibrated: there is hardly a variance to go by.
FEWEST_LEVELS = 3
#: With more pairs there is none either: time and memory grow with their cube and square.
MOST_PAIRS = 1_000
TINY = 1e-12


@dataclass(frozen=True)
class WidthFactors:
    """The factor of a standard error, by what is seen of the shares of the seeds.

    Attributes:
        init_nodes: Nodes of log(clustered by initialisation / unclustered).
        data_nodes: Nodes of log(clustered by data seed / unclustered).
        log_factors: Logarithm of the factor at the nodes, flat; the data nodes change fastest.
        rates: False alarms at each pair of `RATIOS` that the factors were found from.
    """

    init_nodes: Floats
    data_nodes: Floats
    log_factors: Floats
    rates: Floats

    def factor(self, parts: Clustered) -> Floats:
        """What the standard error is multiplied by: one number, or one for each study."""
        places, weights = _weights(parts, self.init_nodes, self.data_nodes)
        factors: Floats = np.exp((self.log_factors[places] * weights).sum(axis=0))
        return factors


@dataclass(frozen=True)
class _Simulated:
    """Studies without a difference, [ratios, draws]: what is seen, and how the mean is spread given the residuals."""

    parts: Clustered
    shift: Floats
    deviation: Floats


@lru_cache(maxsize=512)
def width_factors(layout: Layout) -> WidthFactors | None:
    """The factors of a layout of seeds; None where none can or need be found.

    None is needed where the standard error is exact as it is. None is to be found with two levels of a seed, nor, in
    reasonable time, with more than `MOST_PAIRS` pairs: then the standard error stays as `raw_variance` gives it.

    Example:
        >>> grid = Layout(tuple(i for i in range(5) for _ in range(6)), tuple(range(6)) * 5)
        >>> rates = width_factors(grid).rates
        >>> bool(rates.min() > 0.045), bool(rates.max() < 0.055)
        (True, True)
    """
    if layout.pairs > MOST_PAIRS or min(layout.levels) < FEWEST_LEVELS or layout.evenly_nested:
        return None
    simulated = _simulate(layout)
    nodes = [
        _nodes(_log_ratio(part, simulated.parts.single)) for part in (simulated.parts.by_init, simulated.parts.by_data)
    ]
    variance, df = raw_variance(simulated.parts, layout)
    reach = stats.t.ppf(1 - LEVEL / 2, df) * np.sqrt(variance)
    places, weights = _weights(simulated.parts, nodes[0], nodes[1])
    log_factors, rates = _solve(simulated, reach, places, weights, tuple(map(len, nodes)))
    return WidthFactors(nodes[0], nodes[1], log_factors, rates)


def _simulate(layout: Layout) -> _Simulated:
    """Draws each effect once and joins them at every pair of ratios, so that factors do not hang on luck."""
    n, members = layout.pairs, layout.members
    draws = max(1_000, min(DRAWS, MOST_NUMBERS // n))
    rng = np.random.default_rng(0)
    effects = [rng.normal(size=(draws, count)) for count in layout.levels]
    rest = rng.normal(size=(draws, n))
    values = [effects[0] @ members[0].T, effects[1] @ members[1].T, rest]
    residuals = [value - value.mean(axis=1, keepdims=True) for value in values]
    sums = [[residual @ member for residual in residuals] for member in members]
    products = [[(a * b).sum(axis=1) for b in residuals] for a in residuals]
    covariances = [member @ member.T for member in members]
    found = []
    for init_ratio in RATIOS:
        for data_ratio in RATIOS:
            scales = np.sqrt([init_ratio * layout.levels[0] / n, data_ratio * layout.levels[1] / n, 1.0])
            squares = sum(scales[a] * scales[b] * products[a][b] for a in range(3) for b in range(3))
            parts = clustered(
                sum(scale * part for scale, part in zip(scales, sums[0], strict=True)),
                sum(scale * part for scale, part in zip(scales, sums[1], strict=True)),
                np.asarray(squares),
                layout,
            )
            covariance = scales[0] ** 2 * covariances[0] + scales[1] ** 2 * covariances[1] + np.eye(n)
            weights = np.linalg.solve(covariance, np.ones(n))
            # The plain mean is the best linear one, which no residual tells anything of, and a sum of residuals.
            best = weights / weights.sum()
            shift = sum(scale * (residual @ -best) for scale, residual in zip(scales, residuals, strict=True))
            deviation = np.full(draws, 1 / np.sqrt(weights.sum()))
            found.append((parts.by_init, parts.by_data, parts.single, np.asarray(shift), deviation))
    by_init, by_data, single, shift, deviation = (np.array(column) for column in zip(*found, strict=True))
    return _Simulated(Clustered(by_init, by_data, single), shift, deviation)


def _solve(
    simulated: _Simulated, reach: Floats, places: NDArray[np.intp], weights: Floats, shape: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Levenberg–Marquardt on the relative errors of the false alarms, with a small price on bends.

    Args:
        simulated: The studies.
        reach: Half width of the interval before calibration, [ratios, draws].
        places: Nodes around each study, [4, ratios, draws].
        weights: How much each of them counts.
        shape: Number of nodes along both axes.

    Returns:
        Logarithms of the factors at the nodes, and the false alarms at each pair of ratios.
    """
    (ratios, draws), nodes = reach.shape, int(np.prod(shape))
    rows = np.arange(ratios)[:, None] * nodes
    along = [np.diff(np.eye(count), 2, axis=0) for count in shape]
    bends = np.vstack([np.kron(along[0], np.eye(shape[1])), np.kron(np.eye(shape[0]), along[1]), 0.01 * np.eye(nodes)])
    price = ROUGHNESS * bends.T @ bends

    def errors(logs: Floats) -> tuple[Floats, Floats]:
        wide = reach * np.exp((logs[places] * weights).sum(axis=0))
        above, below = (wide - simulated.shift) / simulated.deviation, (wide + simulated.shift) / simulated.deviation
        rates = (ndtr(-above) + ndtr(-below)).mean(axis=1)
        slopes = -(np.exp(-(above**2) / 2) + np.exp(-(below**2) / 2)) / np.sqrt(2 * np.pi) * wide / simulated.deviation
        jacobian = np.zeros(ratios * nodes)
        for place, weight in zip(places, weights, strict=True):
            jacobian += np.bincount((rows + place).ravel(), weights=(slopes * weight).ravel(), minlength=ratios * nodes)
        return rates / LEVEL - 1, jacobian.reshape(ratios, nodes) / (draws * LEVEL)

    logs, damping = np.zeros(nodes), 1e-3
    residual, jacobian = errors(logs)
    cost = float(residual @ residual)
    for _ in range(40):
        curvature = jacobian.T @ jacobian + price
        gradient = jacobian.T @ residual + price @ logs
        step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)) + 1e-9 * np.eye(nodes), -gradient)
        tried = logs + np.clip(step, -0.7, 0.7)
        new_residual, new_jacobian = errors(tried)
        new_cost = float(new_residual @ new_residual + tried @ price @ tried)
        if new_cost >= cost:
            damping *= 8
            if damping > 1e8:
                break
            continue
        settled = cost - new_cost < 1e-6 * cost
        logs, residual, jacobian, cost, damping = tried, new_residual, new_jacobian, new_cost, damping / 5
        if settled:
            break
    return logs, LEVEL * (residual + 1)


def _log_ratio(part: Floats, single: Floats) -> Floats:
    ratio: Floats = np.log((part + TINY * single + 1e-300) / (single + 1e-300))
    return ratio


def _nodes(values: Floats) -> Floats:
    """Ascending nodes; two around the value where there is but one, as of a seed that stands in one pair each."""
    nodes = np.unique(np.round(np.quantile(values, QUANTILES), 6))
    return nodes if nodes[-1] - nodes[0] > 1e-3 else nodes[0] + np.array([-1.0, 1.0])


def _weights(parts: Clustered, init_nodes: Floats, data_nodes: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The four nodes around each study and how much each counts; beyond the grid its edge holds."""
    found = []
    for part, nodes in ((parts.by_init, init_nodes), (parts.by_data, data_nodes)):
        place = np.clip(_log_ratio(np.asarray(part), np.asarray(parts.single)), nodes[0], nodes[-1])
        below = np.clip(np.searchsorted(nodes, place, side="right") - 1, 0, len(nodes) - 2)
        found.append((below, (place - nodes[below]) / (nodes[below + 1] - nodes[below])))
    (row, down), (column, right) = found
    first = row * len(data_nodes) + column
    places = np.stack([first, first + 1, first + len(data_nodes), first + len(data_nodes) + 1])
    return places, np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
