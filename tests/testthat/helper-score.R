# The compiled score models at given pseudo-latents, for tests against the reference.

score_fit <- function(y, env, targets, parents, omega = rep(1, nrow(targets)), range = "data",
                      knots = 8, penalty = "difference", lambda = 5, solver = "cholesky",
                      threads = 1, intervention = "imperfect", reference = NULL, score = "causal",
                      interaction = "tensor", cg_tol = 1e-13) {
  storage.mode(targets) <- "integer"
  control <- list(
    knots = as.integer(knots), penalty = penalty,
    lambda = lambda, solver = solver,
    choose_lambda = FALSE, choose_eta = FALSE,
    cg_tol = cg_tol, cg_max_iter = 5000L, threads = as.integer(threads),
    perfect = intervention == "perfect", score = score,
    interaction = interaction,
    range = if (!identical(range, "data")) matrix(as.double(range), 2, ncol(y))
  )
  .Call(C_score_fit, y, as.integer(env), targets, parents, omega, control, reference)
}

parents_in <- function(dag) lapply(seq_len(ncol(dag)), function(j) which(dag[, j] == 1))

score_data <- function(n, d) {
  targets <- rbind(0L, diag(1L, d))
  env <- sample(nrow(targets), n, replace = TRUE)
  y <- matrix(stats::rnorm(n * d, sd = 2), n, d)
  for (j in seq_len(d)[-1]) y[, j] <- y[, j] + tanh(y[, j - 1])
  y <- y + 3 * targets[env, ]
  list(y = y, env = env, targets = targets)
}

expect_score_close <- function(fit, reference, tolerance = 1e-8) {
  expect_close(fit$score, reference$score, tolerance)
  expect_close(fit$dscore, reference$dscore, tolerance)
  expect_close(fit$theta, reference$theta, tolerance)
  expect_close(fit$range, reference$range, 1e-14)
  expect_close(fit$loss, reference$loss, tolerance)
}
