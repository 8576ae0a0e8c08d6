# Small simulations and fits for the tests of methods, plots and baselines.

small_sim <- function(seed = 1, n = 150, p = 12, ...) {
  withr::with_seed(seed, sim_crl(n = n, p = p, ...))
}

# Mixing matrix and noise variance known: one E-step, nothing to converge.
known <- function(sim) list(mixing = sim$mixing, sigma2 = sim$sigma2)

oracle_fit <- function(sim, ...) {
  fit_crl(sim, init = known(sim), control = crl_control(mixing = "fixed", ...))
}

unname_rows <- function(x) {
  rownames(x) <- NULL
  x
}
