# Weighted penalised regression on draws, EM and importance weights, from the equations.
slow_edge_loss <- function(draws, env, targets, range, mechanism, knots, k, steps) {
  j <- mechanism$node
  keep <- setdiff(seq_along(mechanism$parents), k)
  rows <- which(targets[env, j] == mechanism$state)
  n_draws <- dim(draws)[3L]
  basis_of <- function(parents, s) {
    if (length(parents) == 0L) return(matrix(1, length(rows), 1L))
    do.call(cbind, lapply(parents, function(p) {
      parent <- mechanism$parents[p]
      drop(.Call(C_bspline_basis, draws[rows, parent, s], range[, parent], knots, 0L, FALSE))
    }))
  }
  stacked <- function(parents) {
    do.call(rbind, lapply(seq_len(n_draws), function(s) basis_of(parents, s)))
  }
  full <- stacked(seq_along(mechanism$parents))
  less <- stacked(keep)
  z <- as.vector(draws[rows, j, ])
  difference <- ref_difference(knots)
  log_full <- dnorm(z, full %*% mechanism$theta, sqrt(mechanism$variance), log = TRUE)
  penalty <- matrix(0, ncol(less), ncol(less))
  for (b in seq_along(keep)) {
    at <- (b - 1L) * (knots + 2L) + seq_len(knots + 2L)
    penalty[at, at] <- mechanism$lambda[keep[b]] * crossprod(difference)
  }
  weight <- matrix(1 / n_draws, length(rows), n_draws)
  for (step in seq_len(steps)) {
    gram <- crossprod(less, less * as.vector(weight))
    jitter <- if (length(keep)) 1e-7 * length(rows) else 0
    theta <- solve(gram + penalty + diag(jitter, ncol(less)),
                   crossprod(less, z * as.vector(weight)))
    v <- sum(as.vector(weight) * (z - less %*% theta)^2) / length(rows)
    ratio <- matrix(exp(dnorm(z, less %*% theta, sqrt(v), log = TRUE) - log_full), length(rows))
    value <- sum(log(rowMeans(ratio)))
    weight <- ratio / rowSums(ratio)
  }
  -value
}

test_that("the loss of an edge by draws is that of weighted regressions", {
  withr::local_seed(1)
  n <- 60
  knots <- 5L
  draws <- array(rnorm(n * 3 * 8), c(n, 3, 8))
  draws[, 3, ] <- draws[, 3, ] + sin(draws[, 1, ]) + 0.3 * draws[, 2, ]
  env <- rep(1:2, each = n / 2)
  targets <- rbind(c(0L, 0L, 0L), c(1L, 0L, 0L))
  range <- rbind(rep(-3, 3), rep(3, 3))
  mechanism <- list(node = 3L, state = 0L, parents = 1:2, theta = rnorm(2 * (knots + 2), sd = 0.3),
                    lambda = c(2, 5), variance = 1.3)
  found <- .Call(C_edge_losses, draws, env, targets, range, mechanism,
                 list(knots = knots, variance_floor = 1e-6))
  for (k in 1:2) {
    slow <- vapply(1:40, function(steps) {
      slow_edge_loss(draws, env, targets, range, mechanism, knots, k, steps)
    }, 0)
    gains <- -diff(slow)
    end <- which(gains < 0.02)[1L] + 1L
    expect_equal(drop(found$loss)[k], slow[end], tolerance = 1e-6)
  }
  single <- utils::modifyList(mechanism, list(parents = 1L, theta = mechanism$theta[1:7],
                                              lambda = 2))
  alone <- .Call(C_edge_losses, draws, env, targets, range, single,
                 list(knots = knots, variance_floor = 1e-6))
  expect_equal(drop(alone$df), 1)
})

test_that("what another prior gains by draws is the mean of density ratios", {
  withr::local_seed(2)
  n <- 40
  d <- 3
  knots <- 5L
  many <- 6
  draws <- array(rnorm(n * d * many), c(n, d, many))
  env <- rep(1:2, each = n / 2)
  prior <- function(parents, targets) {
    theta <- vector("list", 2 * d)
    for (j in which(lengths(parents) > 0L)) {
      theta[[2 * j - 1]] <- rnorm(lengths(parents)[j] * (knots + 2), sd = 0.4)
    }
    list(parents = parents, targets = targets, theta = theta, constant = matrix(rnorm(6), 2),
         variance = matrix(0.5 + runif(6), 2), range = rbind(-2 - runif(3), 2 + runif(3)))
  }
  from <- prior(list(integer(), 1L, 1:2), rbind(0L, c(0L, 0L, 1L)))
  to <- prior(list(2L, integer(), 2L), rbind(0L, c(1L, 0L, 0L)))
  turn <- qr.Q(qr(matrix(rnorm(9), 3)))
  density <- function(prior, e, z) {
    terms <- vapply(seq_len(d), function(j) {
      state <- prior$targets[e, j]
      theta <- prior$theta[[2 * j - 1 + state]]
      parents <- prior$parents[[j]]
      mean <- if (is.null(theta)) prior$constant[state + 1, j] else {
        basis <- lapply(parents, function(i) {
          .Call(C_bspline_basis, z[i], prior$range[, i], knots, 0L, FALSE)
        })
        sum(unlist(basis) * theta)
      }
      stats::dnorm(z[j], mean, sqrt(prior$variance[state + 1, j]), log = TRUE)
    }, 0)
    sum(terms)
  }
  slow <- sum(vapply(seq_len(n), function(i) {
    log(mean(vapply(seq_len(many), function(s) {
      z <- draws[i, , s]
      exp(density(to, env[i], drop(turn %*% z)) - density(from, env[i], z))
    }, 0)))
  }, 0))
  expect_equal(.Call(C_draw_ratios, draws, env, from, to, turn, knots), slow, tolerance = 1e-10)
  expect_equal(.Call(C_draw_ratios, draws, env, from, from, diag(3), knots), 0)
})

test_that("graphs next to one: lighter, and turned with the parents of both latents", {
  known <- list(required = matrix(FALSE, 4, 4), allowed = !diag(TRUE, 4))
  problem <- list(known = known)
  h <- list(dag = unclass(as_dag("z1 -> z2; z2 -> z3; z4 -> z3")))
  dimnames(h$dag) <- NULL
  h$drawn <- list(loss = 10 * h$dag, price = 5 * h$dag)
  h$drawn$loss[1, 2] <- 100
  lighter <- lighter_graphs(h, problem)
  expect_setequal(vapply(lighter, sum, 0L), c(2L, 3L))
  expect_identical(sum(vapply(lighter, function(g) g[1, 3], 0L)), 1L) # z1 in the place of z2
  expect_true(all(vapply(lighter, function(g) g[1, 2] == 1L, NA)))
  turned <- turned_graphs(h, problem)
  expect_length(turned, 3)
  own <- Filter(function(g) g[3, 2] == 1L, turned)[[1]]
  expect_identical(which(own == 1L), which(unclass(as_dag(
    "z1 -> z2; z3 -> z2; z4 -> z3; z4 -> z2; z1 -> z3", nodes = paste0("z", 1:4)
  )) == 1L))
  problem$known$required[2, 3] <- TRUE
  expect_length(turned_graphs(h, problem), 2)
  problem$known$required[] <- FALSE
  problem$known$allowed[3, 4] <- FALSE
  expect_length(turned_graphs(h, problem), 2)
})

test_that("models too far apart for draws to tell are no gain", {
  withr::local_seed(3)
  model <- function(shift, variance) {
    prior <- list(parents = list(integer()), targets = matrix(0L, 1, 1), theta = list(NULL, NULL),
                  constant = matrix(c(shift, 0)), variance = matrix(c(variance, 1)),
                  range = matrix(c(-2, 2)), df = matrix(c(1, 0)))
    list(rows = list(n = 50, env = rep(1L, 50)),
         draws = array(rnorm(50 * 20) + shift, c(50, 1, 20)), prior = prior, mixing = diag(1),
         knots = 5L)
  }
  near <- drawn_gain(model(0, 1), model(0.1, 1.1))
  far <- drawn_gain(model(0, 1), model(5, 1))
  expect_lt(abs(near$loglik), 5)
  expect_lt(far$loglik, -100)
  expect_identical(near$df, 0)
})

test_that("curves do not pass for edges, by splines and by draws", {
  skip_on_cran()
  set.seed(605)
  targets <- rbind(0, diag(3))
  rownames(targets) <- c("control", "a", "b", "c")
  weights <- rbind(c(0, -0.6, 0), c(0, 0, -0.7), 0)
  for (kind in c("bounded", "strong")) {
    sim <- sim_crl(chain_dag(3), n = 800, p = 20, nonlinearity = kind, targets = targets,
                   edge_weights = weights)
    found <- crl_discover(sim, d = 3, observational = "control")
    expect_identical(unclass(found$dag), unclass(sim$dag))
    expect_identical(c(found$targets), c(sim$targets))
    expect_identical(found$judged, "sampled")
    expect_lt(found$straight, 0)
    expect_true(all(found$edges$evidence[found$edges$present] > 0.95))
    expect_gt(min(align_latents(found$mixing, sim$mixing)$agreement), 0.998)
  }
  splines <- crl_discover(sim, d = 3, observational = "control", mechanisms = "spline")
  expect_identical(splines$judged, "spline")
  two <- crl_discover(sim, d = 3, observational = "control", threads = 2)
  same <- setdiff(names(found), c("elapsed", "call", "settings"))
  expect_identical(unclass(two)[same], unclass(found)[same])
  expect_output(print(found), "edges judged by draws")
})

test_that("lines stay where splines are not worth their parameters", {
  sim <- discover_chain(1)
  found <- crl_discover(sim, d = 3)
  expect_identical(found$judged, "linear")
  expect_identical(found$straight, 0)
  expect_output(print(found), "splines are not worth their parameters")
})

test_that("each edge has its own penalty, and sweeps keep to the planes in focus", {
  sim <- discover_chain(2)
  data <- crl_data(sim, sim$env, sim$targets, sim$dag)
  y <- data$x %*% sim$mixing
  settings <- utils::modifyList(REFINEMENT, list(max_sweeps = 2L, first_sweep = 1L,
                                                 noise = sim$sigma2, variance_floor = 0.1,
                                                 threads = 1L, perfect = 1L))
  refined <- function(...) {
    .Call(C_rotation_refine, y, diag(3), data$env, data$targets, rep(1, data$n_domains),
          parent_list(data$dag), utils::modifyList(settings, list(...)))
  }
  still <- function(lambda) refined(lambda = lambda, max_sweeps = 0L, first_sweep = 0L)$objective
  expect_equal(still(matrix(20, 3, 3)), still(20), tolerance = 1e-14)
  both <- still(20) - still(STRAIGHT)
  one <- still(replace(matrix(STRAIGHT, 3, 3), 4L, 20)) - still(STRAIGHT)
  other <- still(replace(matrix(STRAIGHT, 3, 3), 8L, 20)) - still(STRAIGHT)
  expect_equal(one + other, both, tolerance = 1e-6)
  expect_lt(max(one, other), 0)
  expect_identical(refined()$floored, 0L)
  expect_gt(refined(noise = 50)$floored, 0L)
  turned <- refined(focus = c(1L, 0L, 1L))$rotation
  expect_identical(turned[2, ], c(0, 1, 0))
  expect_gt(abs(turned[1, 3]), 0)
  expect_gt(abs(refined()$rotation[1, 2]), 0)
})

test_that("a latent that no domain targets is told by curves where lines put it first", {
  skip_on_cran()
  set.seed(604)
  targets <- rbind(0, diag(3)[-2, ])
  rownames(targets) <- c("control", "a", "c")
  weights <- rbind(c(0, 0.9, 0), c(0, 0, 0.8), 0)
  sim <- sim_crl(chain_dag(3), n = 1500, p = 20, targets = targets, edge_weights = weights)
  found <- crl_discover(sim, d = 3, observational = "control")
  expect_identical(unclass(found$dag), unclass(sim$dag))
  lines <- crl_discover(sim, d = 3, observational = "control", mechanisms = "linear")
  expect_gt(sum(lines$dag != sim$dag), 0)
})

test_that("draws turn edges that lines and splines have the wrong way round", {
  skip_on_cran()
  targets <- rbind(0, diag(3)[-2, ])
  rownames(targets) <- c("control", "a", "c")
  weights <- rbind(c(0, 0.35, 0), c(0, 0, 0.8), 0)
  right <- function(found, sim) {
    place <- align_latents(found$mixing, sim$mixing)$permutation
    identical(unname(unclass(found$dag)[place, place]), unname(unclass(sim$dag)))
  }
  for (seed in c(1, 4)) { # lines win over splines with the first, not with the second
    set.seed(seed)
    sim <- sim_crl(chain_dag(3), n = 1000, p = 20, targets = targets, edge_weights = weights)
    found <- crl_discover(sim, d = 3, observational = "control")
    splines <- crl_discover(sim, d = 3, observational = "control", mechanisms = "spline")
    expect_true(right(found, sim))
    expect_false(right(splines, sim))
    expect_identical(found$judged, "sampled")
  }
})
