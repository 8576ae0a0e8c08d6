# What a fit says that it will take (check_bytes()) against what the kernels allocate.

stand_in <- function(name, value, envir = parent.frame()) {
  space <- asNamespace("ebcrl")
  before <- get(name, space)
  unlockBinding(name, space)
  assign(name, value, space)
  withr::defer(assign(name, before, space), envir)
}

# `planned`: bytes that the fit is checked for; `taken`: by each of its engines.
measured <- function(sim, ...) {
  planned <- taken <- numeric()
  stand_in("check_before_passes", function(...) NULL) # has other figures, before anything is known
  stand_in("check_bytes", function(bytes, ...) planned <<- c(planned, bytes))
  stand_in("with_progress", function(progress, name, run, ...) {
    .Call(C_allocated_bytes)
    out <- run(NULL)
    taken[[name]] <<- .Call(C_allocated_bytes)
    out
  })
  fit_crl(sim, ...)
  list(planned = planned[1L], taken = taken)
}

four <- function(n, ...) withr::with_seed(1, sim_crl(chain_dag(4), n = n, p = 20, ...))

test_that("f-modeling takes what it says that it will", {
  skip_on_cran()
  sim <- four(3000)
  check <- function(sim, init = "pca", rows, ...) {
    found <- measured(sim, init = init, control = crl_control(max_iter = 3, seed = 1, ...))
    results <- 8 * (2 * rows * 4 + 3 * 8) # latents, their sds, the trace
    expect_equal(found$planned, found$taken[["EM"]] + results, tolerance = 0.02)
  }
  n_domains <- nrow(sim$targets)
  rows <- nrow(sim$x)
  check(sim, rows = rows)
  check(four(200), rows = 200 * n_domains)
  check(sim, rows = rows, score = "markov")
  check(sim, rows = rows, lambda = "auto", eta = "auto")
  check(sim, rows = rows, spline = spline_control(interaction = "additive"))
  check(sim, rows = rows, spline = spline_control(solver = "cg"))
  check(sim, rows = rows, spline = spline_control(reference = "none"))
  cut <- four(3000, intervention = "perfect")
  check(cut, list(mixing = cut$mixing, sigma2 = 1), rows = rows, mixing = "psd",
        intervention = "perfect", update_mixing = TRUE)
})

test_that("g-modeling takes no more than it says, and not much less", {
  skip_on_cran()
  check <- function(n, results, ...) {
    sim <- four(n)
    found <- measured(sim, method = "g", init = "pca", control = crl_control(
      seed = 1, max_iter = 3, saem = saem_control(burn_in = 5, iterations = 4, draws = 8), ...
    ))
    taken <- sum(found$taken) + 8 * results * 4 * nrow(sim$x)
    expect_gt(found$planned, taken)
    expect_lt(found$planned, 1.6 * taken)
  }
  # latents, sds, quantiles; with chains their draws and the start's latents
  for (n in c(200, 3000)) check(n, results = 6)
  check(3000, results = 4, prior = prior_linear())
})
