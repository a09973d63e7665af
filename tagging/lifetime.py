"""终身价值 (lifetime value): BG/NBD for how often and for how long somebody buys, Gamma-Gamma for how much. Pure.

A brand's history is three numbers per customer, all measured from the first order: `x` repeat orders (days with an
order, the first not counted), `t_x` time of the last of them (0 without), `t` time until now. Time is in any one unit;
parameters, horizons and expectations are in the same (the product uses weeks, as the papers do).

Sources:
    Fader, Hardie, Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD Model",
    Marketing Science 24 (2): equations (6) likelihood, (10) conditional expectation.
    Fader, Hardie, Lee (2005), "Implementing the BG/NBD Model for Customer Base Analysis in Excel" (notes/004).
    Fader, Hardie (2008), "Computing P(alive) Using the BG/NBD Model" (notes/021).
    Fader, Hardie (2013), "The Gamma-Gamma Model of Monetary Value" (notes/025): equations (1a), (5).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize
from scipy.special import betaln, gammaln, hyp2f1

Array = np.ndarray[Any, np.dtype[np.float64]]

MIN_CUSTOMERS = 100  # with fewer the parameters are chance
_BOUNDS = (np.log(1e-4), np.log(1e4))  # of a parameter, after time or money was scaled to about 1


class CannotFitError(ValueError):
    """The history is too small, or all alike, or the search found no maximum."""


class Purchasing(NamedTuple):
    """BG/NBD. `r`, `alpha`: how rates differ between people; `a`, `b`: how the chance to drop out does.

    Attributes:
        log_likelihood: of all customers it was fitted on; nan when the parameters were given by hand.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float = float("nan")


class Spending(NamedTuple):
    """Gamma-Gamma: `p`, `q` shapes, `gamma` scale, in the unit of the money it was fitted on."""

    p: float
    q: float
    gamma: float
    log_likelihood: float = float("nan")


# ---- how often, how long


def purchasing_log_likelihood(model: Purchasing, x: Array, t_x: Array, t: Array) -> Array:
    """One number per customer."""
    return _purchasing(model, x, t_x, t, *np.unique(x, return_inverse=True))


def _purchasing(model: Purchasing, x: Array, t_x: Array, t: Array, kinds: Array, place: Any) -> Array:
    """`kinds`: the different numbers of repeat orders, few; `place`: which of them is each customer's. What depends on
    them alone, the gamma functions, is worked out once for each."""
    r, alpha, a, b = model[:4]
    common = gammaln(r + kinds) - gammaln(r) + r * np.log(alpha) + betaln(a, b + kinds) - betaln(a, b)
    # somebody without a repeat order cannot have dropped out after one
    dropped = np.where(kinds > 0, np.log(a) - np.log(np.where(kinds > 0, b + kinds - 1, 1.0)), -np.inf)
    still = -(r + x) * np.log(alpha + t)
    gone = dropped[place] - (r + x) * np.log(alpha + t_x)
    return common[place] + np.logaddexp(still, gone)


def fit_purchasing(x: Array, t_x: Array, t: Array) -> Purchasing:
    """The most likely parameters of a brand's history.

    Raises:
        CannotFitError: fewer than `MIN_CUSTOMERS` people, nobody with a repeat order, or no maximum.
    """
    x, t_x, t = (np.asarray(values, dtype=float) for values in (x, t_x, t))
    if len(x) < MIN_CUSTOMERS or not x.any():
        raise CannotFitError("too few customers with repeat orders")
    scale = float(np.mean(t)) or 1.0
    cells, n = np.unique(np.column_stack([x, t_x / scale, t / scale]), axis=0, return_counts=True)
    cx, ct_x, ct = (np.ascontiguousarray(column) for column in cells.T)
    kinds, place = np.unique(cx, return_inverse=True)

    def cost(logs: Array) -> float:
        return -float(n @ _purchasing(Purchasing(*np.exp(logs)), cx, ct_x, ct, kinds, place)) / len(x)

    r, alpha, a, b = map(float, _minimum(cost, np.log([0.5, 0.5, 0.5, 2.0])))
    model = Purchasing(r, alpha * scale, a, b)
    return model._replace(log_likelihood=float(purchasing_log_likelihood(model, x, t_x, t).sum()))


def alive_ratio(model: Purchasing, x: Array, t_x: Array, t: Array) -> Array:
    """Probability, 0 to 1, that somebody still buys; 1 for everybody without a repeat order, as the model has it."""
    r, alpha, a, b = model[:4]
    x, t_x, t = (np.asarray(values, dtype=float) for values in (x, t_x, t))
    odds = a / np.where(x > 0, b + x - 1, 1.0) * np.exp((r + x) * (np.log(alpha + t) - np.log(alpha + t_x)))
    return np.where(x > 0, 1 / (1 + odds), 1.0)


def expected_orders(model: Purchasing, horizon: float, x: Array, t_x: Array, t: Array) -> Array:
    """Orders to expect of each customer in the next `horizon` units of time."""
    r, alpha, a, b = model[:4]
    x, t_x, t = (np.asarray(values, dtype=float) for values in (x, t_x, t))
    a = a + 1e-9 if abs(a - 1) < 1e-9 else a  # the formula has a hole there, the expectation has not
    z = horizon / (alpha + t + horizon)
    left = ((alpha + t) / (alpha + t + horizon)) ** (r + x)
    orders = (a + b + x - 1) / (a - 1) * (1 - left * hyp2f1(r + x, b + x, a + b + x - 1, z))
    return orders * alive_ratio(model, x, t_x, t)


# ---- how much


def spending_log_likelihood(model: Spending, x: Array, mean: Array) -> Array:
    """One number per customer; `mean` is what a repeat order was worth on average, above 0."""
    return _spending(model, x, mean, *np.unique(x, return_inverse=True))


def _spending(model: Spending, x: Array, mean: Array, kinds: Array, place: Any) -> Array:
    """As `_purchasing`."""
    p, q, gamma = model[:3]
    common = (
        gammaln(p * kinds + q)
        - gammaln(p * kinds)
        - gammaln(q)
        + q * np.log(gamma)
        + p * kinds * np.log(kinds)
    )
    return common[place] + (p * x - 1) * np.log(mean) - (p * x + q) * np.log(gamma + mean * x)


def fit_spending(x: Array, mean: Array) -> Spending:
    """The most likely parameters; customers without repeat orders or with a mean of 0 are left out.

    Raises:
        CannotFitError: fewer than `MIN_CUSTOMERS` are left, all spend the same, or no maximum.
    """
    x, mean = np.asarray(x, dtype=float), np.asarray(mean, dtype=float)
    known = (x > 0) & (mean > 0)
    x, mean = x[known], mean[known]
    if len(x) < MIN_CUSTOMERS or np.ptp(mean) == 0:
        raise CannotFitError("too few customers with repeat orders of different worth")
    scale = float(np.mean(mean))
    kinds, place = np.unique(x, return_inverse=True)

    def cost(logs: Array) -> float:
        return -float(_spending(Spending(*np.exp(logs)), x, mean / scale, kinds, place).mean())

    p, q, gamma = map(float, _minimum(cost, np.log([2.0, 3.0, 1.0])))
    model = Spending(p, q, gamma * scale)
    return model._replace(log_likelihood=float(spending_log_likelihood(model, x, mean).sum()))


def expected_spend(model: Spending, x: Array, mean: Array) -> Array:
    """Worth to expect of one further order: between the brand's mean and the customer's own, by how much is known."""
    p, q, gamma = model[:3]
    x, mean = np.asarray(x, dtype=float), np.asarray(mean, dtype=float)
    own = np.where((x > 0) & (mean > 0), x, 0.0)
    return p * (gamma + own * mean) / (p * own + q - 1)


def _minimum(cost: Any, start: Array) -> Array:
    """Parameters (not their logarithms) where `cost` is least."""
    found = optimize.minimize(cost, start, method="L-BFGS-B", bounds=[_BOUNDS] * len(start))
    refined = optimize.minimize(
        cost, found.x, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000}
    )
    best = refined if refined.fun <= found.fun else found
    if (
        not np.isfinite(best.fun)
        or np.any(best.x <= _BOUNDS[0] + 1e-6)
        or np.any(best.x >= _BOUNDS[1] - 1e-6)
    ):
        raise CannotFitError("no maximum of the likelihood within bounds")
    return np.exp(best.x)
