#!/usr/bin/env python3
"""Algorithm 1 in dense NumPy: the peer that bench/speed.R times ebcrl against.

The same algorithm as `fit_crl(control = crl_control(preset = "paper"))`: causal score matching on
tensor products of cubic B-splines (5.4)-(5.5) with a ridge penalty, Tweedie moments (4.4)-(4.5),
polar factor for the mixing, noise variance update, PCA start. Written independently of the C code.

Usage:  em_numpy.py DIR [--iterations 20] [--gram dense|pairs|kernel] [--lam 1] [--knots 8]
                        [--range -15 15]

DIR holds raw column-major files as R's writeBin() makes them (write_peer_data() in bench/common.R):
  shape.txt    n p d M, one line
  x.bin        n x p float64        env.bin   n int32, 1..M
  targets.bin  M x d int32          dag.bin   d x d int32, dag[i, j] = 1 means i -> j

Written to DIR: out_trace.csv (iteration, seconds, sigma2), out_mixing.bin (p x d),
out_latents.bin (n x d), out_info.txt (peak resident set in kB, BLAS library).

How the normal equations of a (node, state) cell with n_c rows and m = K^q features are solved:
  dense    as printed: dense m x n_c features, Gram matrix by dsyrk, Cholesky
  pairs    the Gram matrix from products of overlapping basis functions (fewer flops), Cholesky
  kernel   as dense where m <= n_c, else Woodbury's n_c x n_c dual, whose kernel matrix is the
           elementwise product of one Gram matrix per coordinate (the features are never formed)
"""
import argparse
import os
import resource
import time

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import blas, cho_factor, cho_solve, eigh


BLOCK_ROWS, BLOCK_DOUBLES = 512, 64 * 1024


class Basis:
    """Clamped cubic B-splines on equally spaced knots, continued linearly outside the range."""

    def __init__(self, lo, hi, knots):
        self.lo, self.hi, self.intervals, self.size = lo, hi, knots - 1, knots + 2
        self.step = (hi - lo) / self.intervals
        left = lo + self.step * np.arange(self.intervals)
        spline = BSpline(np.r_[[lo] * 3, np.linspace(lo, hi, knots), [hi] * 3],
                         np.eye(self.size), 3)
        taylor = np.stack([spline(left), spline(left, 1), spline(left, 2) / 2, spline(left, 3) / 6])
        slopes = np.stack([taylor[1], 2 * taylor[2], 3 * taylor[3], np.zeros_like(taylor[0])])
        # (K x 4 intervals): coefficient of every function for (power, interval)
        self.value, self.slope = (c.transpose(2, 0, 1).reshape(self.size, -1)
                                  for c in (taylor, slopes))

    def __call__(self, y, value, slope):
        """Values and first derivatives at the n points y into two (K x n) arrays: features along
        rows, so that products of basis functions run along contiguous memory. A row of `powers` is
        u^power on one interval and 0 elsewhere, which leaves the rest to BLAS."""
        n = y.size
        inside = np.clip(y, self.lo, self.hi)
        at = np.minimum(((inside - self.lo) / self.step).astype(np.intp), self.intervals - 1)
        u = inside - (self.lo + self.step * at)
        powers = np.zeros((4, self.intervals * n))
        where = at * n + np.arange(n)
        u2 = u * u
        powers[0, where], powers[1, where], powers[2, where], powers[3, where] = 1.0, u, u2, u2 * u
        powers = powers.reshape(-1, n)
        np.matmul(self.value, powers, out=value)
        np.matmul(self.slope, powers, out=slope)
        outside = np.flatnonzero(inside != y)
        value[:, outside] += slope[:, outside] * (y - inside)[outside]


def row_kron(left, right):
    """(a x n), (b x n) -> (a b x n): the tensor product within every sample."""
    return (left[:, None, :] * right[None, :, :]).reshape(-1, left.shape[1])


def tensor(factors):
    """Tensor product of a list of (K x n) bases, the first slowest."""
    out = factors[0]
    for factor in factors[1:]:
        out = row_kron(out, factor)
    return out


class Cell:
    """One (node, state): its normal equations, solution and score.

    The features are row_kron(left, right): `left` = the node (and the first parents), `right` = the
    other parents. Everything but the Gram matrix is a matrix product of the two halves, e.g.
    Psi'1 = left' right^T, so the derivative features are never formed."""

    def __init__(self, node, parents, rows, size, gram, lam):
        coordinates = [node] + parents
        half = (len(coordinates) + 1) // 2
        self.left, self.right = coordinates[:half], coordinates[half:]
        self.node, self.rows, self.size, self.lam = node, rows, size, lam
        self.shape = (size ** len(self.left), size ** len(self.right))
        self.features = self.shape[0] * self.shape[1]
        n_rows = rows.stop - rows.start if isinstance(rows, slice) else rows.size
        self.dual = gram == "kernel" and self.features > n_rows
        self.pairs = PairIndex(len(self.left), len(self.right), size) if gram == "pairs" else None

    def fit(self, value, slope):
        """Scores and own derivatives (n_c, n_c) from the bases of all coordinates (d x K x n)."""
        rows = self.rows
        own = {k: value[k][:, rows] for k in self.left + self.right}
        n = own[self.node].shape[1]
        left = tensor([own[k] for k in self.left])
        right = tensor([own[k] for k in self.right]) if self.right else np.ones((1, n))
        left_slope = tensor([slope[self.node][:, rows]] + [own[k] for k in self.left[1:]])
        rhs = -(left_slope @ right.T)
        if self.dual:
            theta = self.solve_dual(own, left, right, rhs)
        else:
            gram = self.pairs(own, self.left, self.right) if self.pairs else self.gram(left, right)
            gram.ravel(order="K")[::self.features + 1] += self.lam
            factor = cho_factor(gram, lower=False, overwrite_a=True, check_finite=False)
            theta = cho_solve(factor, rhs.ravel(), check_finite=False).reshape(self.shape)
        inner = theta @ right
        return np.einsum("an,an->n", left, inner), np.einsum("an,an->n", left_slope, inner)

    def gram(self, left, right):
        """Phi'Phi, upper triangle, in Fortran order: what dpotrf takes without a copy. The dense
        features are formed for a block of rows at a time, in one buffer that stays in cache."""
        if not self.right:
            return blas.dsyrk(1.0, left.T, trans=1)
        n = left.shape[1]
        blocks = -(-n // max(BLOCK_ROWS, BLOCK_DOUBLES // self.features))
        edges = np.linspace(0, n, blocks + 1).astype(int)
        buffer = np.empty(self.features * np.diff(edges).max())
        out = np.zeros((self.features, self.features), order="F")
        for start, stop in zip(edges[:-1], edges[1:]):
            phi = buffer[:self.features * (stop - start)].reshape(*self.shape, stop - start)
            np.multiply(left[:, None, start:stop], right[None, :, start:stop], out=phi)
            phi = phi.reshape(self.features, -1)
            out = blas.dsyrk(1.0, phi.T, trans=1, beta=1.0, c=out, overwrite_c=1)
        return out

    def solve_dual(self, own, left, right, rhs):
        """(Phi'Phi + lam I)^-1 b = (b - Phi' (Phi Phi' + lam I)^-1 Phi b) / lam."""
        kernel = None
        for basis in own.values():
            gram = basis.T @ basis
            kernel = gram if kernel is None else np.multiply(kernel, gram, out=kernel)
        kernel.ravel()[::kernel.shape[0] + 1] += self.lam
        phi_b = np.einsum("an,an->n", left, rhs @ right)
        factor = cho_factor(kernel.T, lower=False, overwrite_a=True, check_finite=False)
        v = cho_solve(factor, phi_b, check_finite=False)
        return (rhs - (left * v) @ right.T) / self.lam


class PairIndex:
    """Gram matrix of row_kron(left, right) from products of basis functions of one coordinate.

    B_a B_c is zero unless |a - c| <= 3 and symmetric, so a coordinate has 34 products, not 100."""

    def __init__(self, n_left, n_right, size):
        self.first, self.second = np.array([(a, c) for a in range(size)
                                            for c in range(a, min(a + 4, size))]).T
        index = np.full((size, size), -1)
        index[self.first, self.second] = index[self.second, self.first] = np.arange(self.first.size)
        index_left, zero_left = self.expand(index, n_left)
        index_right, zero_right = self.expand(index, n_right)
        a, b = index_left.shape[0], index_right.shape[0]
        n_pairs = self.first.size ** n_right
        where = index_left[:, None, :, None] * n_pairs + index_right[None, :, None, :]
        where[np.broadcast_to(zero_left[:, None, :, None] | zero_right[None, :, None, :],
                              where.shape)] = self.first.size ** n_left * n_pairs
        self.where = where.reshape(a * b, a * b)

    def expand(self, index, times):
        out, zero = np.zeros((1, 1), dtype=int), np.zeros((1, 1), dtype=bool)
        k = index.shape[0]
        for _ in range(times):
            shape = (out.shape[0] * k,) * 2
            out = (out[:, None, :, None] * self.first.size + index[None, :, None, :]).reshape(shape)
            zero = (zero[:, None, :, None] | (index < 0)[None, :, None, :]).reshape(shape)
        return out, zero

    def __call__(self, own, left, right):
        products = {k: own[k][self.first] * own[k][self.second] for k in left + right}
        lhs = tensor([products[k] for k in left])
        rhs = tensor([products[k] for k in right]) if right else np.ones((1, lhs.shape[1]))
        return np.append((lhs @ rhs.T).ravel(), 0.0)[self.where].T


def cell_rows(in_cell):
    """Rows of a cell: a slice (no copies) where they are contiguous."""
    rows = np.flatnonzero(in_cell)
    if rows.size and rows[-1] - rows[0] + 1 == rows.size:
        return slice(rows[0], rows[-1] + 1)
    return rows


def pca_start(x, d):
    """Uncentred principal axes, largest |loading| positive; mean of the other eigenvalues."""
    values, vectors = eigh(x.T @ x / x.shape[0])
    axes = vectors[:, ::-1][:, :d]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(d)])
    return axes, values[:x.shape[1] - d].mean()


def run(x, env, targets, dag, iterations, basis, gram, lam):
    n, p = x.shape
    d = dag.shape[0]
    mixing, sigma2 = pca_start(x, d)
    sum_x2 = np.einsum("ij,ij->", x, x)
    state = targets[env]
    cells = [Cell(j, np.flatnonzero(dag[:, j]).tolist(), cell_rows(state[:, j] == c), basis.size,
                  gram, lam)
             for j in range(d) for c in (0, 1) if np.any(state[:, j] == c)]
    score, own_slope = np.empty((d, n)), np.empty((d, n))
    value, slope = np.empty((2, d, basis.size, n))
    trace = []
    for iteration in range(1, iterations + 1):
        start = time.perf_counter()
        y = mixing.T @ x.T
        for k in range(d):
            basis(y[k], value[k], slope[k])
        for cell in cells:
            score[cell.node, cell.rows], own_slope[cell.node, cell.rows] = cell.fit(value, slope)
        latents = y + sigma2 * score
        variance = np.maximum(0.0, sigma2 + sigma2 ** 2 * own_slope)
        cross = (latents @ x).T
        u, _, vt = np.linalg.svd(cross, full_matrices=False)
        polar = u @ vt
        polar *= np.where(np.einsum("ij,ij->j", polar, mixing) < 0, -1.0, 1.0)
        mixing = polar
        second = np.einsum("ij,ij->", latents, latents) + variance.sum()
        sigma2 = (sum_x2 + second - 2.0 * np.einsum("ij,ij->", mixing, cross)) / (n * p)
        trace.append((iteration, time.perf_counter() - start, sigma2))
    return mixing, latents, trace


def blas_in_use():
    """The OpenBLAS (or other) library that this process has mapped."""
    with open("/proc/self/maps") as maps:
        return sorted({os.path.basename(line.split()[-1]) for line in maps
                       if "blas" in line and ".so" in line and "scipy" not in line})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--gram", choices=("dense", "pairs", "kernel"), default="dense")
    parser.add_argument("--lam", type=float, default=1.0)
    parser.add_argument("--knots", type=int, default=8)
    parser.add_argument("--range", type=float, nargs=2, default=(-15.0, 15.0))
    args = parser.parse_args()

    def path(name):
        return os.path.join(args.dir, name)

    def matrix(name, dtype, rows, columns):
        return np.fromfile(path(name), dtype).reshape((rows, columns), order="F")

    with open(path("shape.txt")) as handle:
        n, p, d, domains = map(int, handle.read().split())
    mixing, latents, trace = run(
        x=matrix("x.bin", np.float64, n, p),
        env=matrix("env.bin", np.int32, n, 1)[:, 0] - 1,
        targets=matrix("targets.bin", np.int32, domains, d),
        dag=matrix("dag.bin", np.int32, d, d),
        iterations=args.iterations, basis=Basis(*args.range, args.knots), gram=args.gram,
        lam=args.lam)
    np.savetxt(path("out_trace.csv"), trace, delimiter=",", comments="",
               header="iteration,seconds,sigma2", fmt=("%d", "%.9f", "%.17g"))
    mixing.ravel(order="F").tofile(path("out_mixing.bin"))
    latents.ravel().tofile(path("out_latents.bin"))  # (d x n) by rows = (n x d) by columns
    with open(path("out_info.txt"), "w") as handle:
        handle.write("%d\n%s\nnumpy %s\n" % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                                            " ".join(blas_in_use()), np.__version__))


if __name__ == "__main__":
    main()
