input <- function(n_each = 20L, p = 5L) {
  env <- rep(c("obs", "a", "b"), each = n_each)
  list(
    x = withr::with_seed(1, matrix(stats::rnorm(length(env) * p), length(env))), env = env,
    targets = rbind(obs = c(raf = 0, mek = 0), a = c(1, 0), b = c(0, 1)), dag = as_dag("raf -> mek")
  )
}

build <- function(...) {
  do.call(crl_data, utils::modifyList(input(), list(...)))
}

test_that("crl_data() holds every field of the canonical form", {
  data <- build()
  given <- input()
  expect_s3_class(data, "crl_data")
  expect_named(data, c("x", "env", "env_names", "targets", "dag", "weights", "n_env", "n", "p", "d",
                       "n_domains", "latent_names", "feature_names", "mean_square"))
  expect_identical(data$x, given$x)
  expect_identical(data$env, rep(1:3, each = 20L))
  expect_identical(data$env_names, c("obs", "a", "b"))
  expect_identical(data$targets,
                   matrix(c(0L, 1L, 0L, 0L, 0L, 1L), 3, dimnames = dimnames(given$targets)))
  expect_identical(data$dag, given$dag)
  expect_identical(data$weights, rep(1 / 3, 3))
  expect_identical(data[c("n", "p", "d", "n_domains")],
                   list(n = 60L, p = 5L, d = 2L, n_domains = 3L))
  expect_identical(data$n_env, rep(20L, 3))
  expect_null(data$feature_names)
  expect_equal(data$mean_square, mean(rowSums(given$x^2)), tolerance = 1e-14)
})

test_that("rows are found by domain name, in the order of targets", {
  given <- input()
  shuffled <- withr::with_seed(2, sample(given$env))
  for (env in list(shuffled, factor(shuffled), factor(shuffled, c("b", "unused", "obs", "a")))) {
    expect_identical(build(env = env)$env, match(shuffled, c("obs", "a", "b")))
  }
  unnamed <- `rownames<-`(given$targets, NULL)
  codes <- match(shuffled, c("obs", "a", "b"))
  expect_identical(build(targets = unnamed, env = codes)$env, codes)
  expect_identical(build(targets = unnamed, env = as.double(codes))$env, codes)
  thousands <- c("100000", "200000", "300000")
  large <- build(targets = `rownames<-`(given$targets, thousands), env = 1e5 * codes)
  expect_identical(large$env, codes)
  expect_identical(known_domains(1e5 * codes, length(codes), thousands, NULL), codes)
})

test_that("latents follow the order of the graph", {
  given <- input()
  swapped <- build(targets = given$targets[, c("mek", "raf")])
  expect_identical(swapped, build())
  expect_identical(build(dag = chain_dag(2))$latent_names, c("raf", "mek"))
  expect_identical(colnames(build(dag = chain_dag(2))$dag), c("raf", "mek"))
  expect_identical(build(targets = list(obs = NULL, a = "raf", b = "mek")), build())
  expect_identical(build(dag = "raf -> mek"), build())
})

test_that("env comes from targets that go by row", {
  labels <- c(obs = "none", a = "raf", b = "mek")[input()$env]
  by_row <- crl_data(input()$x, targets = unname(labels), dag = "raf -> mek")
  expect_identical(by_row$env, build()$env)
  expect_identical(unname(by_row$targets), unname(build()$targets))
  pcalg <- intervention_targets(list(NULL, 1, 2), target.index = build()$env)
  expect_identical(crl_data(input()$x, targets = pcalg, dag = "raf -> mek")$env, build()$env)
})

test_that("weights are matched by name and sum to 1", {
  expect_identical(build(weights = c(2, 1, 1))$weights, c(0.5, 0.25, 0.25))
  expect_identical(build(weights = c(b = 2L, obs = 1L, a = 1L))$weights, c(0.25, 0.25, 0.5))
  uneven <- build(x = input()$x[-(1:5), ], env = input()$env[-(1:5)])
  expect_equal(uneven$weights, c(15, 20, 20) / 55)
})

test_that("names of rows and columns of x are carried through", {
  x <- input()$x
  dimnames(x) <- list(paste0("cell", seq_len(nrow(x))), letters[1:5])
  data <- build(x = x)
  expect_identical(data$feature_names, letters[1:5])
  expect_identical(dimnames(data$x), dimnames(x))
})

test_that("an integer matrix is taken as numbers", {
  x <- round(10 * input()$x)
  whole <- x
  storage.mode(whole) <- "integer"
  expect_identical(build(x = whole)$x, x)
})

test_that("a state that no domain is in is allowed, one with few rows is not", {
  given <- input()
  never <- `[<-`(given$targets, "b", "mek", 0)
  expect_identical(sum(build(targets = never)$targets[, "mek"]), 0L)
  few <- c(1:20, 21:30, 41:60)
  expect_silent(build(x = given$x[few, ], env = given$env[few]))
  few <- few[-21]
  expect_error(build(x = given$x[few, ], env = given$env[few]), class = "ebcrl_error_cell")
  expect_silent(build(x = given$x[few, ], env = given$env[few], knots = 7L))
})

test_that("a double matrix is neither copied nor shadowed by anything of its size", {
  skip_if_not(capabilities("profmem"))
  n <- 4000L
  x <- withr::with_seed(1, matrix(stats::rnorm(n * 100), n))
  env <- rep_len(1:2, n)
  targets <- diag(2)
  dag <- chain_dag(2)
  crl_data(x, env, targets, dag)
  log <- withr::local_tempfile()
  utils::Rprofmem(log, threshold = 8 * length(x) / 4)
  data <- crl_data(x, env, targets, dag)
  utils::Rprofmem(NULL)
  expect_identical(grep("^[0-9]+ :", readLines(log), value = TRUE), character())
  expect_identical(data$x, x)
})

test_that("stack_domains() stacks once and keeps names", {
  parts <- list(obs = input()$x[1:20, ], b = input()$x[21:50, ], a = input()$x[51:60, ])
  stacked <- stack_domains(parts)
  expect_identical(stacked$x, input()$x)
  expect_identical(stacked$env, factor(rep(c("obs", "b", "a"), c(20, 30, 10)), c("obs", "b", "a")))
  expect_identical(levels(stack_domains(unname(parts))$env), c("1", "2", "3"))
  frames <- list(a = data.frame(u = 1:2, v = c(0.5, 1)), b = data.frame(u = 3L, v = 2))
  expect_identical(stack_domains(frames)$x, cbind(u = c(1, 2, 3), v = c(0.5, 1, 2)))
})

test_that("frame_to_matrix() converts numbers and keeps names", {
  frame <- data.frame(u = 1:3, v = c(0.5, 1, 2))
  expect_identical(frame_to_matrix(frame), cbind(u = c(1, 2, 3), v = c(0.5, 1, 2)))
  rownames(frame) <- c("a", "b", "c")
  expect_identical(rownames(frame_to_matrix(frame)), c("a", "b", "c"))
  # a class that keeps its numbers in another form
  registerS3method("as.double", "crl_tenths", function(x, ...) unclass(x) / 10)
  frame$w <- structure(c(10, 20, 30), class = "crl_tenths")
  expect_identical(unname(frame_to_matrix(frame)[, "w"]), c(1, 2, 3))
})

test_that("the call of a fit can be evaluated again, however x came", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 30, p = 4))
  quick <- crl_control(max_iter = 1, mechanisms = "linear")
  rows <- lapply(split(seq_len(60), sim$env), function(at) sim$x[at, ])
  fits <- list(
    fit_crl(sim$x, sim$env, targets = sim$targets, dag = sim$dag, control = quick),
    fit_crl(as.data.frame(sim$x), sim$env, targets = sim$targets, dag = sim$dag, control = quick),
    fit_crl(rows, targets = sim$targets, dag = sim$dag, control = quick),
    fit_crl(sim, control = quick)
  )
  for (fit in fits) {
    expect_identical(fit$call[[1]], quote(fit_crl))
    expect_identical(eval(fit$call)$mixing, fit$mixing)
  }
})

test_that("fit_crl() gives the same fit for a matrix, a data frame, a list and a simulation", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 60, p = 6))
  settings <- crl_control(max_iter = 3)
  fit <- fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag, control = settings)
  frame <- fit_crl(as.data.frame(sim$x), env = sim$env, targets = sim$targets, dag = sim$dag,
                   control = settings)
  parts <- lapply(split(seq_along(sim$env), sim$env), function(rows) sim$x[rows, ])
  by_domain <- fit_crl(parts, targets = sim$targets, dag = sim$dag, control = settings)
  expect_identical(unname(frame$latents), unname(fit$latents))
  expect_identical(by_domain$latents, fit$latents)
  expect_identical(fit_crl(sim, control = settings)$latents, fit$latents)
  expect_identical(rownames(frame$mixing), paste0("V", 1:6))
  expect_identical(colnames(fit$latents), c("z1", "z2"))
})
