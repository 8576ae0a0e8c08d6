# What must not matter to the start by draws and to g-modeling: the unit of x, a rotation of it, the
# order of rows, domains and latents, the number of threads. Parts that use the same random numbers
# agree up to rounding errors. So do default starts, whose random numbers belong to an order of rows
# and latents of their own. Whole g fits need not: there random numbers belong to the position of a
# row. They agree as fits with another seed do.

invariant_sim <- function(n = 400, seed = 1, ...) {
  targets <- rbind(obs = c(0, 0, 0), diag(3))
  rownames(targets)[-1] <- c("a", "b", "c")
  withr::with_seed(seed, sim_crl(chain_dag(3), n = n, p = 12, sigma2 = 1, targets = targets, ...))
}

rotation_of <- function(p) withr::with_seed(2, qr.Q(qr(matrix(stats::rnorm(p^2), p))))

# Distance of two mixing matrices, signs of columns aside.
distance <- function(a, b) sqrt(sum((a * sign_by(a, b) - b)^2))

test_that("the stage of draws: unit, signs and numbering of the principal components", {
  skip_on_cran()
  sim <- invariant_sim()
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  start <- pca_start(data)
  data$x <- sim$x %*% start$orthonormal
  rotation <- polar_factor(crossprod(start$orthonormal, sim$mixing))
  run <- function(rotation, x, sigma2) {
    data$x <- x
    sampled_mixing(rotation, data, sigma2, crl_control(seed = 1))$mixing
  }
  found <- run(rotation, data$x, start$sigma2)
  expect_equal(run(rotation, 16 * data$x, 256 * start$sigma2), found, tolerance = 1e-8)
  turn <- diag(c(-1, 1, -1))[c(3, 1, 2), ]
  expect_equal(crossprod(turn, run(turn %*% rotation, tcrossprod(data$x, turn), start$sigma2)),
               found, tolerance = 1e-8)
})

test_that("the whole default start: rows, domains, latents, rotation and unit do not matter", {
  skip_on_cran()
  sim <- invariant_sim(n = 200)
  start <- function(x = sim$x, env = sim$env, targets = unclass(sim$targets),
                    dag = unclass(sim$dag), seed = 1) {
    fit_crl(x, env, targets, dag, control = crl_control(seed = seed, max_iter = 0, threads = 1))
  }
  first <- start()
  rows <- withr::with_seed(3, sample(nrow(sim$x)))
  nodes <- c(3, 1, 2)
  turn <- rotation_of(12)
  others <- list(rows = start(sim$x[rows, ], sim$env[rows]),
                 domains = start(targets = sim$targets[c(3, 1, 4, 2), ]),
                 rotation = start(tcrossprod(sim$x, turn)),
                 unit = start(3e7 * sim$x),
                 nodes = start(targets = sim$targets[, nodes], dag = sim$dag[nodes, nodes]))
  mixing <- lapply(others, `[[`, "mixing")
  mixing$rotation <- crossprod(turn, mixing$rotation)
  mixing$nodes <- mixing$nodes[, order(nodes)]
  for (name in names(mixing)) {
    expect_lt(distance(mixing[[name]], first$mixing), 1e-5, label = name)
  }
  expect_equal(others$nodes$start_mc_error[order(nodes)], first$start_mc_error, tolerance = 1e-5)
  expect_equal(others$unit$optima$objective - first$optima$objective,
               rep(nrow(sim$x) * 3 * log(3e7), nrow(first$optima)),
               tolerance = 1e-6)
  expect_identical(start(2^20 * sim$x)$mixing, first$mixing)
})

test_that("the start without draws: nothing of these matters", {
  for (nonlinearity in c("bounded", "strong")) {
    sim <- invariant_sim(nonlinearity = nonlinearity)
    start <- function(x = sim$x, env = sim$env, targets = unclass(sim$targets)) {
      control <- crl_control(start = start_search(mechanisms = "spline", starts = 5), max_iter = 0)
      fit_crl(x, env, targets, sim$dag, control = control)$mixing
    }
    first <- start()
    order <- withr::with_seed(3, sample(nrow(sim$x)))
    turn <- rotation_of(12)
    # line searches stop short of the optimum, from elsewhere at another point near it
    expect_lt(distance(start(sim$x[order, ], sim$env[order]), first), 5e-3)
    expect_lt(distance(start(targets = sim$targets[c(3, 1, 4, 2), ]), first), 5e-3)
    expect_lt(distance(crossprod(turn, start(tcrossprod(sim$x, turn))), first), 5e-3)
    expect_lt(distance(start(30 * sim$x), first), 5e-3)
  }
})

test_that("g from a given start: unit, rotation and domains do not matter up to rounding", {
  sim <- invariant_sim()
  turn <- rotation_of(12)
  start <- list(mixing = sim$mixing, sigma2 = 1.3)
  g <- function(x, init, targets = unclass(sim$targets)) {
    fit_crl(x, sim$env, targets, sim$dag, method = "g", init = init,
            control = crl_control(mixing = "orthonormal", sigma2 = "learned",
                                  saem = saem_control(burn_in = 20, iterations = 20, draws = 20),
                                  seed = 1))
  }
  fit <- g(sim$x, start)
  expect_gt(distance(fit$mixing, sim$mixing), 0.01)
  large <- g(16 * sim$x, list(mixing = sim$mixing, sigma2 = 256 * 1.3))
  expect_equal(large$mixing, fit$mixing, tolerance = 1e-8)
  expect_equal(large$latents, 16 * fit$latents, tolerance = 1e-8)
  expect_equal(large$sigma2, 256 * fit$sigma2, tolerance = 1e-8)
  expect_equal(large$latent_noise_var, 256 * fit$latent_noise_var, tolerance = 1e-8)
  turned <- g(tcrossprod(sim$x, turn), list(mixing = turn %*% sim$mixing, sigma2 = 1.3))
  expect_equal(crossprod(turn, turned$mixing), unname(fit$mixing), tolerance = 1e-8,
               ignore_attr = TRUE)
  expect_equal(turned$latents, fit$latents, tolerance = 1e-8)
  expect_equal(turned$sigma2, fit$sigma2, tolerance = 1e-8)
  domains <- g(sim$x, start, sim$targets[c(3, 1, 4, 2), ])
  expect_equal(domains$mixing, fit$mixing, tolerance = 1e-8)
  expect_equal(domains$latents, fit$latents, tolerance = 1e-8)
})

test_that("g: the order of the rows matters less than the seed", {
  skip_on_cran()
  sim <- invariant_sim()
  g <- function(x, env, seed = 1) {
    fit_crl(x, env, sim$targets, sim$dag, method = "g", init = list(mixing = sim$mixing),
            control = crl_control(mixing = "orthonormal", seed = seed))
  }
  fit <- g(sim$x, sim$env)
  spread <- max(vapply(2:4, function(seed) distance(g(sim$x, sim$env, seed)$mixing, fit$mixing), 0))
  order <- withr::with_seed(3, sample(nrow(sim$x)))
  shuffled <- g(sim$x[order, ], sim$env[order])
  expect_lt(distance(shuffled$mixing, fit$mixing), 1.5 * spread)
  expect_equal(shuffled$sigma2, fit$sigma2, tolerance = 0.01)
})

test_that("one, two and three threads give the same bits, from the start on", {
  skip_on_cran()
  # three shards of rows
  sim <- withr::with_seed(4, sim_crl(chain_dag(3), n = 2800, p = 6, sigma2 = 1))
  expect_gt(nrow(sim$x), 2 * 4096)
  run <- function(threads, ...) {
    fit <- fit_crl(sim, control = crl_control(threads = threads, start = start_search(starts = 2),
                                              max_iter = 3, ...))
    fit[c("mixing", "sigma2", "latents", "latents_sd", "optima", "sampling", "score")]
  }
  for (mixing in c("auto", "psd")) {
    one <- run(1, mixing = mixing)
    expect_identical(run(2, mixing = mixing), one)
    expect_identical(run(3, mixing = mixing), one)
  }
})
