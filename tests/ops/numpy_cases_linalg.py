"""Expressions of the table of support: linear algebra and Fourier transforms.

Vectors are asked for what does not depend on their signs and phases.
"""

from __future__ import annotations

from tests.ops.numpy_cases import Routine, constant, smooth

_KIND = "not there yet"

LINALG = {
    "linalg.solve": smooth(
        "np.linalg.solve(S, A.T)",
        "np.linalg.solve(S, x[:4])",
        "np.linalg.solve(S, np.ones((2, 4, 3)))",
    ),
    "linalg.inv": smooth("np.linalg.inv(S)", "np.linalg.inv(T @ T.swapaxes(1, 2))"),
    "linalg.det": smooth("np.linalg.det(S)", "np.linalg.det(T[:, :, :3])"),
    "linalg.slogdet": smooth("np.linalg.slogdet(S)", "np.linalg.slogdet(S).logabsdet"),
    "linalg.cholesky": smooth(
        "np.linalg.cholesky(S @ S.conj().T + 9 * np.eye(4))",
        "np.linalg.cholesky(S @ S.conj().T + 9 * np.eye(4), upper=True)",
    ),
    "linalg.qr": smooth(
        "tuple(np.linalg.qr(S))",
        "np.linalg.qr(A.T).R",
        "np.linalg.qr(A)[0]",
        "np.linalg.qr(A.T, mode='complete').Q",
        "np.linalg.qr(T, 'r')",
        refused={"np.linalg.qr(A, 'raw')": _KIND},
    ),
    "linalg.eig": smooth("np.linalg.eig(S).eigenvalues + 0j"),
    "linalg.eigvals": smooth("np.linalg.eigvals(S) + 0j"),
    "linalg.eigh": smooth(
        "np.abs(np.linalg.eigh(S)[1])", "np.linalg.eigh(S, UPLO='U').eigenvalues"
    ),
    "linalg.eigvalsh": smooth(
        "np.linalg.eigvalsh(S)", "np.linalg.eigvalsh(T[..., :3])"
    ),
    "linalg.svd": smooth(
        "np.linalg.svd(A, compute_uv=False)",
        "np.abs(np.linalg.svd(A, full_matrices=False)[0])",
        "np.abs(np.linalg.svd(A)[2])",
        "np.linalg.svd(S, hermitian=True).S",
    ),
    "linalg.svdvals": smooth("np.linalg.svdvals(T)"),
    "linalg.pinv": smooth("np.linalg.pinv(A)", "np.linalg.pinv(T, rcond=1e-10)"),
    "linalg.lstsq": smooth("np.linalg.lstsq(A.T, x[:4])[0]", "np.linalg.lstsq(A, B)"),
    "linalg.norm": smooth(
        "np.linalg.norm(x)",
        "np.linalg.norm(A)",
        "np.linalg.norm(A, 'nuc')",
        "np.linalg.norm(A, 2)",
        "np.linalg.norm(A, 1, axis=0)",
        "np.linalg.norm(A, np.inf, keepdims=True)",
        "np.linalg.norm(x, 3)",
        "np.linalg.norm(T, axis=(0, 2))",
    ),
    "linalg.vector_norm": smooth("np.linalg.vector_norm(T, axis=(0, 1), ord=3)"),
    "linalg.matrix_norm": smooth("np.linalg.matrix_norm(T, ord='nuc')"),
    "linalg.cond": smooth("np.linalg.cond(S)", "np.linalg.cond(S, 1)"),
    "linalg.matrix_power": smooth(
        "np.linalg.matrix_power(S, 3)", "np.linalg.matrix_power(S, -2)"
    ),
    "linalg.matrix_rank": constant("np.linalg.matrix_rank(A)"),
    "linalg.multi_dot": smooth("np.linalg.multi_dot([x[:3], A, S, B.T])"),
    "linalg.tensorsolve": smooth(
        "np.linalg.tensorsolve(S.reshape(2, 2, 4), A[:2, :2])"
    ),
    "linalg.tensorinv": smooth("np.linalg.tensorinv(S.reshape(4, 2, 2), ind=1)"),
    "linalg.trace": smooth("np.linalg.trace(T)"),
    "linalg.diagonal": smooth("np.linalg.diagonal(T, offset=1)"),
    "linalg.outer": smooth("np.linalg.outer(x, y)"),
    "linalg.cross": smooth("np.linalg.cross(A[:, :3], B[:, 1:])"),
    "linalg.matmul": smooth("np.linalg.matmul(T, S)"),
    "linalg.vecdot": smooth("np.linalg.vecdot(A, B)"),
    "linalg.tensordot": smooth("np.linalg.tensordot(A, B, axes=2)"),
    "linalg.matrix_transpose": smooth("np.linalg.matrix_transpose(T)"),
}
LINALG = {f"np.{name}": routine for name, routine in LINALG.items()}


def _transform(name: str, argument: str, *options: str) -> Routine:
    calls = [argument, *(f"{argument}, {option}" for option in options)]
    return smooth(*(f"np.fft.{name}({call})" for call in calls))


_LINE = ("n=8", "n=3", "norm='ortho'")
_PLANE = ("norm='forward'", "s=(2, 5), axes=(0, 1)")

#: SciPy's, where it is installed, as `sl`.
SCIPY = {
    "solve": smooth("sl.solve(S, A.T)", "sl.solve(S, x[:4], assume_a='sym')"),
    "inv": smooth("sl.inv(S)"),
    "det": smooth("sl.det(S)"),
    "cholesky": smooth("sl.cholesky(S @ S.T.conj() + 9 * np.eye(4), lower=True)"),
    "cho_solve": smooth(
        "sl.cho_solve(sl.cho_factor(S @ S.T.conj() + 9 * np.eye(4)), A.T)"
    ),
    "solve_triangular": smooth(
        "sl.solve_triangular(S, A.T, lower=True)",
        "sl.solve_triangular(S, x[:4], trans='C', unit_diagonal=True)",
    ),
    "lu": smooth(
        "sl.lu(S)[1:]", refused={"sl.lu(A)": "only of square matrices, so far"}
    ),
    "lu_solve": smooth("sl.lu_solve(sl.lu_factor(S), A.T, trans=1)"),
    "qr": smooth(
        "sl.qr(A.T)",
        "sl.qr(A, mode='economic')",
        refused={"sl.qr(S, pivoting=True)": _KIND},
    ),
    "eigh": smooth(
        "sl.eigh(S, eigvals_only=True)",
        "sl.eigh(S, S @ S.T.conj() + 9 * np.eye(4), eigvals_only=True)",
        refused={"sl.eigh(S, S, type=2)": _KIND},
    ),
    "eigvalsh": smooth("sl.eigvalsh(S, subset_by_index=[1, 2])"),
    "eig": smooth("sl.eig(S)[0]", refused={"sl.eig(S, left=True)": _KIND}),
    "eigvals": smooth("sl.eigvals(S)"),
    "svd": smooth("np.abs(sl.svd(A)[0])", "sl.svd(A, full_matrices=False)[1]"),
    "svdvals": smooth("sl.svdvals(A)"),
    "pinv": smooth("sl.pinv(A)"),
    "pinvh": smooth("sl.pinvh(S + S.T.conj())"),
    "lstsq": smooth("sl.lstsq(A.T, x[:4])[0]"),
    "norm": smooth("sl.norm(A)", "sl.norm(A, 1)"),
    "expm": smooth("sl.expm(S)"),
    "expm_frechet": smooth("sl.expm_frechet(S, S.T)"),
    **{
        name: smooth(f"sl.{name}(S / 3)")
        for name in "cosm sinm tanm coshm sinhm tanhm".split()
    },
    **{
        name: smooth(f"sl.{name}(S @ S.T.conj() + np.eye(4))")
        for name in "sqrtm logm signm".split()
    },
    "fractional_matrix_power": smooth(
        "sl.fractional_matrix_power(S @ S.T.conj() + np.eye(4), 0.3)"
    ),
    "polar": smooth("sl.polar(S)"),
    "orthogonal_procrustes": smooth("sl.orthogonal_procrustes(S, S.T)"),
    "null_space": smooth("np.abs(sl.null_space(A))"),
    "orth": smooth("np.abs(sl.orth(A))"),
    "solve_sylvester": smooth("sl.solve_sylvester(S, A[:, :3], B.T)"),
    "solve_continuous_lyapunov": smooth("sl.solve_continuous_lyapunov(S, S.T)"),
    "solve_discrete_lyapunov": smooth("sl.solve_discrete_lyapunov(S / 4, S.T)"),
    "solve_banded": smooth(
        "sl.solve_banded((1, 1), A, x[:4])",
        "sl.solve_banded((2, 1), S, S[:, 1:])",
        "sl.solve_banded((0, 2), A, x[:4])",
    ),
    "solveh_banded": smooth("sl.solveh_banded(A[:2] + [[0], [9]], x[:4])"),
    "eigvals_banded": smooth("sl.eigvals_banded(A)"),
    "eigvalsh_tridiagonal": smooth("sl.eigvalsh_tridiagonal(x, y[1:])"),
    "solve_toeplitz": smooth("sl.solve_toeplitz(x, y)", "sl.solve_toeplitz((x, y), x)"),
    "matmul_toeplitz": smooth("sl.matmul_toeplitz(x, y)"),
    "solve_circulant": smooth("sl.solve_circulant(x, y)"),
    **{
        name: smooth(f"sl.{name}(x)")
        for name in "toeplitz hankel circulant companion fiedler".split()
    },
    "leslie": smooth("sl.leslie(x, y[1:])"),
    "convolution_matrix": smooth("sl.convolution_matrix(x, 3, 'same')"),
    "khatri_rao": smooth("sl.khatri_rao(A, B)"),
    "block_diag": smooth("sl.block_diag(A, x, 1.0)"),
    "diagsvd": smooth("sl.diagsvd(x, 5, 7)"),
    "dft": smooth("sl.dft(5) @ x"),
    "schur": Routine(refused={"sl.schur(S)": _KIND}),
    "ldl": Routine(refused={"sl.ldl(S)": _KIND}),
    "hessenberg": Routine(refused={"sl.hessenberg(S)": _KIND}),
    "funm": Routine(refused={"sl.funm(S, np.exp)": _KIND}),
    "solve_continuous_are": Routine(
        refused={"sl.solve_continuous_are(S, A.T, S, np.eye(3))": _KIND}
    ),
}
SCIPY = {f"scipy.linalg.{name}": routine for name, routine in SCIPY.items()}

FOURIER = {
    **{
        f"np.fft.{name}": _transform(name, "T", *_LINE, "axis=1")
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{
        f"np.fft.{name}": _transform(name, "A", *_PLANE)
        for name in ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn")
    },
    "np.fft.irfftn": _transform("irfftn", "A", *_PLANE),
    "np.fft, there and back": smooth(
        "np.fft.irfft(np.fft.rfft(x) * y[:3], 5)",
        "np.fft.ifft(np.fft.fft(x) * y).real",
        "np.abs(np.fft.fft2(A)) ** 2",
    ),
    "np.fft.fftshift": smooth("np.fft.fftshift(x)", "np.fft.fftshift(A, axes=1)"),
    "np.fft.ifftshift": smooth("np.fft.ifftshift(x)", "np.fft.ifftshift(A, axes=(0,))"),
    "np.fft.fftfreq": smooth("np.fft.fftfreq(5, 0.1) * x"),
    "np.fft.rfftfreq": smooth("np.fft.rfftfreq(8) * x"),
}
