sim <- small_sim(5, n = 120, dag = chain_dag(3))
oracle <- crl_control(mixing = "fixed")
baselines <- crl_baselines(sim, init = known(sim), control = oracle)

without_time <- function(object) {
  object[] <- lapply(object, function(fit) utils::modifyList(fit, list(elapsed = 0)))
  object
}

test_that("each baseline is the fit that it stands for", {
  fit <- function(dag = sim$dag, targets = sim$targets, ...) {
    fit_crl(sim$x, env = sim$env, targets = targets, dag = dag, init = known(sim),
            control = crl_control(mixing = "fixed", ...))
  }
  pooled <- sim$targets
  pooled[] <- 0L
  expect_named(baselines, c("true", "complete", "empty", "pooled", "no_shrinkage", "pca"))
  expect_equal(baselines$true$latents, fit()$latents)
  expect_equal(baselines$complete$latents, fit(complete_dag(3))$latents)
  expect_equal(baselines$empty$latents, fit(empty_dag(3))$latents)
  expect_equal(baselines$pooled$latents, fit(targets = pooled)$latents)
  expect_equal(baselines$no_shrinkage$latents, sim$x %*% sim$mixing)
})

test_that("the baselines differ", {
  latents <- lapply(baselines, `[[`, "latents")
  pairs <- utils::combn(length(latents), 2)
  differ <- apply(pairs, 2, function(at) max(abs(latents[[at[1]]] - latents[[at[2]]])))
  expect_gt(min(differ), 1e-3)
})

test_that("PCA has its own loadings and noise variance, and no EM", {
  components <- eigen(crossprod(sim$x), symmetric = TRUE)
  expect_equal(abs(unname(baselines$pca$mixing)), abs(components$vectors[, 1:3]))
  expect_equal(baselines$pca$latents, sim$x %*% baselines$pca$mixing)
  expect_equal(baselines$pca$sigma2, mean(components$values[-(1:3)]) / nrow(sim$x))
  expect_identical(baselines$pca$iterations, 0L)
  expect_identical(baselines$true$sigma2, sim$sigma2)
})

test_that("each baseline has a start of its own, and so an A of its own, unless init gives one", {
  skip_on_cran()
  control <- crl_control(start = start_search(mechanisms = "linear"), max_iter = 3)
  learned <- crl_baselines(sim, control = control)
  alone <- function(dag = sim$dag, targets = sim$targets) {
    fit_crl(sim$x, env = sim$env, targets = targets, dag = dag, control = control)$mixing
  }
  pooled <- sim$targets
  pooled[] <- 0L
  expect_identical(learned$true$mixing, alone())
  expect_identical(learned$complete$mixing, alone(complete_dag(3)))
  expect_identical(learned$empty$mixing, alone(empty_dag(3)))
  expect_identical(learned$pooled$mixing, alone(targets = pooled))
  # shrinkage is no part of the start
  expect_identical(learned$no_shrinkage$mixing, learned$true$mixing)
  differs <- vapply(c("complete", "empty", "pooled", "pca"), function(name) {
    max(abs(learned[[name]]$mixing - learned$true$mixing))
  }, 0)
  expect_true(all(differs > 1e-6))
  # one A for all but PCA
  shared <- crl_baselines(sim, init = learned$true, control = control)
  for (name in setdiff(names(shared), "pca")) {
    expect_equal(shared[[name]]$mixing, learned$true$mixing, tolerance = 1e-12)
  }
})

test_that("the complete graph follows the causal order, not the order of the columns", {
  dag <- as_dag("b -> a; c -> b")
  data <- crl_data(sim$x, sim$env, sim$targets, as_dag(dag))
  graph <- unclass(baseline_data("complete", data)$dag)
  order <- data$latent_names[topological_order(data$dag)]
  expect_true(all(graph[order, order][upper.tri(graph)] == 1L))
  expect_identical(colnames(graph), data$latent_names)
  expect_true(all(graph[unclass(data$dag) == 1L] == 1L))
})

test_that("all fits share x with the caller", {
  skip_on_cran()
  x <- sim$x
  fits <- crl_baselines(x, sim$env, sim$targets, sim$dag, methods = c("pooled", "true", "pca"),
                        control = crl_control(max_iter = 2))
  expect_named(fits, c("true", "pooled", "pca"))
  addresses <- vapply(fits, function(fit) rlang::obj_address(fit$data$x), "")
  expect_identical(unique(addresses), rlang::obj_address(x))
})

test_that("the types of input give the same baselines", {
  wanted <- baselines["empty"]
  only <- function(x, ...) {
    crl_baselines(x, ..., methods = "empty", init = known(sim), control = oracle)
  }
  same <- function(object) expect_equal(unname(object$empty$latents), unname(wanted$empty$latents))
  same(only(sim))
  same(only(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag))
  same(only(as.data.frame(sim$x), env = sim$env, targets = sim$targets, dag = sim$dag))
  by_domain <- lapply(split(seq_len(nrow(sim$x)), sim$env), function(rows) sim$x[rows, ])
  same(only(by_domain, targets = sim$targets, dag = sim$dag))
})

test_that("print is a table with every numerical event", {
  expect_snapshot(without_time(baselines))
  baselines$empty$counts[["jittered"]] <- 2
  expect_output(print(baselines), "empty graph: In 2 of 6 \\(node, state\\) cells")
})

test_that("a baseline that would need too much memory is reported, not fatal", {
  skip_on_cran()
  needed <- fit_cost(baselines$complete$data, baselines$complete$control)$bytes / 1e9
  limit <- crl_control(mixing = "fixed", max_memory = needed * 0.99)
  some <- crl_baselines(sim, init = known(sim), control = limit)
  expect_named(some, c("true", "empty", "pooled", "no_shrinkage", "pca"))
  expect_named(attr(some, "refused"), "complete")
  expect_match(attr(some, "refused"), "GB")
  expect_output(print(some), "Not fitted:\n- complete graph: ")
  expect_output(print(summary(some, truth = sim)), "Not fitted:\n- complete graph: ")

  none <- crl_control(max_memory = 1e-6)
  expect_error(crl_baselines(sim, control = none), class = "ebcrl_error_memory")
})

test_that("errors of the input are fatal and name the function", {
  expect_error(crl_baselines(sim, methods = "truth"), class = "ebcrl_error_range")
  expect_error(crl_baselines(sim, methods = 1), class = "ebcrl_error_type")
  expect_error(crl_baselines(sim, graph = 1), class = "ebcrl_error_type")
  expect_error(crl_baselines(sim$x, env = sim$env, targets = sim$targets),
               class = "ebcrl_error_type")
  expect_error(crl_baselines(sim, init = list(mixing = diag(2))), class = "ebcrl_error_init")
  expect_snapshot(crl_baselines(sim, methods = c("true", "truth")), error = TRUE)
})

test_that("the summary tells errors and regret", {
  bayes <- withr::with_seed(1, bayes_latents(sim, draws = 200))
  table <- summary(baselines, truth = sim, bayes = bayes)
  expect_equal(table$errors$rel_mse, vapply(baselines, rel_mse, 0, truth = sim),
               ignore_attr = TRUE)
  expect_equal(table$errors$frobenius_error,
               vapply(baselines, frobenius_error, 0, truth = sim), ignore_attr = TRUE)
  expect_equal(table$errors$regret, table$errors$rel_mse / rel_mse(bayes, sim) - 1)
  expect_identical(dim(table$by_domain), c(7L, 3L))
  expect_equal(table$by_domain["Bayes optimum", ],
               stats::setNames(rel_mse(bayes, sim, by = "env")$rel_mse, levels(sim$env)))
  expect_equal(unname(table$by_domain["PCA", ]),
               rel_mse(baselines$pca, sim, by = "env")$rel_mse)
  expect_snapshot(table)

  plain <- summary(baselines, truth = sim)
  expect_false("regret" %in% names(plain$errors))
  expect_identical(nrow(plain$by_domain), 6L)
})

test_that("baselines and experiments have the measurement model of fits", {
  withr::local_seed(4)
  sim <- sim_crl(chain_dag(2), n = 120, p = 12, nonlinearity = "linear", center = 3)
  expect_message(both <- crl_baselines(sim, methods = c("true", "no_shrinkage")),
                 class = "ebcrl_message_measurement")
  expect_equal(both$true$center, suppressMessages(fit_crl(sim))$center)
  expect_null(crl_baselines(sim, methods = "true", center = FALSE, noise = "equal")$true$center)
  found <- crl_experiment(list(means = list(dag = chain_dag(2), n = 120, p = 12, center = 3)),
                          methods = list(auto = list(), paper = list(center = FALSE)), seeds = 1:2)
  expect_true(all(found$rel_mse[found$method == "auto"] < found$rel_mse[found$method == "paper"]))
  expect_error(crl_experiment(methods = list(a = list(noise = "none"))),
               class = "ebcrl_error_range")
})
