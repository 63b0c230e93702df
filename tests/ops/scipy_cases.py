"""What of SciPy works on traced arrays; see `numpy_cases`.

`sp` is `scipy.special`, `st` is `scipy.stats`, `sl` is `scipy.linalg`; `pos` are
positive numbers, `unit` numbers between 0 and 1.
"""

from __future__ import annotations

from tests.ops.numpy_cases import Routine, constant, smooth

_ORDER = "no formula for the derivative by an order or shape"
_C = "no rule for its derivative"

#: By where they are tried: everywhere, at positive numbers, between 0 and 1.
_REAL = (
    "erf erfc erfcx erfi dawsn expit log_expit ndtr log_ndtr exprel cosm1 exp2 exp10 "
    "expm1 cbrt sindg cosdg tandg j0 j1 i0 i1 i0e i1e ber bei wrightomega softplus"
).split()
_POSITIVE = (
    "gamma gammaln loggamma rgamma psi digamma log1p entr exp1 expi spence k0 k1 k0e "
    "k1e y0 y1 ker kei kerp keip berp beip itstruve0 itmodstruve0"
).split()
_UNIT = "erfinv erfcinv ndtri logit ellipk ellipe ellipkm1".split()
_PAIRS = (
    "xlogy xlog1py rel_entr kl_div beta betaln boxcox boxcox1p inv_boxcox inv_boxcox1p "
    "poch pseudo_huber huber powm1"
).split()
_ORDERED = "jv yv iv kv ive kve jve yve struve modstruve".split()
_MODES = "reflect mirror nearest wrap constant".split()
_POLYNOMIALS = (
    "legendre chebyt chebyu chebyc chebys laguerre hermite hermitenorm sh_legendre "
    "sh_chebyt sh_chebyu"
).split()


SPECIAL: dict[str, Routine] = {
    **{f"scipy.special.{f}": smooth(f"sp.{f}(x)") for f in _REAL},
    **{f"scipy.special.{f}": smooth(f"sp.{f}(pos)") for f in _POSITIVE},
    **{f"scipy.special.{f}": smooth(f"sp.{f}(unit)") for f in _UNIT},
    **{
        f"scipy.special.{f}": smooth(f"sp.{f}(pos, unit)", f"sp.{f}(pos, 0.7)")
        for f in _PAIRS
    },
    **{
        f"scipy.special.{f}": smooth(f"sp.{f}(1.5, pos)", f"sp.{f}(2, pos)")
        for f in _ORDERED
    },
    **{
        f"scipy.special.eval_{f}": smooth(f"sp.eval_{f}(3, x)", f"sp.eval_{f}(k5, x)")
        for f in _POLYNOMIALS
    },
    "scipy.special.eval_genlaguerre": smooth("sp.eval_genlaguerre(3, 0.5, x)"),
    "scipy.special.eval_gegenbauer": smooth("sp.eval_gegenbauer(3, 0.5, x)"),
    "scipy.special.eval_jacobi": smooth("sp.eval_jacobi(3, 0.5, 1.5, x)"),
    "scipy.special.eval_sh_jacobi": smooth("sp.eval_sh_jacobi(3, 2.5, 1.5, x)"),
    "scipy.special.gammasgn": constant("sp.gammasgn(x)"),
    "scipy.special.round": constant("sp.round(x)"),
    "scipy.special.polygamma": smooth("sp.polygamma(2, pos)", "sp.polygamma(0, pos)"),
    "scipy.special.multigammaln": smooth("sp.multigammaln(b + 2, 3)"),
    "scipy.special.binom": smooth("sp.binom(pos + 4, unit)"),
    "scipy.special.comb": smooth("sp.comb(pos + 4, 2 * unit)", "sp.comb(5, 2) * x"),
    "scipy.special.perm": smooth("sp.perm(pos + 4, 2)"),
    "scipy.special.factorial": smooth("sp.factorial(3) * x"),
    "scipy.special.gammainc": smooth("sp.gammainc(1.5, pos)", "sp.gammainc(k5, pos)"),
    "scipy.special.gammaincc": smooth("sp.gammaincc(1.5, pos)"),
    "scipy.special.gammaincinv": smooth("sp.gammaincinv(1.5, unit)"),
    "scipy.special.gammainccinv": smooth("sp.gammainccinv(1.5, unit)"),
    "scipy.special.betainc": smooth("sp.betainc(1.5, 0.7, unit)"),
    "scipy.special.betaincc": smooth("sp.betaincc(1.5, 0.7, unit)"),
    "scipy.special.betaincinv": smooth("sp.betaincinv(1.5, 0.7, unit)"),
    "scipy.special.betainccinv": smooth("sp.betainccinv(1.5, 0.7, unit)"),
    "scipy.special.chdtr": smooth("sp.chdtr(3.5, pos)"),
    "scipy.special.chdtrc": smooth("sp.chdtrc(3.5, pos)"),
    "scipy.special.chdtri": smooth("sp.chdtri(3.5, unit)"),
    "scipy.special.gdtr": smooth("sp.gdtr(pos, 1.5, unit)"),
    "scipy.special.gdtrc": smooth("sp.gdtrc(pos, 1.5, unit)"),
    "scipy.special.fdtr": smooth("sp.fdtr(2.5, 3.5, pos)"),
    "scipy.special.fdtrc": smooth("sp.fdtrc(2.5, 3.5, pos)"),
    "scipy.special.fdtri": smooth("sp.fdtri(2.5, 3.5, unit)"),
    "scipy.special.stdtr": smooth("sp.stdtr(3.5, x)"),
    "scipy.special.stdtrit": smooth("sp.stdtrit(3.5, unit)"),
    "scipy.special.pdtr": smooth("sp.pdtr(2, pos)"),
    "scipy.special.pdtrc": smooth("sp.pdtrc(2, pos)"),
    "scipy.special.bdtr": smooth("sp.bdtr(2, 5, unit.astype(float))"),
    "scipy.special.bdtrc": smooth("sp.bdtrc(2, 5, unit.astype(float))"),
    "scipy.special.nbdtr": smooth("sp.nbdtr(2, 5, unit.astype(float))"),
    "scipy.special.nbdtrc": smooth("sp.nbdtrc(2, 5, unit.astype(float))"),
    "scipy.special.ndtri_exp": smooth("sp.ndtri_exp(-pos)"),
    "scipy.special.owens_t": smooth("sp.owens_t(x, y)"),
    "scipy.special.voigt_profile": smooth("sp.voigt_profile(x, pos, unit)"),
    "scipy.special.wofz": smooth("sp.wofz(x + 1j * y).real"),
    "scipy.special.expn": smooth("sp.expn(3, pos)", "sp.expn(k5, pos)"),
    "scipy.special.sici": smooth("sp.sici(pos)[0]", "sp.sici(pos)[1]"),
    "scipy.special.shichi": smooth("sp.shichi(pos)[0]", "sp.shichi(pos)[1]"),
    "scipy.special.fresnel": smooth("sp.fresnel(x)[0] + sp.fresnel(x)[1]"),
    "scipy.special.ellipkinc": smooth("sp.ellipkinc(x, unit)"),
    "scipy.special.ellipeinc": smooth("sp.ellipeinc(x, unit)"),
    "scipy.special.ellipj": smooth(
        *(f"sp.ellipj(x, 0.3)[{k}]" for k in range(4)),
    ),
    "scipy.special.elliprd": smooth("sp.elliprd(unit, pos + 1, pos + 2)"),
    "scipy.special.elliprf": smooth("sp.elliprf(unit, pos + 1, pos + 2)"),
    "scipy.special.yn": smooth("sp.yn(2, pos)"),
    "scipy.special.kn": smooth("sp.kn(2, pos)"),
    "scipy.special.hankel1": smooth("sp.hankel1(1.5, pos).real"),
    "scipy.special.hankel2": smooth("sp.hankel2(1.5, pos).imag"),
    **{
        f"scipy.special.spherical_{f}n": smooth(
            f"sp.spherical_{f}n(2, pos)", f"sp.spherical_{f}n(0, pos, derivative=True)"
        )
        for f in "jyik"
    },
    "scipy.special (by order)": Routine(
        values={
            "sp.jv(pos, 1.5)": _ORDER,
            "sp.kv(unit, 1.5)": _ORDER,
            "sp.gammainc(pos, 1.5)": _ORDER,
            "sp.betainc(pos, 0.7, 0.3)": _ORDER,
            "sp.hyp2f1(pos, 1.5, 4.5, 0.3)": _ORDER,
            "sp.ellipj(0.3, unit)[0]": _ORDER,
        }
    ),
    "scipy.special.jvp": smooth("sp.jvp(2, pos)", "sp.jvp(1.5, pos, 2)"),
    "scipy.special.kvp": smooth("sp.kvp(2, pos)"),
    "scipy.special.ivp": smooth("sp.ivp(2, pos)"),
    "scipy.special.yvp": smooth("sp.yvp(2, pos)"),
    "scipy.special.airy": smooth(*(f"sp.airy(x)[{k}]" for k in range(4))),
    "scipy.special.airye": smooth("sp.airye(pos)[0]", "sp.airye(pos)[3]"),
    "scipy.special.itj0y0": smooth("sp.itj0y0(pos)[0]", "sp.itj0y0(pos)[1]"),
    "scipy.special.iti0k0": smooth("sp.iti0k0(pos)[0]", "sp.iti0k0(pos)[1]"),
    "scipy.special.pbdv": smooth("sp.pbdv(1.5, x)[0]", "sp.pbdv(1.5, x)[1]"),
    "scipy.special.hyp0f1": smooth("sp.hyp0f1(1.5, x)"),
    "scipy.special.hyp1f1": smooth("sp.hyp1f1(1.5, 2.5, x)"),
    "scipy.special.hyp2f1": smooth("sp.hyp2f1(0.5, 1.5, 4.5, unit)"),
    "scipy.special.hyperu": smooth("sp.hyperu(1.5, 2.5, pos)"),
    "scipy.special.zeta": smooth("sp.zeta(2.5, pos)", "sp.zeta(2) * x"),
    "scipy.special.lambertw": smooth("sp.lambertw(pos).real"),
    "scipy.special.radian": smooth("sp.radian(x, y, 3.0)"),
    "scipy.special.sinc": smooth("sp.sinc(x)"),
    "scipy.special.diric": smooth("sp.diric(pos, 3)"),
    "scipy.special.logsumexp": smooth(
        "sp.logsumexp(x)",
        "sp.logsumexp(A, axis=1)",
        "sp.logsumexp(A, axis=0, keepdims=True)",
        "sp.logsumexp(A, b=B ** 2)",
        "sp.logsumexp(x, b=y, return_sign=True)",
        "sp.logsumexp([a, b])",
    ),
    "scipy.special.softmax": smooth("sp.softmax(x)", "sp.softmax(A, axis=1)"),
    "scipy.special.log_softmax": smooth(
        "sp.log_softmax(x)", "sp.log_softmax(A, axis=0)"
    ),
    "scipy.special.legendre": smooth("sp.legendre(3)(x)"),
    **{
        f"scipy.special.{name}": Routine(values={f"sp.{name}({args})": _C})
        for name, args in {
            "agm": "pos, unit",
            "kolmogorov": "pos",
            "kolmogi": "unit",
            "smirnov": "3, unit",
            "tklmbda": "unit, 0.5",
            "chndtr": "pos, 2.0, 1.5",
            "nctdtr": "3.0, 1.5, x",
            "ncfdtr": "3.0, 2.0, 1.5, pos",
            "elliprc": "pos, unit",
            "elliprg": "pos, unit, 2.0",
            "wright_bessel": "0.5, 1.5, unit",
            "zetac": "pos + 1",
            "mathieu_a": "1, unit",
            "lpmv": "1, 2, unit",
        }.items()
    },
}

#: Distributions with their shapes, some of them traced.
_CONTINUOUS = {
    "norm": "",
    "t": "2.5 + b, ",
    "gamma": "1.5 + b, ",
    "beta": "1.5, b, ",
    "expon": "",
    "uniform": "",
    "laplace": "",
    "logistic": "",
    "lognorm": "b, ",
    "cauchy": "",
    "chi2": "3.5, ",
    "f": "3.5, 4.5, ",
    "invgamma": "2.5, ",
    "pareto": "b, ",
    "weibull_min": "1.5 + b, ",
    "weibull_max": "1.5 + b, ",
    "gumbel_r": "",
    "gumbel_l": "",
    "halfnorm": "",
    "halfcauchy": "",
    "rayleigh": "",
    "maxwell": "",
    "truncnorm": "-b, 3.0, ",
    "truncexpon": "4.0, ",
    "vonmises": "b, ",
    "skewnorm": "b, ",
    "genextreme": "0.3, ",
    "genpareto": "0.3, ",
    "invgauss": "b, ",
    "levy": "",
    "triang": "0.4, ",
    "loguniform": "0.5, 4.0, ",
    "powerlaw": "b, ",
    "nakagami": "b, ",
    "rice": "b, ",
    "exponnorm": "b, ",
    "johnsonsu": "a, b, ",
    "burr12": "2.5, b, ",
    "fisk": "2.5 + b, ",
    "hypsecant": "",
    "arcsine": "",
    "crystalball": "b, 3.0, ",
    "gennorm": "1.5 + b, ",
    "loggamma": "b, ",
    "moyal": "",
    "wald": "",
}
#: Those whose distribution function is no formula, or has a derivative by x alone.
_DENSITY_ONLY = {"vonmises", "rice", "beta", "crystalball"}
_BY_X = {
    "gamma": "2.5",
    "t": "3.5",
    "loggamma": "1.5",
    "nakagami": "1.5",
    "gennorm": "1.5",
    "skewnorm": "",
}
_DISCRETE = {
    "poisson": "1.5 + b",
    "binom": "6, 0.2 + a",
    "nbinom": "b + 2, 0.2 + a",
    "geom": "0.2 + a",
    "bernoulli": "0.2 + a",
    "logser": "0.2 + a",
    "dlaplace": "b",
    "zipf": "2.5",
    "skellam": "2.0, 3.0",
    "betabinom": "6, 1.5 + b, b",
    "planck": "b",
    "boltzmann": "b, 7",
}


def _continuous(name: str, shapes: str) -> Routine:
    d, rest = f"st.{name}", "a - 0.2, 1.3 + b"
    shown = [
        # There are no differences of -∞, which a logarithm may be.
        f"np.maximum({d}.logpdf(pos, {shapes}{rest}), -50)",
        f"{d}.pdf(pos[:, None] - 0.9, {shapes}loc=0.1, scale=pos)",
        f"np.sum(np.maximum({d}({shapes}scale=b).logpdf(unit), -50))",
    ]
    if name in _BY_X:
        shapes = _BY_X[name] and f"{_BY_X[name]}, "
    if name not in _DENSITY_ONLY and name != "skewnorm":
        shown += [
            f"np.maximum({d}.{f}(unit + 0.1, {shapes}0.0, 1.2), -50)"
            for f in ("cdf", "logcdf", "sf", "logsf")
        ]
    return smooth(*shown)


STATS: dict[str, Routine] = {
    **{f"scipy.stats.{d}": _continuous(d, s) for d, s in _CONTINUOUS.items()},
    **{
        f"scipy.stats.{d}": smooth(
            f"np.maximum(st.{d}.logpmf(k5, {shapes}), -50) * b",
            f"st.{d}({shapes}).pmf(k3) * b",
        )
        for d, shapes in _DISCRETE.items()
    },
    "scipy.stats.hypergeom": smooth("st.hypergeom.logpmf(k3, 20, 7, 12) * x[:3]"),
    "scipy.stats, ppf and isf": smooth(
        "st.norm.ppf(unit, a, b)",
        "st.norm.isf(unit, a, b)",
        "st.expon.ppf(unit, a, b)",
        "st.gamma.ppf(unit, 2.5, a, b)",
        "st.weibull_min(1.5 + b).ppf(unit)",
        "st.cauchy.ppf(unit, a, b)",
        "st.logistic.ppf(unit, a, b)",
        "st.lognorm.ppf(unit, b)",
    ),
    "scipy.stats, moments": smooth(
        "st.gamma(pos, scale=b).mean()",
        "st.gamma.var(pos, scale=b)",
        "st.norm(a, b).std()",
        "st.expon.median(a, b)",
        "st.norm.interval(0.9, a, b)",
        "st.norm.entropy(a, b)",
        "st.gamma(pos).entropy()",
    ),
    "scipy.stats.multivariate_normal": smooth(
        "st.multivariate_normal.logpdf(B, A[0], np.eye(4))",
        "st.multivariate_normal(x, b).pdf(y)",
        "st.multivariate_normal.logpdf(B, A[0], S @ S.T + np.eye(4))",
    ),
    "scipy.stats.multivariate_t": smooth(
        "st.multivariate_t.logpdf(B, A[0], S @ S.T + np.eye(4), df=b + 2)"
    ),
    "scipy.stats.dirichlet": smooth(
        "st.dirichlet.logpdf(unit / np.sum(unit), pos)",
        "st.dirichlet(pos).pdf(unit / np.sum(unit))",
    ),
    "scipy.stats.wishart": smooth(
        "st.wishart.logpdf(S @ S.T + np.eye(4), 5.5 + b, np.eye(4))"
    ),
    "scipy.stats.multinomial": smooth(
        "st.multinomial.logpmf([1, 2, 0, 1, 1], 5, unit / np.sum(unit))"
    ),
    "scipy.stats.zscore": smooth("st.zscore(x)", "st.zscore(A, axis=1, ddof=1)"),
    "scipy.stats.gmean": smooth("st.gmean(pos)"),
    "scipy.stats.hmean": smooth("st.hmean(pos)"),
    "scipy.stats.skew": smooth("st.skew(x)"),
    "scipy.stats.kurtosis": smooth("st.kurtosis(x)"),
    "scipy.stats.pearsonr": smooth("st.pearsonr(x, y)[0]"),
    "scipy.stats.entropy": smooth("st.entropy(pos)", "st.entropy(pos, unit)"),
    "scipy.stats.levy_stable": Routine(
        refused={"st.levy_stable.pdf(x, 1.5, a)": "its shape depends on data"}
    ),
    "scipy.stats.studentized_range": Routine(
        refused={"st.studentized_range.cdf(pos, 3, 5)": "SciPy integrates it"}
    ),
}

OTHERS: dict[str, Routine] = {
    "scipy.integrate.trapezoid": smooth("si.trapezoid(x, y)", "si.trapezoid(A, dx=a)"),
    "scipy.integrate.simpson": smooth("si.simpson(x, dx=a)", "si.simpson(A, axis=0)"),
    "scipy.integrate.cumulative_trapezoid": smooth(
        "si.cumulative_trapezoid(x, y)", "si.cumulative_trapezoid(x, initial=0)"
    ),
    "scipy.integrate.cumulative_simpson": smooth("si.cumulative_simpson(x, dx=a)"),
    "scipy.integrate.romb": smooth("si.romb(x)"),
    "scipy.integrate.fixed_quad": smooth(
        "si.fixed_quad(lambda t: np.sin(a * t), 0, b)[0]"
    ),
    "scipy.signal.convolve": smooth("sg.convolve(x, y[:3])"),
    "scipy.signal.correlate": smooth("sg.correlate(x, y[:3])"),
    "scipy.signal.fftconvolve": smooth("sg.fftconvolve(x, y[:3])"),
    "scipy.signal.lfilter": smooth(
        "sg.lfilter([0.2, 0.3, a], [1.0, -0.5], x)",
        "sg.lfilter([1.0, a], 1.0, A)",
        "sg.lfilter(y[:2], pos[:3], A, axis=0)",
        "sg.lfilter([b], [2.0, 0.5, a], x, zi=y[:2])",
    ),
    "scipy.signal.filtfilt": smooth(
        "sg.filtfilt([0.1, a], [1.0, -0.3], np.tile(x, 3))",
    ),
    "scipy.signal.sosfilt": smooth(
        "sg.sosfilt([[0.1, 0.2, 0.1, 1, -0.5, 0.1], [1, a, 0, 1, 0.3, 0]], x)",
        "sg.sosfilt([[0.1, 0.2, 0.1, 1, -0.5, 0.1]], x, zi=y[None, :2])[1]",
    ),
    "scipy.signal.convolve2d": smooth(
        "sg.convolve2d(A, S)",
        "sg.convolve2d(A, S[:2, :3], 'same')",
        "sg.convolve2d(A, S[:2, :2], mode='valid')",
        "sg.convolve2d(A[:2], S, 'valid')",
        "sg.convolve2d(A, S[:2, :2], boundary='symm')",
        "sg.convolve2d(A, S[:3, :2], 'same', 'wrap')",
        "sg.convolve2d(A, S[:2, :2], fillvalue=2.0)",
    ),
    "scipy.signal.correlate2d": smooth(
        "sg.correlate2d(A, S)",
        "sg.correlate2d(A, S[:2, :3], 'same')",
        "sg.correlate2d(A[:2], S, 'valid')",
    ),
    "scipy.signal.upfirdn": smooth("sg.upfirdn([1, 2, a], x, 3, 2)"),
    "scipy.signal.resample_poly": smooth("sg.resample_poly(x, 3, 2)"),
    "scipy.signal.medfilt": smooth("sg.medfilt(x)", "sg.medfilt(A, [1, 3])"),
    "scipy.signal.savgol_filter": smooth("sg.savgol_filter(x, 3, 1)"),
    **{
        f"scipy.ndimage.{f}": smooth(
            f"nd.{f}(x, y[:3])",
            *(f"nd.{f}(A, y[:4], 0, mode='{m}')" for m in _MODES),
            f"nd.{f}(A, y[:2], mode='constant', cval=a, origin=-1)",
        )
        for f in ("correlate1d", "convolve1d")
    },
    **{
        f"scipy.ndimage.{f}": smooth(
            f"nd.{f}(A, S[:3, :3])",
            *(f"nd.{f}(A, S[:2, :3], mode='{m}')" for m in _MODES),
            f"nd.{f}(T, T[:1, :2, :2], origin=[0, -1, 0])",
        )
        for f in ("correlate", "convolve")
    },
    **{
        f"scipy.ndimage.{f}": smooth(f"nd.{f}(x, {more})", f"nd.{f}(A, {more})")
        for f, more in {
            "gaussian_filter1d": "0.7",
            "gaussian_filter": "0.7, mode='wrap'",
            "gaussian_laplace": "0.7",
            "gaussian_gradient_magnitude": "0.7",
            "uniform_filter1d": "3",
            "uniform_filter": "2",
            "maximum_filter": "3",
            "minimum_filter1d": "2, mode='constant', cval=0.1",
            "median_filter": "3",
            "sobel": "0",
            "prewitt": "0",
            "laplace": "mode='mirror'",
        }.items()
    },
    "scipy.ndimage.map_coordinates": smooth(
        "nd.map_coordinates(A, [unit + 0.5, 2 * unit], order=1)",
        "nd.map_coordinates(A, [3 * unit, 2 * unit], order=1, mode='nearest')",
        "nd.map_coordinates(A, [[0.2, 1.7], [1.4, 2.6]], order=0)",
        refused={"nd.map_coordinates(A, [unit, unit])": "cubic ones"},
    ),
    "scipy.signal.hilbert": smooth("np.abs(sg.hilbert(x))"),
    "scipy.signal.detrend": smooth("sg.detrend(x)"),
    "scipy.signal.resample": smooth("sg.resample(x, 7)"),
    "scipy.interpolate.interp1d": smooth(
        "ip.interp1d(np.arange(5.0), y)(pos)", "ip.interp1d(np.arange(5.0), x)(unit)"
    ),
    "scipy.interpolate.CubicSpline": smooth(
        "ip.CubicSpline(k5, x)(3 * unit)",
        "ip.CubicSpline(pos.cumsum(), x, bc_type='natural')(3 * unit + 1, 1)",
        "ip.CubicSpline(k5, A.ravel()[:10].reshape(5, 2), bc_type='clamped')(pos)",
        "ip.CubicSpline(k5, x).integrate(a, b)",
        "ip.CubicSpline(k5, x).antiderivative()(unit)",
        "ip.CubicSpline(k5, x, extrapolate=False).derivative()(unit)",
    ),
    **{
        f"scipy.interpolate.{f}": smooth(f"ip.{f}(k5, x)(3 * unit)")
        for f in (
            "PchipInterpolator Akima1DInterpolator KroghInterpolator "
            "BarycentricInterpolator"
        ).split()
    },
    "scipy.interpolate.PPoly": smooth("ip.PPoly(A[:, :3], [0, 1, 2, 4.0])(pos)"),
    "scipy.interpolate.BSpline": smooth(
        "ip.BSpline([0, 0, 0, 1, 2, 4, 4, 4.0], x, 2)(pos)",
        "ip.BSpline([0, 0, 0, 1, 2, 4, 4, 4.0], x, 2).derivative()(pos)",
    ),
    "scipy.interpolate.make_interp_spline": smooth(
        "ip.make_interp_spline(k5, x)(3 * unit)",
        "ip.make_interp_spline(k5, x, k=2)(3 * unit)",
        "ip.make_interp_spline(k5, x, bc_type='natural')(3 * unit)",
    ),
    "scipy.interpolate.splev": smooth(
        "ip.splev(unit, ip.splrep(np.arange(5.0), np.arange(5.0) ** 3))",
        "ip.splev(unit, ([0, 0, 0, 0, 2, 4, 4, 4, 4.0], x, 3), der=1)",
    ),
    **{
        f"scipy.fft.{f}": smooth(f"np.abs(sf.{f}(x))")
        for f in "fft ifft rfft hfft fftn".split()
    },
    "scipy.fft.irfft": smooth("sf.irfft(x)"),
    "scipy.fft.dct": Routine(refused={"sf.dct(x)": "not there yet"}),
    "scipy.spatial.distance.cdist": smooth(
        "sd.cdist(A, B)",
        "sd.cdist(A, B, 'minkowski', p=3)",
        "sd.cdist(A, B, 'mahalanobis', VI=S @ S.T)",
        "sd.cdist(A, B, 'seuclidean', V=np.ones(4) + a)",
        *(
            f"sd.cdist(A, B, '{m}')"
            for m in (
                "sqeuclidean cityblock chebyshev cosine correlation canberra braycurtis"
            ).split()
        ),
    ),
    "scipy.spatial.distance.pdist": smooth("sd.pdist(A)", "sd.pdist(A, 'cosine')"),
    "scipy.spatial.distance.squareform": smooth(
        "sd.squareform(sd.pdist(A))",
        "sd.squareform(A[:, :3] + A[:, :3].T - 1, checks=0)",
    ),
    **{
        f"scipy.spatial.distance.{f}": smooth(f"sd.{f}(x, y)")
        for f in (
            "sqeuclidean cosine correlation cityblock chebyshev canberra braycurtis"
        ).split()
    },
    "scipy.optimize.rosen": smooth(
        "so.rosen(x)", "so.rosen_der(x)", "so.rosen_hess(x)", "so.rosen_hess_prod(x, y)"
    ),
}
