# Families as sums of small tensor blocks: dense normal equations over the blocks side by side
# (helper-reference.R), what is determined and what is not, and where the blocks are the tensor.

graph_of_four <- function() {
  dag <- matrix(0, 4, 4)
  dag[upper.tri(dag)] <- 1
  parents_in(dag)
}

interaction_fit <- function(s, ..., parents = graph_of_four()) {
  score_fit(s$y, s$env, s$targets, parents, knots = 3, lambda = 2, ...)
}

interaction_reference <- function(s, omega = rep(1, 5), reference = 0 * s$y, score = "causal", ...,
                                  parents = graph_of_four()) {
  control <- utils::modifyList(
    list(score = score, knots = 3L, range = "data", penalty = "difference", lambda = 2), list(...)
  )
  ref_fit_score(s$y, s$env, s$targets, parents, omega, control, reference)
}

expect_values_close <- function(fit, reference, tolerance = 1e-8) {
  expect_identical(fit$status, "ok")
  for (what in c("score", "dscore", "range", "loss")) {
    expect_close(fit[[what]], reference[[what]], tolerance)
  }
}

test_that("sums over parents and pairs agree with dense normal equations", {
  skip_on_cran()
  withr::local_seed(1)
  s <- score_data(611, 4)
  omega <- c(0.3, 1.7, 1.1, 0.6, 2)
  known <- 0.1 * sin(s$y)
  for (interaction in c("additive", "pairwise")) {
    for (penalty in c("difference", "ridge")) {
      for (intervention in c("imperfect", "perfect")) {
        reference <- interaction_reference(s, omega, known,
          interaction = interaction, penalty = penalty, intervention = intervention
        )
        for (solver in c("cholesky", "cg")) {
          fit <- interaction_fit(s,
            omega = omega, reference = known, interaction = interaction, penalty = penalty,
            intervention = intervention, solver = solver
          )
          expect_values_close(fit, reference)
          expect_identical(lengths(unlist(fit$theta, FALSE)),
                           lengths(unlist(reference$theta, FALSE)))
        }
      }
    }
  }
})

test_that("sums over parents agree with dense normal equations: a log-density", {
  skip_on_cran()
  withr::local_seed(2)
  s <- score_data(611, 4)
  for (setting in list(
    list(interaction = "additive", penalty = "difference", solver = "cholesky"),
    list(interaction = "additive", penalty = "difference", solver = "cg"),
    list(interaction = "pairwise", penalty = "ridge", solver = "cg"),
    list(interaction = "pairwise", penalty = "difference", solver = "cholesky",
         intervention = "perfect")
  )) {
    reference <- do.call(interaction_reference, c(list(s, score = "markov"), setting))
    fit <- do.call(interaction_fit, c(list(s, score = "markov"), setting))
    expect_values_close(fit, reference)
    expect_close(fit$jacobian, reference$jacobian)
  }
})

# The tiny ridge picks one of many solutions; the score is that of all of them.
test_that("the score is that of the shortest solution without a ridge", {
  withr::local_seed(3)
  s <- score_data(811, 3)
  parents <- list(integer(), 1L, 1:2)
  terms <- list(c(3, 1), c(3, 2))
  fit <- interaction_fit(s, parents = parents, interaction = "additive")
  control <- list(knots = 3L, penalty = "difference", lambda = 2)
  rows <- which(s$targets[s$env, 3] == 0)
  phi <- ref_sum_features(s$y, terms, fit$range, 3)[rows, ]
  dphi <- ref_sum_features(s$y, terms, fit$range, 3, 1)[rows, ]
  system <- eigen(crossprod(phi) + ref_sum_penalty(terms, control), symmetric = TRUE)
  kept <- system$values > 1e-9 * system$values[1]
  expect_lt(sum(kept), 50) # constants and slopes in y_3 of the two terms
  vectors <- system$vectors[, kept]
  shortest <- vectors %*% (crossprod(vectors, -colSums(dphi)) / system$values[kept])
  expect_close(fit$score[rows, 3], phi %*% shortest, 1e-7)
  expect_close(fit$theta[[3]]$state0, shortest, 1e-4)
})

test_that("a sum of one term is the tensor", {
  withr::local_seed(4)
  s <- score_data(500, 3)
  chain <- list(integer(), 1L, 2L)
  collider <- list(integer(), 1L, 1:2)
  for (score in c("causal", "markov")) {
    tensor <- interaction_fit(s, parents = chain, score = score)
    for (interaction in c("additive", "pairwise")) {
      expect_identical(interaction_fit(s, parents = chain, score = score,
                                       interaction = interaction), tensor)
    }
    tensor <- interaction_fit(s, parents = collider, score = score)
    expect_identical(interaction_fit(s, parents = collider, score = score,
                                     interaction = "pairwise"), tensor)
    additive <- interaction_fit(s, parents = collider, score = score, interaction = "additive")
    expect_false(isTRUE(all.equal(additive$score, tensor$score)))
  }
})

test_that("sums: the order of rows and parents does not matter, threads give the same bits", {
  skip_on_cran()
  withr::local_seed(5)
  s <- score_data(9000, 4)
  order <- sample(9000)
  shuffled <- list(y = s$y[order, ], env = s$env[order], targets = s$targets)
  swap <- c(3, 1, 2, 4)
  swapped <- list(y = s$y[, swap], env = s$env, targets = s$targets[, swap])
  parents <- list(integer(), integer(), integer(), 1:3)
  for (solver in c("cholesky", "cg")) {
    fit <- function(s, threads = 1) {
      interaction_fit(s,
        parents = parents, interaction = "pairwise", solver = solver, threads = threads
      )
    }
    one <- fit(s)
    expect_identical(fit(s, 2), one)
    expect_close(fit(shuffled)$score, one$score[order, ])
    expect_close(fit(swapped)$score, one$score[, swap])
  }
})

sum_data <- function(d, n_env, p) {
  dag <- matrix(0, d, d)
  dag[seq_len(d - 1), d] <- 1
  s <- ref_data(n_env, p, dag)
  s$start <- list(mixing = ref_polar(s$mixing + 0.05 * stats::rnorm(p * d)), sigma2 = 0.7)
  s
}

fit_sum <- function(s, ...) {
  fit_crl(s$x, env = s$env, targets = s$targets, dag = s$dag, init = s$start,
          control = do.call(crl_control, utils::modifyList(
            list(spline = list(reference = "none")), list(...)
          )))
}

test_that("the EM with sums agrees with the reference, and predicts", {
  skip_on_cran()
  withr::local_seed(6)
  s <- sum_data(4, 203, 7)
  for (score in c("causal", "markov")) {
    fit <- fit_sum(s, score = score, spline = spline_control(interaction = "additive"), knots = 4,
                   max_iter = 4, tol = 0, mixing = "orthonormal")
    reference <- ref_fit(s$x, s$env, s$targets, s$dag, init = s$start, control = list(
      score = score, interaction = "additive", knots = 4L, max_iter = 4, reference = "none"
    ))
    expect_close(fit$latents, reference$latents)
    expect_close(fit$latents_sd, reference$latents_sd)
    expect_close(fit$mixing, reference$mixing)
    expect_close(fit$trace$loss, reference$trace$loss)
    again <- predict(fit, s$x, env = s$env)
    expect_close(again, fit$latents, 1e-12)
    expect_output(print(summary(fit)), paste0("Score: ", score, ", additive in the parents"))
  }
  expect_identical(fit$cells$coefficients[7:8], c(108, 108))
})

test_that("a latent may have many parents if they act one by one", {
  skip_on_cran()
  withr::local_seed(7)
  s <- sum_data(14, 40, 15)
  settings <- list(knots = 2, max_iter = 1)
  expect_error(do.call(fit_sum, c(list(s, spline = list(interaction = "tensor")), settings)),
               class = "ebcrl_error_memory")
  for (score in c("causal", "markov")) {
    fit <- do.call(fit_sum, c(list(s, spline = list(interaction = "additive"), score = score), settings))
    expect_identical(max(fit$cells$coefficients), 13 * 4^2)
    expect_true(all(is.finite(fit$latents)))
  }
  s$start$sigma2 <- 1e-6 # so few rows do not tell the score
  pairs <- fit_sum(s, spline = spline_control(interaction = "pairwise", solver = "cg"), knots = 2,
                   max_iter = 0)
  expect_identical(max(pairs$cells$coefficients), choose(13, 2) * 4^3)
})

# What "auto" stands for ---------------------------------------------------------------------------

collider <- function(parents) {
  dag <- matrix(0L, parents + 1L, parents + 1L)
  dag[seq_len(parents), parents + 1L] <- 1L
  as_dag(dag, direction = "from_row")
}

sizes_of <- function(dag, n, ...) {
  targets <- diag(nrow(dag))
  list(dag = as_dag(dag), targets = targets, n_env = rep(n, nrow(dag)),
       latent_names = colnames(as_dag(dag)), ...)
}

test_that("the interaction is chosen by coefficients against rows", {
  chosen <- function(dag, n, ...) {
    suppressMessages(resolved_interaction(crl_control(...), sizes_of(dag, n)))
  }
  expect_identical(chosen(chain_dag(6), 10), "tensor")
  expect_identical(chosen(complete_dag(3), 50), "tensor")
  expect_identical(chosen(complete_dag(3), 49), "additive")
  expect_identical(chosen(complete_dag(4), 500), "tensor")
  expect_identical(chosen(complete_dag(4), 499), "additive")
  expect_identical(chosen(complete_dag(5), 2999), "additive")
  expect_identical(chosen(complete_dag(5), 3000), "pairwise")
  expect_identical(chosen(collider(5), 1e6), "pairwise") # and not a million coefficients
  expect_identical(chosen(collider(6), 1e6), "additive")
  expect_identical(chosen(complete_dag(3), 20, knots = 4), "tensor")
  expect_identical(chosen(complete_dag(6), 10, spline = spline_control(interaction = "pairwise")),
                   "pairwise")
  expect_identical(chosen(complete_dag(6), 10, preset = "paper"), "tensor")
  # where an intervention cuts the parents off, its rows do not have to tell them
  expect_identical(chosen(complete_dag(3), 30, intervention = "perfect"), "tensor")
})

test_that("coefficients are counted as the C core has them", {
  withr::local_seed(8)
  sim <- sim_crl(complete_dag(5), n = 40, p = 6)
  data <- crl_data(sim$x, sim$env, sim$targets, sim$dag)
  for (kind in c("tensor", "pairwise", "additive")) {
    control <- crl_control(spline = spline_control(interaction = kind), knots = 3)
    cells <- spline_cells(kind, data, control)
    expect_identical(cells$node, rep(paste0("z", 3:5), each = 2))
    expect_identical(cells$coefficients, fit_cost(data, control)$coefficients[5:10])
    expect_identical(as.double(cells$rows), as.double(fit_cost(data, control)$rows[5:10]))
  }
})

test_that("what was chosen is said once, kept on the fit and used by all that follows", {
  withr::local_seed(9)
  sim <- sim_crl(complete_dag(4), n = 40, p = 6)
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  fit <- function(...) fit_crl(sim, init = known, control = crl_control(...))
  expect_message(auto <- fit(), "additive.*z4.*10,000 coefficients for 40 rows",
                 class = "ebcrl_message_interaction")
  expect_identical(auto$control$spline$interaction, "additive")
  expect_printed(auto, "Score: causal, additive in the parents \\(chosen\\)")
  expect_silent(additive <- fit(spline = spline_control(interaction = "additive")))
  expect_printed(additive, "additive in the parents, ")
  expect_identical(auto$latents, additive$latents)
  expect_silent(again <- predict(auto, sim$x, env = sim$env))
  expect_close(again, auto$latents, 1e-12)
  expect_silent(compared <- crl_compare(auto = auto, additive = additive, folds = 2))
  expect_identical(compared$loss[1], compared$loss[2])
  expect_silent(fit_crl(sim, dag = chain_dag(4), init = known))
})

test_that("a tensor that no rows can fill is refused with the figure, unless it is one of few", {
  withr::local_seed(10)
  sim <- sim_crl(complete_dag(7), n = 30, p = 8)
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  expect_error(fit_crl(sim, init = known,
                       control = crl_control(spline = spline_control(interaction = "tensor"))),
               "10,000,000 coefficients for 30 rows", class = "ebcrl_error_memory")
  refused <- crl_baselines(sim, dag = chain_dag(7), methods = c("true", "complete"), init = known,
                           control = crl_control(preset = "paper", mixing = "fixed"))
  expect_match(attr(refused, "refused"), "10,000,000 coefficients")
  expect_message(fits <- crl_baselines(sim, dag = chain_dag(7), methods = c("true", "complete"),
                                       init = known), class = "ebcrl_message_interaction")
  expect_identical(fits$true$control$spline$interaction, "tensor")
  expect_identical(fits$complete$control$spline$interaction, "additive")
})

test_that("a term system is solved the same whatever the rounding, though it is singular", {
  # functions of the node are in the term of each parent: corrections of the factor's solution ended
  # in steps along directions in which the matrix is 0 but for rounding
  dag <- matrix(0L, 4, 4)
  dag[1, 3] <- dag[2, 3] <- dag[3, 4] <- dag[1, 4] <- 1L
  targets <- rbind(0L, diag(4L), c(1L, 1L, 0L, 0L))
  withr::local_seed(2)
  sim <- sim_crl(dag = dag, n = c(150, 100, 90, 80, 110, 70), p = 7, targets = targets)
  fit <- function(by = 1, solver = "cholesky") {
    sim$x <- sim$x * by
    spline <- spline_control(interaction = "additive", solver = solver)
    control <- crl_control(max_iter = 0, knots = 4, spline = spline)
    suppressMessages(fit_crl(sim, init = "pca", control = control))
  }
  first <- fit()
  expect_lt(max(abs(unlist(first$score$theta))), 10)
  for (size in c(1e-14, 1e-13, 1e-12)) {
    moved <- fit(1 + size * cos(seq_along(sim$x)))
    expect_equal(moved$latents, first$latents, tolerance = 1e-9)
  }
  expect_equal(fit(solver = "cg")$latents, first$latents, tolerance = 1e-5)
})
