# Each compiled kernel against its slow reference (helper-reference.R) and
# against properties that hold whatever the implementation.

basis <- function(y, range, knots, deriv = 0L, curved = FALSE) {
  .Call(C_bspline_basis, as.double(y), as.double(range), as.integer(knots), as.integer(deriv),
        curved)
}

# Points inside, at the ends, at the knots and outside of [-2, 3].
probe <- c(
  seq(-2, 3, length.out = 8), seq(-2, 3, length.out = 41), -2 - c(0.1, 1, 30), 3 + c(0.1, 1, 30)
)

# The derivative of a basis, a row for each y, by numDeriv.
slopes_of <- function(basis, y, deriv, curved = FALSE) {
  t(sapply(y, function(at) {
    numDeriv::jacobian(basis, at, range = c(-2, 3), knots = 8, deriv = deriv,
                       curved = curved)
  }))
}

test_that("the reference itself is right: derivatives, unity, linear functions", {
  skip_if_not_installed("numDeriv")
  y <- c(-3, -1.234, 0.2, 2.9, 4)
  expect_equal(ref_basis(y, c(-2, 3), 8, 1), slopes_of(ref_basis, y, 0), tolerance = 1e-8)
  expect_equal(ref_basis(y, c(-2, 3), 8, 2), slopes_of(ref_basis, y, 1), tolerance = 1e-7)
  for (deriv in 0:1) {
    expect_equal(ref_basis(y, c(-2, 3), 8, deriv + 1, curved = TRUE),
                 slopes_of(ref_basis, y, deriv, curved = TRUE), tolerance = 1e-7)
  }
  at_knots <- c(0, 1, 3, 6, 9, 12, 15, 18, 20, 21) / 21 * 5 - 2
  expect_equal(drop(ref_basis(probe, c(-2, 3), 8) %*% at_knots), probe)
})

test_that("B-splines and their derivatives agree with splineDesign", {
  for (knots in c(4, 5, 8, 15)) {
    for (curved in c(FALSE, TRUE)) {
      for (deriv in seq(0, 1 + curved)) {
        values <- basis(probe, c(-2, 3), knots, deriv, curved)
        expect_identical(dim(values), c(length(probe), as.integer(knots) + 2L))
        expect_close(values, ref_basis(probe, c(-2, 3), knots, deriv, curved), 1e-12)
      }
    }
  }
})

test_that("B-splines sum to one and their derivatives to zero, in and out of the range", {
  expect_equal(rowSums(basis(probe, c(-2, 3), 8)), rep(1, length(probe)), tolerance = 1e-13)
  expect_equal(rowSums(basis(probe, c(-2, 3), 8, 1)), rep(0, length(probe)), tolerance = 1e-12)
  for (deriv in 0:2) {
    sums <- rowSums(basis(probe, c(-2, 3), 8, deriv, TRUE))
    expect_equal(sums, rep(deriv == 0, length(probe)) + 0, tolerance = 1e-9)
  }
})

test_that("B-spline derivatives are those of the values, by differences", {
  skip_if_not_installed("numDeriv")
  y <- c(-5, -2.01, -1.9, 0, 0.7, 2.99, 3.2, 8)
  expect_equal(basis(y, c(-2, 3), 8, 1), slopes_of(basis, y, 0), tolerance = 1e-7)
  expect_equal(basis(y, c(-2, 3), 8, 1, TRUE), slopes_of(basis, y, 0, TRUE), tolerance = 1e-6)
  expect_equal(basis(y, c(-2, 3), 8, 2, TRUE), slopes_of(basis, y, 1, TRUE), tolerance = 1e-6)
})

test_that("B-splines go on linearly from the ends, those of a log-density quadratically, no jump", {
  ends <- c(-2, 3)
  value <- basis(ends, ends, 8)
  slope <- basis(ends, ends, 8, 1)
  for (step in c(1e-9, 0.5, 40)) {
    outside <- ends + c(-step, step)
    expect_close(basis(outside, ends, 8), value + c(-step, step) * slope, 1e-12)
    expect_close(basis(outside, ends, 8, 1), slope, 1e-12)
    curve <- basis(ends, ends, 8, 2, TRUE)
    expect_close(basis(outside, ends, 8, 0, TRUE),
                 value + c(-step, step) * slope + step^2 / 2 * curve, 1e-12)
    expect_close(basis(outside, ends, 8, 1, TRUE), slope + c(-step, step) * curve, 1e-12)
    expect_close(basis(outside, ends, 8, 2, TRUE), curve, 1e-12)
  }
})

test_that("the causal score agrees with dense normal equations: 0 to 3 parents", {
  skip_on_cran()
  withr::local_seed(1)
  s <- score_data(611, 4)
  dag <- matrix(0, 4, 4)
  dag[upper.tri(dag)] <- 1
  parents <- parents_in(dag)
  for (penalty in c("ridge", "difference")) {
    for (omega in list(rep(1, 5), c(0.3, 1.7, 1.1, 0.6, 2))) {
      control <- list(knots = 3L, range = "data", penalty = penalty, lambda = 2)
      reference <- ref_score(s$y, s$env, s$targets, parents, omega, control)
      for (solver in c("cholesky", "cg")) {
        fit <- score_fit(s$y, s$env, s$targets, parents, omega,
          knots = 3, penalty = penalty, lambda = 2, solver = solver
        )
        expect_score_close(fit, reference)
      }
    }
  }
})

test_that("the Jacobian of the causal score: of its features, and by differences", {
  skip_on_cran()
  withr::local_seed(21)
  s <- score_data(301, 4)
  dag <- matrix(0, 4, 4)
  dag[upper.tri(dag)] <- 1
  dag[1, 2] <- 0 # two roots
  parents <- parents_in(dag)
  row_targets <- s$targets[s$env, ]
  for (intervention in c("perfect", "imperfect")) {
    fit <- score_fit(s$y, s$env, s$targets, parents, knots = 3, lambda = 2,
                     intervention = intervention)
    reference <- ref_eval_jacobian(s$y, row_targets, parents, fit$theta, fit$range, 3,
                                   list(intervention = intervention))
    expect_close(fit$jacobian, reference, 1e-11)
    for (j in 1:4) expect_identical(fit$jacobian[, j, j], fit$dscore[, j])
  }
  skip_if_not_installed("numDeriv")
  inside <- which(apply(s$y, 1, function(y) all(y > fit$range[1, ] & y < fit$range[2, ])))[1:5]
  for (i in inside) {
    at <- row_targets[i, , drop = FALSE]
    by_differences <- numDeriv::jacobian(function(y) {
      ref_eval_score(t(y), at, parents, fit$theta, fit$range, 3)$score
    }, s$y[i, ])
    expect_equal(fit$jacobian[i, , ], by_differences, tolerance = 1e-6)
  }
})

test_that("with a reference score the splines correct it: dense normal equations", {
  skip_on_cran()
  withr::local_seed(22)
  s <- score_data(611, 4)
  dag <- matrix(0, 4, 4)
  dag[cbind(c(1, 2, 1, 2, 3), c(2, 3, 4, 4, 4))] <- 1 # no, one and three parents
  parents <- parents_in(dag)
  reference <- -s$y / 3 + 0.2 * sin(s$y[, 4:1])
  omega <- c(0.3, 1.7, 1.1, 0.6, 2)
  control <- list(knots = 3L, range = "data", penalty = "difference", lambda = 2)
  dense <- ref_score(s$y, s$env, s$targets, parents, omega, control, reference)
  for (solver in c("cholesky", "cg")) {
    fit <- score_fit(s$y, s$env, s$targets, parents, omega,
      knots = 3, lambda = 2, solver = solver, reference = reference
    )
    expect_score_close(fit, dense)
  }
  # a reference that the splines can represent is a change of origin: ridge-free, the sum stays
  linear <- -0.1 * s$y
  plain <- score_fit(s$y, s$env, s$targets, parents, knots = 3, lambda = 0)
  moved <- score_fit(s$y, s$env, s$targets, parents, knots = 3, lambda = 0, reference = linear)
  one <- lengths(parents) < 2 # without a penalty, larger families have features no row touches
  expect_equal((moved$score + linear)[, one], plain$score[, one], tolerance = 1e-6)
})

test_that("the causal score agrees with dense normal equations: ranges, knots, lambda", {
  skip_on_cran()
  withr::local_seed(2)
  s <- score_data(503, 3)
  parents <- list(integer(), 3L, integer())
  ranges <- list("data", c(-15, 15), c(-1, 1.5), rbind(c(-3, -4, -5), c(3, 2, 1)))
  for (range in ranges) {
    for (lambda in c(0.05, 5, 500)) {
      for (penalty in c("ridge", "difference")) {
        control <- list(knots = 8L, range = range, penalty = penalty, lambda = lambda)
        reference <- ref_score(s$y, s$env, s$targets, parents, rep(1, 4), control)
        fit <- score_fit(s$y, s$env, s$targets, parents,
          range = range, penalty = penalty, lambda = lambda, solver = "cholesky"
        )
        expect_score_close(fit, reference)
      }
    }
  }
})

test_that("several blocks of rows, small and large systems: the reference's score, the same bits", {
  skip_on_cran()
  withr::local_seed(7)
  s <- score_data(3500, 3)
  parents <- list(integer(), 1L, 1:2)
  omega <- c(0.3, 1.7, 1.1, 0.9)
  control <- list(knots = 6L, range = "data", penalty = "difference", lambda = 5)
  reference <- ref_score(s$y, s$env, s$targets, parents, omega, control)
  for (solver in c("cholesky", "cg")) {
    fits <- lapply(1:3, function(threads) {
      score_fit(s$y, s$env, s$targets, parents, omega,
        knots = 6, solver = solver, threads = threads
      )
    })
    expect_score_close(fits[[1]], reference)
    expect_identical(fits[[2]], fits[[1]])
    expect_identical(fits[[3]], fits[[1]])
  }
})

test_that("a target of a perfect intervention has no parents: 0 to 3 of them otherwise", {
  skip_on_cran()
  withr::local_seed(8)
  s <- score_data(4611, 4) # two shards of rows; large systems are one task a node
  dag <- matrix(0, 4, 4)
  dag[upper.tri(dag)] <- 1
  parents <- parents_in(dag)
  control <- list(
    knots = 4L, range = "data", penalty = "difference", lambda = 2, intervention = "perfect"
  )
  reference <- ref_score(s$y, s$env, s$targets, parents, rep(1, 5), control)
  for (solver in c("cholesky", "cg")) {
    fits <- lapply(1:2, function(threads) {
      score_fit(s$y, s$env, s$targets, parents,
        knots = 4, lambda = 2, solver = solver, intervention = "perfect", threads = threads
      )
    })
    expect_score_close(fits[[1]], reference)
    expect_identical(fits[[2]], fits[[1]])
  }
  expect_identical(lengths(lapply(fits[[1]]$theta, `[[`, "state1")), rep(6L, 4))
  expect_identical(lengths(lapply(fits[[1]]$theta, `[[`, "state0")), as.integer(6^(1:4)))
})

test_that("a state without rows has no coefficients", {
  withr::local_seed(3)
  s <- score_data(200, 2)
  s$targets[, 2] <- 0L
  s$targets[, 1] <- 1L
  fit <- score_fit(s$y, s$env, s$targets, list(integer(), 1L), solver = "cholesky")
  expect_null(fit$theta[[1]]$state0)
  expect_length(fit$theta[[1]]$state1, 10)
  expect_length(fit$theta[[2]]$state0, 100)
  expect_null(fit$theta[[2]]$state1)
})

test_that("polar_factor() is U V' of the singular value decomposition", {
  withr::local_seed(4)
  for (shape in list(c(5, 1), c(4, 4), c(30, 6))) {
    m <- matrix(stats::rnorm(prod(shape)), shape[1], shape[2])
    polar <- .Call(C_polar_factor, m)
    expect_close(polar, ref_polar(m), 1e-12)
    expect_close(crossprod(polar), diag(shape[2]), 1e-12)
  }
  uneven <- m %*% diag(10^-(0:5))
  expect_close(.Call(C_polar_factor, uneven), ref_polar(uneven))
})

test_that("mixing_update() agrees with alternating least squares", {
  withr::local_seed(5)
  for (d in c(1, 3)) {
    truth <- qr.Q(qr(matrix(stats::rnorm(8 * d), 8, d))) %*% diag(c(2, 0.5, 1)[1:d], d)
    z <- matrix(stats::rnorm(200 * d), 200, d)
    m <- truth %*% crossprod(z) + 0.1 * matrix(stats::rnorm(8 * d), 8, d)
    second <- colSums(z^2) + 5
    for (mode in c("orthonormal", "diagonal")) {
      update <- .Call(C_mixing_update, m, second, rep(1, d), mode)
      reference <- ref_mixing_update(m, second, rep(1, d), mode)
      expect_close(update$orthonormal, reference$orthonormal)
      expect_close(update$scale, reference$scale)
    }
  }
})

test_that("mixing_update() minimises (4.7): no nearby mixing is better", {
  withr::local_seed(6)
  m <- matrix(stats::rnorm(18), 6, 3)
  second <- c(2, 3, 4)
  objective <- function(o, scale) sum(scale^2 * second) - 2 * sum((o %*% diag(scale)) * m)
  update <- .Call(C_mixing_update, m, second, rep(1, 3), "diagonal")
  expect_true(all(update$scale > 0))
  best <- objective(update$orthonormal, update$scale)
  for (k in 1:50) {
    o <- ref_polar(update$orthonormal + 0.02 * matrix(stats::rnorm(18), 6, 3))
    expect_gt(objective(o, update$scale * exp(0.02 * stats::rnorm(3))), best - 1e-10)
  }
})
