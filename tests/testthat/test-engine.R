# Engines by class: every kind of fit knows how to do what is asked of fits.

sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 30, p = 6))

has_method <- function(generic, classes) {
  methods <- paste0(generic, ".", classes)
  any(vapply(methods, exists, NA, envir = asNamespace("ebcrl"), mode = "function"))
}

test_that("every prior has its constructor and every method", {
  for (name in PRIORS) {
    prior <- prior_maker(name)()
    expect_s3_class(prior, c(paste0("prior_", name), "crl_prior"))
    expect_identical(as_prior(name), prior)
    expect_identical(as_prior(prior), prior)
    for (generic in c("run_engine", "least_rows", "start_prior", "has_measurement")) {
      expect_true(has_method(generic, class(prior)), label = paste(generic, name))
    }
    for (generic in c("posterior_of", "posterior_sample", "continue_fit", "describe_engine",
                      "describe_verdict", "describe_convergence", "fit_notes", "engine_glance",
                      "plot_convergence", "mechanism_slopes", "has_state", "check_engine")) {
      expect_true(has_method(generic, c(fit_class("g", prior), "default")),
                  label = paste(generic, name))
    }
  }
})

test_that("a fit has the class of its method and prior, and keeps it", {
  quick <- crl_control(max_iter = 2, saem = saem_control(burn_in = 2, iterations = 2, draws = 4),
                       seed = 1)
  f <- fit_crl(sim, init = "pca", control = quick)
  expect_s3_class(f, c("crl_fit_f", "crl_fit"), exact = TRUE)
  expect_identical(fit_kind(f), "f")
  for (name in PRIORS) {
    fit <- fit_crl(sim, method = "g", init = "pca", control = update(quick, prior = name))
    expect_identical(class(fit), fit_class("g", fit$control$prior))
    expect_identical(fit_kind(fit), name)
    expect_identical(class(update(fit, 1)), class(fit))
    bent <- fit
    class(bent) <- class(f)
    expect_error(print(bent), "class", class = "ebcrl_error_fit")
    bent <- fit
    bent$control$prior <- setdiff(PRIORS, name)[1L]
    expect_error(predict(bent), "class", class = "ebcrl_error_fit")
  }
})

test_that("fitted mechanisms of either kind say the same: linear ones as splines, and turned", {
  fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
  linear <- fit$prior
  splines <- as_splines(linear, prior_control(crl_control()))
  z <- seq(-20, 20, length.out = 9)
  sign <- c(-1, 1)
  parents <- parent_list(fit$data$dag)
  for (cell in 1:4) {
    node <- (cell + 1) %/% 2
    expect_identical(acts_on(splines, cell), acts_on(linear, cell))
    mean_of <- function(prior, at) {
      total <- rep(cell_constant(prior, cell), length(at))
      if (acts_on(prior, cell)) total + parent_effect(prior, cell, parents[[node]], 1L, at) else
        total
    }
    expect_equal(mean_of(splines, z), mean_of(linear, z), tolerance = 1e-10)
    for (prior in list(linear, splines)) {
      # only z1 is turned, which is the parent of z2
      turned <- turned(prior, parents, sign)
      expect_equal(mean_of(turned, -z), mean_of(prior, z) * sign[node], tolerance = 1e-10)
    }
  }
})
