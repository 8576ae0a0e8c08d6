# The Bayes optimum: posterior of the latents under the simulation's own model.

# Largest number of latents for which importance sampling is the default.
MAX_IMPORTANCE <- 5L

#' Bayes-optimal latents of simulated data
#'
#' Posterior means and standard deviations of the latents given the observations, under the true
#' structural causal model, mixing matrix and noise variance of a simulation. No estimator has a
#' smaller expected squared error, so `rel_mse(fit, sim) / rel_mse(bayes_latents(sim), sim) - 1`
#' says what a fit loses against the best possible. (Strictly so, up to the luck of the sample, for
#' `ratio = "pooled"`; averaged row ratios weigh rows by 1/|z|^2, which the posterior mean does not
#' know, and agree closely as long as no domain has many rows near the origin.)
#'
#' The projections \eqn{y = (A'A)^{-1} A'x = z + N(0, \sigma^2 (A'A)^{-1})} hold all that x says
#' about the latents. The posterior given y is computed by importance sampling: latents are proposed
#' in causal order from \eqn{p(z_j | z_{pa(j)}, y_j)}, which is Gaussian, and weighted by
#' \eqn{\prod_j p(y_j | z_{pa(j)})}. Draws come in antithetic pairs, and a latent that drives no
#' other in its domain enters by its conditional mean and variance instead of draws. Where no latent
#' has an active parent the result is exact. That is for orthogonal columns of A. Where they are
#' correlated, so is the noise of y; each latent is then proposed given the noise of those before
#' it, too, and only the last enters by its conditional moments.
#'
#' Weights multiply, so that importance sampling fails with many latents. Chains do not: sweeps of
#' Metropolis moves, as of `fit_crl(method = "g")` but under the true model, 50 to tune the random
#' walks and 50 to warm up, then `draws`. Both agree where both apply.
#'
#' Under linear mechanisms the latents of a domain are Gaussian, and the posterior is written down.
#'
#' Feature means, noise variances by feature, and the directions and standard deviation of nuisance
#' factors are taken as known, too. Where entries are missing the posterior is that given the others
#' of the row; rows then go by groups that have the same features, most often one by one.
#'
#' @param sim A [sim_crl()] object with positive `sigma2`.
#' @param draws Draws per row. Default 2000: the Monte-Carlo error adds about 1/ESS to the RelMSE,
#'   in relative terms. An odd number is raised by one. A closed form makes none.
#' @param min_ess Smallest acceptable effective sample size of a row, \eqn{(\sum w)^2 / \sum w^2}.
#'   The call is refused when more than 1 percent of the rows fall below. Default 50.
#' @param threads Number of threads. The result is the same for every number. A nonlinearity given
#'   as an R function runs on one thread.
#'
#' @param sampler `"exact"`, the closed form of linear mechanisms; `"importance"`; `"chains"`; or
#'   `"auto"` (the default): the closed form where there is one, else importance sampling for up to
#'   5 latents, chains for more.
#'
#' @return A list of class `crl_bayes`; with N the rows of `sim`:
#'   \item{latents}{N x d matrix of posterior means}
#'   \item{latents_sd}{N x d matrix of posterior standard deviations}
#'   \item{ess}{length N: effective sample size of each row (importance sampling)}
#'   \item{error}{length d: Monte-Carlo standard error of the latents, from the two halves of the
#'     draws (chains)}
#'   \item{draws}{draws per row, 0 with the closed form}
#'
#' @section Random numbers:
#' One seed is drawn from R's generator, so `set.seed()` fixes the result; each row then has a
#' counter-based stream of its own (Philox4x32-10).
#' @section Errors:
#' `ebcrl_error_range` if `sigma2` is 0, `ebcrl_error_noise` if the latents' noise is not Gaussian,
#' `ebcrl_error_control` for `sampler = "exact"` with mechanisms that are not linear,
#' `ebcrl_error_ess` if too many rows have a small effective sample size, which happens with steep
#' nonlinearities, with strongly correlated columns and, since weights multiply, with many latents.
#' @source Salmon, Moraes, Dror and Shaw (2011) \doi{10.1145/2063384.2063405} for the generator.
#' @seealso [sim_crl()], [rel_mse()]
#' @examples
#' set.seed(1)
#' sim <- sim_crl(n = 50)
#' best <- bayes_latents(sim, draws = 500)
#' best
#' rel_mse(best, sim)
#' @export
bayes_latents <- function(sim, draws = 2000, min_ess = 50, threads = 1,
                          sampler = c("auto", "exact", "importance", "chains")) {
  check_class(sim, "crl_sim", "sim", "sim_crl()")
  draws <- check_number(draws, "draws", min = 2, max = 1e7, integer = TRUE)
  draws <- draws + draws %% 2L
  min_ess <- check_number(min_ess, "min_ess", min = 0, max = draws)
  threads <- check_number(threads, "threads", min = 1, integer = TRUE)
  if (sim$sigma2 == 0) {
    abort_input(c("{.arg sim} must have a positive {.field sigma2}.",
                  "x" = "It is 0, so the latents are known exactly.",
                  "i" = "Their values are {.code x %*% A %*% solve(crossprod(A))}."), "range")
  }
  check_gaussian_noise(sim)
  sampler <- resolved_sampler(check_choice(sampler, c("auto", "exact", "importance", "chains"),
                                           "sampler"), sim)
  posterior <- if (anyNA(sim$x)) {
    bayes_by_pattern(sim, draws, threads, sampler)
  } else {
    bayes_complete(sim, draws, threads, sampler)
  }
  if (sampler == "importance") check_ess(posterior, draws, min_ess)
  bayes_result(posterior, if (sampler == "exact") 0L else draws, sim)
}

#' @noRd
bayes_complete <- function(sim, draws, threads, sampler) {
  sim <- with_equal_noise(sim)
  seed <- as.double(sample.int(.Machine$integer.max, 2L))
  if (sampler == "exact") {
    return(bayes_exact(sim, threads))
  }
  if (sampler == "chains") {
    return(bayes_chains(sim, draws, seed[1L], threads))
  }
  observed <- noisy_latents(sim)
  .Call(C_bayes_latents, observed$y, as.integer(sim$env), target_matrix(sim$targets),
        scm_for_c(sim), observed$variance, observed$coef, as.double(draws), seed, threads)
}

#' Rows with missing entries: those that have the same features are a simulation of these
#' @noRd
bayes_by_pattern <- function(sim, draws, threads, sampler) {
  patterns <- apply(!is.na(sim$x), 1L, function(seen) paste(which(seen), collapse = " "))
  latents <- latents_sd <- 0 * sim$z
  ess <- numeric(nrow(sim$x))
  error <- numeric(ncol(sim$z))
  for (rows in split(seq_along(patterns), patterns)) {
    seen <- !is.na(sim$x[rows[1L], ])
    part <- bayes_complete(simulation_of(sim, rows, seen), draws, threads, sampler)
    latents[rows, ] <- part$latents
    latents_sd[rows, ] <- part$latents_sd
    ess[rows] <- part$ess %||% NA
    error <- error + length(rows) / nrow(sim$x) * (part$error %||% 0)^2
  }
  c(list(latents = latents, latents_sd = latents_sd), if (sampler == "importance") list(ess = ess),
    if (sampler == "chains") list(error = sqrt(error)))
}

#' Some rows and features of a simulation
#' @noRd
simulation_of <- function(sim, rows, seen) {
  sim$x <- sim$x[rows, seen, drop = FALSE]
  sim$env <- sim$env[rows]
  sim$z <- sim$z[rows, , drop = FALSE]
  sim$mixing <- sim$mixing[seen, , drop = FALSE]
  sim$center <- sim$center[seen]
  sim$noise_var <- sim$noise_var[seen]
  if (!is.null(sim$nuisance)) {
    sim$nuisance$mixing <- sim$nuisance$mixing[seen, , drop = FALSE]
  }
  sim
}

#' @noRd
bayes_result <- function(posterior, draws, sim) {
  dimnames(posterior$latents) <- dimnames(posterior$latents_sd) <- list(NULL, colnames(sim$z))
  structure(c(posterior, list(draws = draws)), class = "crl_bayes")
}

#' A simulation as one of the paper's model: without means and nuisance factors, features in units
#' of their noise
#' @noRd
with_equal_noise <- function(sim) {
  noise_var <- sim$noise_var
  if (!is.null(sim$center)) {
    sim$x <- sim$x - rep(sim$center, each = nrow(sim$x))
  }
  if (!is.null(noise_var)) {
    unit <- sqrt(noise_var)
    sim$x <- sim$x / rep(unit, each = nrow(sim$x))
    sim$mixing <- sim$mixing / unit
    sim$nuisance$mixing <- if (!is.null(sim$nuisance)) sim$nuisance$mixing / unit
    sim$sigma2 <- 1
  }
  if (is.null(sim$nuisance)) sim else without_nuisance(sim)
}

#' Nuisance factors are normal, and as good as noise along their directions, whose variance there is
#' made sigma2
#' @noRd
without_nuisance <- function(sim) {
  along <- svd(sim$nuisance$mixing, nv = 0L)
  variance <- sim$sigma2 + (along$d * sim$nuisance$sd)^2
  excess <- 1 - sqrt(sim$sigma2 / variance)
  sim$x <- sim$x - (sim$x %*% along$u) %*% (excess * t(along$u))
  sim$mixing <- sim$mixing - along$u %*% (excess * crossprod(along$u, sim$mixing))
  sim
}

#' @noRd
resolved_sampler <- function(sampler, sim, call = rlang::caller_env()) {
  nonlinearity <- sim$scm$nonlinearity
  linear <- identical(nonlinearity, "linear")
  if (sampler == "exact" && !linear) {
    abort_input(c("{.code sampler = \"exact\"} needs linear mechanisms.",
                  "x" = "The nonlinearity of {.arg sim} is {describe(nonlinearity)}.",
                  "i" = "{.val importance} and {.val chains} take any."), "control", call = call)
  }
  if (sampler != "auto") {
    return(sampler)
  }
  if (linear) "exact" else if (ncol(sim$z) <= MAX_IMPORTANCE) "importance" else "chains"
}

#' The same for linear mechanisms in closed form: src/g/gaussian_posterior.c at the truth
#' @noRd
bayes_exact <- function(sim, threads) {
  scm <- sim$scm
  weights <- unname(scm$edge_weights)
  d <- ncol(weights)
  prior <- list(intercept = rbind(rep(0, d), scm$intervention_mean),
                variance = rbind(scm$noise_var, scm$intervention_sd^2),
                slope = aperm(array(c(weights, scm$parent_effect * weights), c(d, d, 2L)),
                              c(1L, 3L, 2L)))
  model <- list(mixing = sim$mixing, sigma2 = sim$sigma2, prior = prior,
                parents = unname(parent_list(sim$dag)))
  posterior <- gaussian_posterior(model, sim$x, as.integer(sim$env), target_matrix(sim$targets),
                                  list(intervention = "imperfect", threads = threads))
  check_status(posterior$status)
  posterior[c("latents", "latents_sd")]
}

#' The same by Metropolis-within-Gibbs chains: src/g/posterior.c at the truth
#' @noRd
bayes_chains <- function(sim, draws, seed, threads) {
  gram <- gram_of(sim$mixing)
  projected <- unname(sim$x %*% sim$mixing)
  threads <- if (is.function(sim$scm$nonlinearity)) 1L else threads
  posterior <- .Call(C_bayes_chains, projected, projected %*% solve(gram), as.integer(sim$env),
                     target_matrix(sim$targets), scm_for_c(sim), gram, sim$sigma2,
                     list(rounds = WARM_UP, warm_up = WARM_UP, draws = draws, seed = seed,
                          threads = threads))
  names(posterior$error) <- colnames(sim$z)
  posterior
}

#' @noRd
check_gaussian_noise <- function(sim, call = rlang::caller_env()) {
  if (!identical(sim$scm$noise %||% "gaussian", "gaussian")) {
    abort_input(c("The latents of {.arg sim} must have Gaussian noise.",
                  "x" = "Their noise is {.val {sim$scm$noise}}.",
                  "i" = "The posterior is sampled under Gaussian noise only."), "noise",
                call = call)
  }
}

#' @export
print.crl_bayes <- function(x, ...) {
  exact <- x$draws == 0
  cat("Bayes-optimal latents: ",
      paste(count_of(dim(x$latents), c("row", "latent")), collapse = ", "), ", ",
      if (exact) "in closed form" else paste(count_of(x$draws, "draw"), "a row"), "\n", sep = "")
  if (!is.null(x$ess)) {
    cat("Effective sample size: ", describe_ess(x$ess), "\n", sep = "")
  } else if (!exact) {
    cat("Monte-Carlo standard error of a latent: at most ", format(max(x$error), digits = 2), "\n",
        sep = "")
  }
  invisible(x)
}

#' @noRd
describe_ess <- function(ess) {
  ess[is.na(ess)] <- 0
  figures <- format(round(stats::quantile(ess, c(0, 0.01, 0.5), names = FALSE)), trim = TRUE)
  paste0("minimum ", figures[1L], ", 1st percentile ", figures[2L], ", median ", figures[3L])
}

#' Latents plus noise, and the noise: variances, or where columns are correlated the regressions of
#' each on those before it in causal order (`coef`, d x d) and what they leave of the variances
#' @noRd
noisy_latents <- function(sim) {
  gram <- crossprod(sim$mixing)
  cosine <- abs(stats::cov2cor(gram))
  if (max(cosine - diag(nrow(gram))) <= 1e-8) {
    return(list(y = sim$x %*% sim$mixing / rep(diag(gram), each = nrow(sim$x)),
                variance = sim$sigma2 / diag(gram), coef = NULL))
  }
  noise <- sim$sigma2 * solve(gram)
  order <- topological_order(sim$dag)
  coef <- 0 * noise
  variance <- diag(noise)
  for (o in seq_along(order)[-1L]) {
    before <- order[seq_len(o - 1L)]
    coef[before, order[o]] <- solve(noise[before, before], noise[before, order[o]])
    variance[order[o]] <- variance[order[o]] - sum(coef[, order[o]] * noise[, order[o]])
  }
  list(y = sim$x %*% sim$mixing %*% solve(gram), variance = variance, coef = coef)
}

#' The structural causal model in the form src/glue/r_scm.c unpacks; nodes are numbered from 0
#' @noRd
scm_for_c <- function(sim) {
  scm <- sim$scm
  parents <- parent_list(sim$dag)
  child <- rep(seq_along(parents), lengths(parents))
  list(
    offset = c(0L, cumsum(lengths(parents))),
    parent = as.integer(unlist(parents)) - 1L,
    weight = as.double(scm$edge_weights[cbind(as.integer(unlist(parents)), child)]),
    order = topological_order(sim$dag) - 1L,
    nonlinearity = scm$nonlinearity,
    kappa = scm$kappa,
    noise_var = scm$noise_var,
    intervention_mean = scm$intervention_mean,
    intervention_sd = scm$intervention_sd,
    parent_effect = scm$parent_effect
  )
}

#' @noRd
target_matrix <- function(targets) {
  matrix(as.integer(targets), nrow(targets))
}

#' @noRd
check_ess <- function(posterior, draws, min_ess, call = rlang::caller_env()) {
  ess <- posterior$ess
  low <- is.na(ess) | ess < min_ess
  if (mean(low) <= 0.01 && all(is.finite(posterior$latents))) {
    return(invisible())
  }
  share <- format(100 * mean(low), digits = 2)
  abort_input(c("Importance sampling is too uncertain for a Bayes optimum.",
                "x" = paste("The effective sample size is below {min_ess} in {share} percent of",
                            "the rows ({describe_ess(ess)}, of {draws} draws)."),
                "i" = "Raise {.arg draws}, or simulate fewer latents or a gentler nonlinearity."),
              "ess", ess = ess, call = call)
}
