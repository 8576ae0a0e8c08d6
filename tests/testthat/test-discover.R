test_that("the profile likelihood is that of regressions on moments", {
  withr::local_seed(1)
  d <- 3L
  summary <- random_summary(d, 4L)
  dag <- unclass(chain_dag(d))
  dag[1, 3] <- 1L
  targets <- rbind(0L, diag(1L, d))
  rotation <- qr.Q(qr(matrix(rnorm(d^2), d)))
  columns <- matrix(rnorm(d^2), d)
  for (perfect in c(FALSE, TRUE)) {
    at <- function(columns, general) {
      .Call(C_discover_value, summary, dag, targets, columns,
            discover_kernel_settings(perfect, general), numeric(if (general) 6 else 3))$value
    }
    expect_equal(at(rotation, FALSE),
                 slow_profile(summary, dag, targets, rotation, perfect, FALSE), tolerance = 1e-10)
    unit <- columns / rep(sqrt(colSums(columns^2)), each = d)
    expect_equal(at(unit, TRUE), slow_profile(summary, dag, targets, unit, perfect, TRUE),
                 tolerance = 1e-10)
  }
})

test_that("the likelihood of y is that of normal distributions; its descent ends where it is flat", {
  withr::local_seed(2)
  d <- 3L
  summary <- random_summary(d, 4L)
  dag <- unclass(chain_dag(d))
  targets <- rbind(0L, diag(1L, d))
  rotation <- qr.Q(qr(matrix(rnorm(d^2), d)))
  for (perfect in c(FALSE, TRUE)) {
    found <- .Call(C_discover_marginal, summary, dag, targets, rotation,
                   discover_kernel_settings(perfect, FALSE))
    expect_true(found$converged)
    slow <- function(columns = matrix(found$columns, d), intercept = found$intercept[, , 1],
                     variance = found$variance[, , 1]) {
      slow_marginal(summary, targets, columns, intercept, variance,
                    array(found$slopes, c(d, 2, d)))
    }
    expect_equal(found$value, slow(), tolerance = 1e-10)
    for (g in seq_len(2 * d)) {
      moved <- replace(found$intercept[, , 1], g, found$intercept[g] + 0.02)
      expect_gt(slow(intercept = moved), found$value - 1e-4)
      moved <- replace(found$variance[, , 1], g, found$variance[g] * 1.05)
      expect_gt(slow(variance = moved), found$value - 1e-4)
    }
    turn <- diag(d)
    turn[1:2, 1:2] <- c(cos(0.02), sin(0.02), -sin(0.02), cos(0.02))
    expect_gt(slow(columns = matrix(found$columns, d) %*% turn), found$value - 1e-4)
  }
})

test_that("gradients are those of numerical differentiation", {
  skip_if_not_installed("numDeriv")
  withr::local_seed(3)
  d <- 3L
  summary <- random_summary(d, 4L)
  dag <- unclass(chain_dag(d))
  dag[1, 3] <- 1L
  targets <- rbind(0L, diag(1L, d))
  rotation <- qr.Q(qr(matrix(rnorm(d^2), d)))
  columns <- matrix(rnorm(d^2), d)
  columns <- columns / rep(sqrt(colSums(columns^2)), each = d)
  for (general in 0:1) for (perfect in 0:1) for (marginal in 0:1) {
    at <- function(step) {
      .Call(C_discover_value, summary, dag, targets, if (general) columns else rotation,
            discover_kernel_settings(perfect, general, marginal), step)
    }
    zero <- numeric(at(numeric())$size)
    numeric_gradient <- numDeriv::grad(function(step) at(step)$value, zero)
    expect_equal(at(zero)$gradient, numeric_gradient, tolerance = 1e-6)
  }
})

test_that("a linear chain is found: graph, targets, directions and effects", {
  sim <- discover_chain(1)
  found <- crl_discover(sim, d = 3)
  expect_identical(unclass(found$dag), unclass(sim$dag))
  expect_identical(c(found$targets), c(sim$targets))
  expect_gt(min(align_latents(found$mixing, sim$mixing)$agreement), 0.99)
  expect_identical(align_latents(found$mixing, sim$mixing)$signs,
                   c(z1 = 1, z2 = 1, z3 = 1))
  edges <- found$edges[found$edges$present, ]
  expect_equal(edges$effect, c(0.8, 0.5), tolerance = 0.1)
  expect_true(all(edges$evidence > 0.95 & edges$loss > 50))
  expect_true(all(found$hits$evidence[found$hits$present] > 0.95))
  expect_equal(sum(found$hypotheses$share), 1, tolerance = 1e-3)
  expect_false(is.unsorted(found$hypotheses$bic))
})

test_that("order of domains, turns and units of x, and threads do not matter", {
  sim <- discover_chain(2, n = 300)
  found <- crl_discover(sim, d = 3)
  withr::local_seed(1)
  turn <- qr.Q(qr(matrix(rnorm(15^2), 15)))
  turned <- crl_discover(1000 * sim$x %*% turn, env = sim$env, d = 3)
  expect_identical(turned$dag, found$dag)
  expect_identical(turned$targets, found$targets)
  expect_equal(turned$hypotheses$behind[2:4], found$hypotheses$behind[2:4], tolerance = 1e-4)
  expect_equal(turn %*% turned$mixing, found$mixing, tolerance = 1e-3,
               ignore_attr = TRUE)
  renamed <- factor(sim$env, rev(levels(sim$env)))
  other <- crl_discover(sim$x, env = renamed, d = 3)
  expect_identical(other$dag, found$dag)
  expect_identical(unclass(other$targets)[rownames(found$targets), ], unclass(found$targets)[, ])
  expect_equal(other$hypotheses$bic[1], found$hypotheses$bic[1], tolerance = 1e-6)
  two <- crl_discover(sim, d = 3, threads = 2)
  same <- setdiff(names(found), c("elapsed", "call", "settings"))
  expect_identical(unclass(two)[same], unclass(found)[same])
  before <- get0(".Random.seed", globalenv())
  again <- crl_discover(sim, d = 3)
  expect_identical(get0(".Random.seed", globalenv()), before)
  expect_identical(unclass(again)[same], unclass(found)[same])
  seeded <- crl_discover(sim, d = 3, seed = 9)
  expect_identical(seeded$dag, found$dag)
  expect_equal(seeded$hypotheses$bic[1], found$hypotheses$bic[1], tolerance = 1e-6)
})

test_that("without an observational domain, and with several targets a domain", {
  sim <- discover_chain(3, n = 600)
  no_control <- sim$env != "control"
  found <- crl_discover(sim$x[no_control, ], env = droplevels(sim$env[no_control]), d = 3)
  expect_identical(unclass(found$dag), unclass(sim$dag))
  expect_identical(c(found$targets), c(diag(1L, 3)))
  several <- withr::with_seed(4, {
    targets <- rbind(control = c(0, 0, 0), a = c(1, 0, 0), b = c(1, 1, 0), c = c(0, 1, 1))
    sim_crl("z1 -> z2 -> z3", n = 600, p = 15, nonlinearity = "linear", targets = targets,
            edge_weights = rbind(c(0, 0.8, 0), c(0, 0, 0.6), 0))
  })
  found <- crl_discover(several, d = 3, max_targets = 2, observational = "control")
  expect_identical(unclass(found$dag), unclass(several$dag))
  expect_identical(c(found$targets), c(several$targets))
})

test_that("what is known is kept, and names stand for what they name", {
  sim <- discover_chain(5)
  named <- c("raf", "mek", "erk")
  found <- crl_discover(sim, targets = list(control = character(), a = "raf"),
                        dag = known_edges(order = named))
  expect_identical(found$order, named)
  expect_identical(found$dag["raf", "mek"], 1L)
  expect_identical(unname(found$targets["a", ]), c(1L, 0L, 0L))
  expect_identical(found$hits$known[found$hits$domain == "a"], TRUE)
  graph_known <- crl_discover(sim, dag = "raf -> mek -> erk")
  expect_identical(c(graph_known$targets), c(sim$targets))
  targets_known <- crl_discover(sim, targets = sim$targets)
  expect_identical(unclass(targets_known$dag), unclass(sim$dag))
  wrong <- crl_discover(sim, targets = sim$targets,
                        dag = known_edges(required = "z1 -> z3", forbidden = "z1 -> z2"))
  expect_identical(wrong$dag["z1", "z3"], 1L)
  expect_identical(wrong$dag["z1", "z2"], 0L)
  expect_gt(wrong$hypotheses$bic[1], targets_known$hypotheses$bic[1] + 20)
})

test_that("noise, and domains that do not differ, give no edges and say so", {
  withr::local_seed(6)
  env <- rep(letters[1:4], each = 300)
  noise <- matrix(rnorm(1200 * 12), 1200)
  expect_error(crl_discover(noise, env), class = "ebcrl_error_rank")
  x <- noise + matrix(rnorm(1200 * 3, sd = 2), 1200) %*% t(qr.Q(qr(matrix(rnorm(36), 12))))
  expect_message(found <- crl_discover(x, env), class = "ebcrl_message_latents")
  expect_identical(ncol(found$dag), 3L)
  expect_identical(sum(found$dag), 0L)
  expect_identical(sum(found$targets), 0L)
  expect_output(print(found), "No domain is seen to move a latent")
})

test_that("fit_crl() takes a discovery, and looks for a graph that is NULL", {
  sim <- discover_chain(7, n = 200, p = 10)
  found <- crl_discover(sim, d = 3)
  fit <- fit_crl(found)
  expect_identical(fit$control$intervention, "perfect")
  expect_identical(unclass(fit$data$dag), unclass(found$dag))
  expect_message(other <- fit_crl(sim$x, env = sim$env, dag = NULL,
                                  control = list(intervention = "perfect")),
                 class = "ebcrl_message_discovered") |>
    expect_message(class = "ebcrl_message_latents")
  expect_identical(other$latents, fit$latents)
})

test_that("methods say what is there", {
  found <- crl_discover(discover_chain(8, n = 300), d = 3)
  expect_identical(tidy(found, "hypotheses"), found$hypotheses)
  expect_identical(tidy(found), found$edges)
  expect_identical(glance(found)$edges, 2L)
  expect_output(print(summary(found)), "Hypotheses \\(\\d+ looked at\\)")
  for (type in c("graph", "hypotheses", "stability")) {
    expect_s3_class(ggplot2::ggplot_build(autoplot(found, type))$plot, "ggplot")
  }
})

test_that("what contradicts itself is refused", {
  sim <- discover_chain(9, n = 100, p = 8)
  expect_snapshot(error = TRUE, {
    crl_discover(sim$x)
    crl_discover(sim, d = 2, dag = "a -> b -> c")
    crl_discover(sim, d = 3, observational = "ctrl")
    crl_discover(sim, targets = rbind(a = c(z1 = 1, z2 = 1, z3 = 0)))
    crl_discover(sim, d = 3, max_targets = 0)
    known_edges(required = "a -> b", forbidden = "a -> b")
    known_edges(required = "a -> b", order = c("b", "a"))
  })
})

test_that("further factors are told of", {
  sim <- withr::with_seed(4, sim_crl(chain_dag(2), n = 200, p = 20, nuisance = 2,
                                     nonlinearity = "linear"))
  found <- function(...) {
    crl_discover(sim$x, env = sim$env, d = 2, mechanisms = "linear", ...)
  }
  expect_gt(found()$doubts$eigenvalue, found()$doubts$edge)
  expect_output(print(found()), "further\\s+common\\s+factors")
  expect_null(found(nuisance = 2)$doubts)
  expect_null(found(nuisance = "auto")$doubts)
})

test_that("covariates are taken out before the search, and stay so in the fit", {
  sim <- discover_chain(11, n = 300)
  withr::local_seed(11)
  rows <- nrow(sim$x)
  frame <- data.frame(batch = sample(c("a", "b", "c"), rows, TRUE), size = stats::rnorm(rows))
  effects <- matrix(stats::rnorm(3 * ncol(sim$x), sd = 4), 3)
  x <- sim$x + cbind(frame$batch == "b", frame$batch == "c", frame$size) %*% effects
  with <- crl_discover(x, env = sim$env, d = 3, covariates = frame, mechanisms = "linear")
  clean <- crl_discover(sim, d = 3, mechanisms = "linear")
  expect_identical(with$dag, clean$dag)
  expect_identical(with$targets, clean$targets)
  expect_output(print(with), "effects of 3 covariates")
  batch <- frame$batch
  size <- frame$size
  expect_message(counted <- crl_discover(x, env = sim$env, covariates = ~ batch + size,
                                         mechanisms = "linear"), "d.* is 3")
  expect_identical(counted$dag, clean$dag)

  fit <- fit_crl(with)
  direct <- fit_crl(x, sim$env, with$targets, with$dag, covariates = frame,
                    control = crl_control(intervention = "perfect"))
  expect_identical(fit$latents, direct$latents)
  expect_identical(fit$data$covariates$effects, with$data$covariates$effects)
  expect_close(predict(fit, x[4:6, ], env = sim$env[4:6], covariates = frame[4:6, ]),
               fit$latents[4:6, ], 1e-8)
  expect_error(fit_crl(with, covariates = frame), class = "ebcrl_error_covariates")
  looked_for <- suppressMessages(fit_crl(x, env = sim$env, dag = NULL, covariates = frame,
                                         control = list(intervention = "perfect")))
  expect_identical(unclass(looked_for$data$dag), unclass(clean$dag))
  expect_identical(looked_for$data$covariates$effects, with$data$covariates$effects)
})

test_that("a search shows what it does, also while it counts latents", {
  skip_on_cran()
  sim <- discover_chain(12, n = 150)
  stages <- recorded_stages(crl_discover(sim$x, env = sim$env, mechanisms = "linear"))
  stages <- stages[!startsWith(stages, "Pass: ")]
  expect_identical(stages, c("Number of latents", "Measurement model", "Graph and targets",
                             "Further factors"))
})
