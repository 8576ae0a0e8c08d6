# Slow versions of the likelihoods of src/discover, from their equations.

# Moments of domains as the kernels take them: d coordinates, M domains.
random_summary <- function(d, n_domains) {
  cov <- array(0, c(d, d, n_domains))
  for (e in seq_len(n_domains)) {
    cov[, , e] <- crossprod(matrix(rnorm(30 * d), 30)) / 8 + diag(0.5, d)
  }
  list(n = 100 + 50 * seq_len(n_domains), mean = matrix(rnorm(d * n_domains), d), cov = cov,
       noise = diag(0.3, d) + 0.05)
}

discover_kernel_settings <- function(perfect, general, marginal = 0L, threads = 1L) {
  list(perfect = as.integer(perfect), general = as.integer(general), floor = 0.05, least = 1e-3,
       marginal = marginal, tol = 1e-6, max_iter = 500L, threads = threads)
}

state_moments <- function(summary, targets, j, c) {
  at <- which(targets[, j] == c)
  if (length(at) == 0L) return(NULL)
  share <- summary$n[at] / sum(summary$n[at])
  mean <- drop(summary$mean[, at, drop = FALSE] %*% share)
  second <- 0
  for (k in seq_along(at)) {
    second <- second + share[k] * (summary$cov[, , at[k]] + tcrossprod(summary$mean[, at[k]]))
  }
  list(n = sum(summary$n[at]), mean = mean, cov = second - tcrossprod(mean) - summary$noise)
}

slow_profile <- function(summary, dag, targets, columns, perfect, general) {
  value <- if (general) -sum(summary$n) * log(abs(det(columns))) else 0
  for (j in seq_len(ncol(dag))) for (c in 0:1) {
    m <- state_moments(summary, targets, j, c)
    if (is.null(m)) next
    v <- t(columns) %*% m$cov %*% columns
    pa <- if (c == 1 && perfect) integer() else which(dag[, j] == 1)
    left <- v[j, j]
    if (length(pa)) left <- left - v[j, pa] %*% solve(v[pa, pa], v[pa, j])
    floor <- 0.05 * drop(t(columns[, j]) %*% summary$noise %*% columns[, j])
    value <- value + m$n / 2 * log(max(left, floor))
  }
  drop(value)
}

# Minus the log-likelihood of the domains' moments at given parameters.
slow_marginal <- function(summary, targets, columns, intercept, variance, slopes) {
  d <- nrow(columns)
  total <- 0
  for (e in seq_along(summary$n)) {
    c <- targets[e, ] + 1
    b <- t(vapply(seq_len(d), function(j) slopes[, c[j], j], numeric(d)))
    at <- cbind(seq_len(d), c)
    inverse <- solve(diag(d) - b)
    mean <- columns %*% inverse %*% intercept[at]
    cov <- columns %*% inverse %*% diag(variance[at], d) %*% t(inverse) %*% t(columns) +
      summary$noise
    miss <- summary$mean[, e] - mean
    second <- summary$cov[, , e] + tcrossprod(miss)
    total <- total + summary$n[e] / 2 * (log(det(cov)) + sum(diag(solve(cov, second))))
  }
  total
}

discover_chain <- function(seed, d = 3, n = 400, p = 15, ...) {
  withr::with_seed(seed, {
    targets <- rbind(0, diag(d))
    rownames(targets) <- c("control", letters[seq_len(d)])
    weights <- matrix(0, d, d)
    weights[cbind(seq_len(d - 1), seq_len(d)[-1])] <- seq(0.8, 0.5, length.out = d - 1)
    sim_crl(chain_dag(d), n = n, p = p, nonlinearity = "linear", targets = targets,
            edge_weights = weights, ...)
  })
}
