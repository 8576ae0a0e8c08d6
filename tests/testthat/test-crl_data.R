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
  expect_named(data, c("x", "rows", "row_names", "env", "env_names", "targets", "dag", "weights",
                       "n_env", "labels", "n", "p", "d", "n_domains", "latent_names",
                       "feature_names", "constant", "constant_at", "mean_square", "means",
                       "spreads", "variance", "missing", "lacking", "progress"))
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
  expect_equal(data$means, colMeans(given$x), tolerance = 1e-14)
  expect_equal(data$variance, sum(colMeans((given$x - rep(data$means, each = 60))^2)),
               tolerance = 1e-14)
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
  quick <- crl_control(max_iter = 1, start = start_search(mechanisms = "linear"))
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
  skip_on_cran()
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

test_that("rows are matched by name, whatever names what is given by row", {
  given <- input()
  rownames(given$x) <- paste0("cell", 1:60)
  wanted <- build(x = given$x)
  shuffled <- withr::with_seed(1, sample(60))
  env <- stats::setNames(given$env, rownames(given$x))
  for (values in list(env, factor(env, c("b", "a", "obs")))) {
    if (is.factor(values)) names(values) <- names(env)
    expect_identical(build(x = given$x, env = values[shuffled]), wanted)
  }
  labels <- stats::setNames(c(obs = "none", a = "raf", b = "mek")[given$env], rownames(given$x))
  by_row <- function(targets) crl_data(given$x, targets = targets, dag = given$dag)
  plain <- by_row(unname(labels))
  expect_identical(by_row(labels[shuffled]), plain)
  expect_identical(by_row(stats::setNames(factor(labels), names(labels))[shuffled])$env,
                   match(labels, c("mek", "none", "raf")))
  read <- intervention_targets(unname(labels), latents = c("raf", "mek"))
  attr(read, "env") <- stats::setNames(attr(read, "env"), names(labels))[shuffled]
  expect_identical(by_row(read), plain)
  rows <- given$targets[given$env, ]
  rownames(rows) <- rownames(given$x)
  expect_identical(by_row(rows[shuffled, ]), plain)
  expect_identical(by_row(as.data.frame(rows[shuffled, 2:1])), plain)
  expect_identical(by_row(as.list(labels)[shuffled]), plain)
  # rows of a data frame, too
  frame <- data.frame(given$x)
  expect_identical(frame_to_matrix(frame[shuffled, ])[rownames(given$x), 2], given$x[, 2])
})

test_that("names of rows that disagree are refused, those of one side go by position", {
  given <- input()
  rownames(given$x) <- paste0("cell", 1:60)
  env <- stats::setNames(given$env, rownames(given$x))
  refused <- function(..., pattern) {
    expect_error(build(x = given$x, ...), pattern, class = "ebcrl_error_names")
  }
  other <- env
  names(other)[3] <- "cell99"
  refused(env = other, pattern = "Missing: \"cell3\"[^c]*[.][^\"]*\"cell99\"")
  refused(env = stats::setNames(env, c("cell1", names(env)[-60])), pattern = "More than once")
  refused(env = stats::setNames(env, env), pattern = "Missing")
  wanted <- build(x = given$x)
  expect_identical(build(x = given$x, env = unname(env)), wanted)
  expect_identical(build(x = given$x, env = stats::setNames(env, 1:60)), wanted)
  expect_identical(build(x = unname(given$x), env = other)$env, wanted$env)
  expect_identical(build(x = `rownames<-`(given$x, 1:60), env = other)$env, wanted$env)
  # the same names twice, in the same order
  expect_silent(build(x = `rownames<-`(given$x, env), env = stats::setNames(env, env)))
})

test_that("targets by row and env are one design, or refused", {
  given <- input()
  labels <- unname(c(obs = "none", a = "raf", b = "mek")[given$env])
  expect_identical(build(targets = labels)$targets, build()$targets)
  halves <- paste0(given$env, rep(1:2, 30))
  fine <- build(targets = labels, env = halves)
  expect_identical(fine$env_names, unique(halves))
  expect_identical(unname(fine$targets[, "raf"]), c(0L, 0L, 1L, 1L, 0L, 0L))
  same <- build(targets = labels, env = labels)
  expect_identical(same$env_names, c("none", "raf", "mek"))
  expect_error(build(targets = rev(labels)), class = "ebcrl_error_domain", NA)
  expect_error(build(targets = labels[c(2:60, 1)]), "row 20", class = "ebcrl_error_domain")
})

test_that("labels, sets and tables by domain are read as such", {
  wanted <- build()
  same <- function(targets) expect_identical(build(targets = targets), wanted)
  same(c(obs = "none", a = "raf", b = "mek"))
  same(list(obs = "none", a = "raf", b = "mek"))
  same(tibble::tibble(domain = c("obs", "a", "b"), target = c("none", "raf", "mek")))
  same(tibble::tibble(domain = c("obs", "a", "b"), mek = c(0, 0, 1), raf = c(0, 1, 0)))
  custom <- intervention_targets(c(obs = "ctrl", a = "raf_ctrl", b = "mek"), c("raf", "mek"),
                                 none = "ctrl", sep = "_")
  expect_identical(build(targets = custom)$targets, wanted$targets)
  expect_identical(build(targets = custom)$labels, list(none = "ctrl", sep = "_"))
})

test_that("the columns of the matrices of a list are matched by name", {
  x <- `colnames<-`(input()$x, letters[1:5])
  parts <- list(obs = x[1:20, ], b = x[21:50, 5:1], a = x[51:60, c(2, 1, 3:5)])
  expect_identical(stack_domains(parts)$x, x)
})

test_that("an error says that x fits env when transposed", {
  given <- input(p = 70L)
  expect_error(build(x = t(given$x)), "transpose", class = "ebcrl_error_shape")
})

test_that("constant columns are left out with a message that names them", {
  x <- `colnames<-`(input()$x, paste0("g", 1:5))
  x[, 4] <- 7
  expect_message(data <- build(x = x), "1 of 5.*\"g4\"", class = "ebcrl_message_constant")
  expect_identical(data$constant, 4L)
  core <- varying_features(data)
  wanted <- build(x = x[, -4])
  wanted$constant <- integer()
  expect_equal(core, wanted)
  x[, 1:4] <- 0
  expect_error(build(x = x), class = "ebcrl_error_constant")
})

test_that("a fit with constant features is that without them, of all features", {
  skip_on_cran()
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 60, p = 5))
  put <- function(m, fill) rbind(m[1:2, ], fill, m[3:5, ])
  wide <- cbind(sim$x[, 1:2], 3, sim$x[, 3:5])
  controls <- list(
    list("f", crl_control(max_iter = 3, start = start_search(mechanisms = "linear"),
                          spline = spline_control(interaction = "additive"))),
    list("g", crl_control(saem = saem_control(burn_in = 5, iterations = 4, draws = 10, chains = 2),
                          seed = 1)),
    list("g", crl_control(prior = "linear", max_iter = 3))
  )
  for (one in controls) {
    plain <- fit_crl(sim, method = one[[1]], control = one[[2]])
    expect_message(fit <- fit_crl(wide, sim$env, sim$targets, sim$dag, method = one[[1]],
                                  control = one[[2]]), class = "ebcrl_message_constant")
    expect_equal(fit$mixing, put(plain$mixing, 0), ignore_attr = TRUE)
    expect_equal(fit$latents, plain$latents)
    expect_equal(fit$sigma2, plain$sigma2)
    expect_equal(fit$counts[["features_constant"]], 1)
    expect_output(print(fit), "1 feature with one value only")
    new <- predict(fit, wide[1:3, ], env = sim$env[1:3])
    expect_equal(new, predict(plain, sim$x[1:3, ], env = sim$env[1:3]))
    expect_identical(residuals(fit)[, 3], rep(0, 120))
    expect_equal(unname(residuals(fit)[, -3]), unname(residuals(plain)))
    expect_equal(unname(predict(fit, type = "x")[, 3]), rep(3, 120))
    further <- suppressWarnings(update(fit, max_iter = 2))
    expect_equal(further$mixing, put(update(plain, max_iter = 2)$mixing, 0), ignore_attr = TRUE)
    expect_equal(further$counts[["features_constant"]], 1)
    given <- suppressMessages(fit_crl(wide, sim$env, sim$targets, sim$dag, method = one[[1]],
                                      init = fit, control = one[[2]]))
    again <- fit_crl(sim, method = one[[1]], init = plain, control = one[[2]])
    expect_equal(given$latents, again$latents)
    if (inherits(fit, "crl_fit_g_gaussian")) expect_equal(logLik(fit), logLik(plain))
    if (one[[1]] == "g") {
      drawn <- withr::with_seed(1, simulate_domain(fit, "z1", 5))
      expect_identical(drawn$x[, 3], rep(3, 5))
      expect_equal(dim(drawn$x), c(5, 6))
      expect_equal(simulate(fit, 2, seed = 1), simulate(plain, 2, seed = 1))
    }
  }
})

test_that("a comparison leaves constant features out", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 60, p = 5))
  fits <- function(x) {
    lapply(list(a = 1, b = 20), function(lambda) {
      suppressMessages(fit_crl(x, sim$env, sim$targets, sim$dag, init = "pca",
                               control = crl_control(max_iter = 1, lambda = lambda)))
    })
  }
  plain <- crl_compare(fits(sim$x), folds = 2)
  wide <- crl_compare(fits(cbind(sim$x, 3)), folds = 2)
  expect_equal(wide$loss, plain$loss)
})

test_that("the hint for an object of another package is that of its class", {
  skip_on_cran()
  object <- function(class) asS4(structure(list(), class = class))
  hint <- function(class) {
    error <- rlang::catch_cnd(fit_crl(object(class), 1, diag(2), chain_dag(2)), "ebcrl_error_type")
    conditionMessage(error)
  }
  for (class in c("dgTMatrix", "dsCMatrix", "dgeMatrix", "dtRMatrix")) {
    expect_match(hint(class), "`as.matrix(x)`", fixed = TRUE)
  }
  expect_match(hint("lgCMatrix"), "`as.matrix(x) + 0`", fixed = TRUE)
  expect_match(hint("ExpressionSet"), "Biobase::exprs(x)", fixed = TRUE)
  expect_no_match(hint("something"), "as.matrix", fixed = TRUE)
  # classes that inherit, with their packages loaded
  where <- environment()
  for (class in c("RangedSummarizedExperiment", "MyExperiment")) {
    methods::setClass(class, contains = if (class == "MyExperiment") "RangedSummarizedExperiment",
                      representation(a = "numeric"), where = where)
  }
  # else they would stand for those of the package, should another test load it
  withr::defer(for (class in c("MyExperiment", "RangedSummarizedExperiment")) {
    methods::removeClass(class, where = where)
  })
  child <- methods::new("MyExperiment", a = 1)
  expect_match(dense_hint(child, "newdata"), "t(as.matrix(SummarizedExperiment::assay(newdata, \"logcounts\")))",
               fixed = TRUE)
  skip_if_not_installed("Matrix")
  sparse <- Matrix::Matrix(diag(3), sparse = TRUE)
  expect_match(dense_hint(sparse, "x"), "as.matrix(x)", fixed = TRUE)
  error <- rlang::catch_cnd(fit_crl(list(a = sparse, b = sparse), targets = diag(2),
                                    dag = chain_dag(2)), "ebcrl_error_type")
  expect_match(conditionMessage(error), "as.matrix(x)", fixed = TRUE)
})
