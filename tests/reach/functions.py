"""Sixty numerical functions of six packages, chosen from their documentation.

The list was frozen before any of their sources was read and before any was staged: it
measures how far `tracejit` reaches on code that it was not made for, so nothing here is
to be developed against. A package that is not installed leaves its rows out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

Row = tuple[str, Callable[..., Any], tuple[Any, ...]]


def numbers(*shape: int, seed: int = 0, low: float = 0.2, high: float = 0.9) -> Any:
    """Reproducible numbers between `low` and `high`."""
    return np.random.default_rng(seed).uniform(low, high, shape)


def spd(n: int, seed: int = 0) -> Any:
    """A symmetric positive definite matrix."""
    a = numbers(n, n, seed=seed)
    return a @ a.T + n * np.eye(n)


def sklearn() -> Iterator[Row]:
    metrics = import_module("sklearn.metrics")
    pairwise = import_module("sklearn.metrics.pairwise")
    kernels = import_module("sklearn.gaussian_process.kernels")
    covariance = import_module("sklearn.covariance")
    preprocessing = import_module("sklearn.preprocessing")
    y, p, X = numbers(20, seed=1), numbers(20, seed=2), numbers(8, 3, seed=3)
    labels = np.arange(20) % 2
    yield "mean_squared_error", lambda p: metrics.mean_squared_error(y, p), (p,)
    yield "log_loss", lambda p: metrics.log_loss(labels, p), (p,)
    yield "r2_score", lambda p: metrics.r2_score(y, p), (p,)
    yield "mean_gamma_deviance", lambda p: metrics.mean_gamma_deviance(y, p), (p,)
    yield "hinge_loss", lambda p: metrics.hinge_loss(labels, p), (p,)
    yield "euclidean_distances", pairwise.euclidean_distances, (X, numbers(5, 3))
    yield "rbf_kernel", pairwise.rbf_kernel, (X, numbers(5, 3), 0.7)
    yield "cosine_similarity", pairwise.cosine_similarity, (X, numbers(5, 3))
    yield "scale", preprocessing.scale, (X,)
    yield "RBF", lambda X: kernels.RBF(0.8)(X), (X,)
    yield "log_likelihood", covariance.log_likelihood, (spd(3), spd(3, seed=1))
    groups = np.arange(8) % 3
    yield (
        "calinski_harabasz_score",
        lambda X: metrics.calinski_harabasz_score(X, groups),
        (X,),
    )


def statsmodels() -> Iterator[Row]:
    measures = import_module("statsmodels.tools.eval_measures")
    norms = import_module("statsmodels.robust.norms")
    scale = import_module("statsmodels.robust.scale")
    tests = import_module("statsmodels.stats.stattools")
    series = import_module("statsmodels.tsa.stattools")
    moments = import_module("statsmodels.stats.moment_helpers")
    families = import_module("statsmodels.genmod.families")
    api = import_module("statsmodels.api")
    x, y, X = numbers(20, seed=4), numbers(20, seed=5), numbers(20, 3, seed=6)
    counts, labels = np.arange(20) % 5, np.arange(20) % 2
    poisson, logit = families.Poisson(), api.Logit(labels, X)
    ols = api.OLS(y, X)
    yield "rmse", measures.rmse, (x, y)
    yield "medianabs", measures.medianabs, (x, y)
    yield "TukeyBiweight.rho", lambda x: norms.TukeyBiweight().rho(x), (6 * x - 3,)
    yield "mad", scale.mad, (x,)
    yield "durbin_watson", tests.durbin_watson, (x,)
    yield "jarque_bera", lambda x: tests.jarque_bera(x)[0], (x,)
    yield "acovf", lambda x: series.acovf(x, fft=False), (x,)
    yield "cov2corr", moments.cov2corr, (spd(4),)
    yield "Poisson.deviance", lambda mu: poisson.deviance(counts, mu), (1 + y,)
    yield "links.CLogLog", families.links.CLogLog(), (x,)
    yield "Logit.loglike", logit.loglike, (numbers(3, seed=7),)
    yield "OLS.loglike", ols.loglike, (numbers(3, seed=8),)


def skimage() -> Iterator[Row]:
    color = import_module("skimage.color")
    metrics = import_module("skimage.metrics")
    exposure = import_module("skimage.exposure")
    filters = import_module("skimage.filters")
    a, b, rgb = numbers(9, 9), numbers(9, 9, seed=1), numbers(4, 4, 3, seed=2)
    yield "rgb2hsv", color.rgb2hsv, (rgb,)
    yield "rgb2lab", color.rgb2lab, (rgb,)
    yield "rgb2gray", color.rgb2gray, (rgb,)
    yield (
        "structural_similarity",
        lambda a, b: metrics.structural_similarity(a, b, data_range=1.0),
        (a, b),
    )
    yield "normalized_root_mse", metrics.normalized_root_mse, (a, b)
    yield "adjust_sigmoid", exposure.adjust_sigmoid, (a,)
    yield "adjust_gamma", lambda a: exposure.adjust_gamma(a, 1.7), (a,)
    yield "sobel", filters.sobel, (a,)


def lmfit() -> Iterator[Row]:
    shapes = import_module("lmfit.lineshapes")
    x = numbers(15, low=-2.0, high=4.0)
    yield "gaussian", shapes.gaussian, (x, 1.2, 0.7, 0.9)
    yield "voigt", shapes.voigt, (x, 1.2, 0.7, 0.9, 0.4)
    yield "pvoigt", shapes.pvoigt, (x, 1.2, 0.7, 0.9, 0.4)
    yield "moffat", shapes.moffat, (x, 1.2, 0.7, 0.9, 1.3)
    yield "pearson7", shapes.pearson7, (x, 1.2, 0.7, 0.9, 1.3)
    yield "breit_wigner", shapes.breit_wigner, (x, 1.2, 0.7, 0.9, 1.1)
    yield "skewed_gaussian", shapes.skewed_gaussian, (x, 1.2, 0.7, 0.9, 0.5)
    yield "doniach", shapes.doniach, (x, 1.2, 0.7, 0.9, 0.2)
    yield (
        "step",
        lambda x, a, c, s: shapes.step(x, a, c, s, form="erf"),
        (x, 1.2, 0.7, 0.9),
    )
    yield "lognormal", shapes.lognormal, (1.0 + np.abs(x), 1.2, 0.7, 0.9)


def astropy() -> Iterator[Row]:
    stats = import_module("astropy.stats")
    angles = import_module("astropy.coordinates.angles")
    models = import_module("astropy.modeling.functional_models")
    x, y = numbers(12, seed=9), numbers(12, seed=10)
    yield "circmean", stats.circmean, (x,)
    yield "circvar", stats.circvar, (x,)
    yield "circcorrcoef", stats.circcorrcoef, (x, y)
    yield "biweight_location", stats.biweight_location, (x,)
    yield "biweight_midvariance", stats.biweight_midvariance, (x,)
    yield "mad_std", stats.mad_std, (x,)
    yield "angular_separation", angles.angular_separation, (0.1, 0.2, 0.5, 0.9)
    yield "position_angle", angles.position_angle, (0.1, 0.2, 0.5, 0.9)
    yield (
        "Gaussian2D.evaluate",
        models.Gaussian2D.evaluate,
        (x, y, 1.2, 0.1, 0.3, 0.8, 0.7, 0.4),
    )
    yield "Sersic1D.evaluate", models.Sersic1D.evaluate, (x, 1.1, 0.8, 2.5)


def filterpy() -> Iterator[Row]:
    kalman = import_module("filterpy.kalman")
    stats = import_module("filterpy.stats")
    common = import_module("filterpy.common")
    x, P, F = numbers(3, seed=11), spd(3), numbers(3, 3, seed=12)
    H, R, z = numbers(2, 3, seed=13), spd(2), numbers(2, seed=14)
    zs = numbers(6, 2, seed=15)
    Wm = np.full(7, 1 / 7)

    def filtered(F: Any, H: Any) -> Any:
        kf = kalman.KalmanFilter(dim_x=3, dim_z=2)
        kf.F, kf.H = F, H
        for z in zs:
            kf.predict()
            kf.update(z)
        return kf.x

    def points(x: Any, P: Any) -> Any:
        return kalman.MerweScaledSigmaPoints(3, 0.3, 2.0, 0.1).sigma_points(x, P)

    yield "predict", lambda x, P, F: kalman.predict(x, P, F, spd(3)), (x, P, F)
    yield "update", lambda x, P, H: kalman.update(x, P, z, R, H), (x, P, H)
    yield "KalmanFilter", filtered, (F, H)
    yield "sigma_points", points, (x, P)
    yield (
        "unscented_transform",
        lambda s: kalman.unscented_transform(s, Wm, Wm),
        (numbers(7, 3, seed=16),),
    )
    yield "mahalanobis", stats.mahalanobis, (x, numbers(3, seed=17), P)
    yield "multivariate_gaussian", stats.multivariate_gaussian, (x, x[::-1].copy(), P)
    yield "log_likelihood", stats.log_likelihood, (z, x, P, H, R)
    yield (
        "runge_kutta4",
        lambda y, x: common.runge_kutta4(y, x, 0.1, lambda x, y: x * np.sin(y)),
        (0.4, 0.3),
    )
    yield (
        "van_loan_discretization",
        lambda F, G: common.van_loan_discretization(F, G, 0.1),
        (F, numbers(3, 2, seed=18)),
    )


PACKAGES = (sklearn, statsmodels, skimage, lmfit, astropy, filterpy)
