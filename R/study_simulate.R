# Simulated data with a known truth: a nonlinear structural causal model of the latents, mixed
# linearly into noisy observations (Section 7 of the paper).

#' Simulate multi-domain data with known latents
#'
#' Draws latents from a structural causal model with one intervention set per domain and mixes
#' them linearly into `p` noisy features. The defaults follow Section 7 of the paper except for
#' the nonlinearity, see below.
#'
#' Latent j of a row whose domain does not target it is (eq. 7.1)
#' \deqn{z_j = \sum_{k \in pa(j)} w_{kj} g(z_k) + u_j, \quad u_j \sim N(0, v_j),}
#' with variances v = `noise_var` and weights w = `edge_weights`. Under a perfect intervention a
#' targeted latent is normal with mean `intervention_mean` and standard deviation
#' `intervention_sd`; an imperfect one adds `parent_effect` times the parents' sum to that mean.
#' Each row is then \eqn{x = A z + \epsilon}, \eqn{\epsilon \sim N(0, \sigma^2 I_p)} (eq. 3.1).
#' Nothing is centred or scaled: latents, noise and observations share one unit.
#'
#' @section Nonlinearities:
#' | `nonlinearity` | g(z) | |
#' | --- | --- | --- |
#' | `"bounded"` | t + t^3, t = tanh(kappa z) | default, between -2 and 2 |
#' | `"tanh"` | tanh(kappa z) | |
#' | `"linear"` | z | the edge weight is the slope; `kappa` is not used |
#' | `"strong"` | tanh(x) + x^3, x = kappa z clipped to \[-2, 2\] | between -9 and 9 |
#' | `"printed"` | tanh(kappa z) + (kappa z)^3 | as printed in Section 7; explodes |
#' | a function | `nonlinearity(z)` | vectorised, without `kappa` |
#'
#' The function printed in the paper cubes its argument along every edge: in a chain of four its
#' latents reach 1e42, far outside the knots \[-15, 15\] of the paper's own experiments. It is
#' kept for reference and warns (class `ebcrl_warning_exploding`) with the size reached. The
#' default bounds the cubic part; data drawn with it are not the paper's data.
#'
#' @param dag Causal graph of the latents: a 0/1 matrix (d x d, `dag[i, j] = 1` means i -> j), or
#'   anything [as_dag()] reads. Default: the chain of four of Section 7.
#' @param n Rows per domain: one number for all, or one per domain (matched by name if named).
#'   Default 2000, as in the paper.
#' @param p Number of features, at least d. Default 100, as in the paper. With `mixing` given it
#'   is `nrow(mixing)`.
#' @param sigma2 Noise variance of the features, 0 or more. Default 2, as in the paper.
#' @param targets Intervention targets: a 0/1 matrix (M domains x d latents), or anything
#'   [intervention_targets()] reads (row labels it may carry are not used: `n` says how many
#'   rows). Default: one domain per latent, which targets that latent alone, named `"do(z1)"`, ...
#' @param nonlinearity A label of the table below, or a vectorised function.
#' @param kappa Slope of the nonlinearity at 0, positive. Default 3, as in the paper.
#' @param intervention `"perfect"` (default) cuts the edges into a targeted latent; `"imperfect"`
#'   weakens them.
#' @param parent_effect Share of the parents' sum that stays under an imperfect intervention. Not
#'   used by perfect ones.
#' @param noise_var Variance of u, one number or one per latent, positive. Default 4, as in the
#'   paper.
#' @param intervention_mean,intervention_sd Mean and standard deviation of a targeted latent, one
#'   number or one per latent. Defaults 10 and 1, as in the paper.
#' @param edge_weights Matrix (d x d) of the weights \eqn{w_{kj}}, oriented as `dag` and zero
#'   where `dag` is; note that the paper writes \eqn{w_{jk}}, child first. Default: drawn from
#'   U\[-1, 1\].
#' @param mixing Mixing matrix A (p x d) of full column rank. Default: drawn uniformly from the
#'   matrices with orthonormal columns.
#' @param center Feature means \eqn{\mu} beside those of the latents: NULL (the default) for none, one
#'   number, or one a feature.
#' @param noise_sd Standard deviations of the features' noise, one a feature (or one for all), in
#'   place of `sigma2`. NULL (the default): the root of `sigma2`.
#' @param nuisance,nuisance_sd Number of factors that move x and are no latents (such as batches), in
#'   random directions, and the standard deviation of their scores. Default: none.
#' @param missing Share of the entries of x that are `NA`, at random. Default: none.
#' @param noise Distribution of u, and of a targeted latent, around its mean: `"gaussian"` (default,
#'   as in the paper), `"t4"` (Student's t with 4 degrees of freedom: heavy tails) or `"skewed"`
#'   (exponential); all scaled to the variances that are asked for.
#'
#' @return A list of class `crl_sim`; with N the rows of all domains:
#'   \item{x}{N x p matrix of observations, domains one after another}
#'   \item{env}{factor of length N: domain of each row, levels in the order of `targets`}
#'   \item{targets}{M x d 0/1 matrix of class `crl_targets`}
#'   \item{dag}{d x d 0/1 matrix of class `crl_dag`}
#'   \item{z}{N x d matrix of the true latents}
#'   \item{mixing}{p x d matrix A}
#'   \item{sigma2}{noise variance, the mean of `noise_var` where that is given}
#'   \item{center, noise_var}{(p) feature means and noise variances; NULL where there are none, or
#'     one variance}
#'   \item{nuisance}{NULL, or a list of `mixing` (p x factors), `scores` (N x factors) and `sd`,
#'     theirs}
#'   \item{scm}{list: `edge_weights` (d x d), `nonlinearity` (label or function), `kappa`,
#'     `noise`, `noise_var`, `intervention_mean`, `intervention_sd` (length d each),
#'     `parent_effect` (0 for perfect interventions)}
#' @section Random numbers:
#' R's generator, in the order edge weights, mixing, latents, noise, nuisance: `set.seed()` fixes the
#' result.
#' @section Errors:
#' Classed: `ebcrl_error_type`, `_shape`, `_missing`, `_range`, `_names` (of numbers by latent,
#' `edge_weights` or columns of `mixing`, that are matched by name), `_rank` (p < d, or columns of
#' `mixing` that depend on each other), and those of [as_dag()] and [intervention_targets()].
#' Latents that are not finite are an `ebcrl_error_range` that names the nonlinearity.
#' @source Section 7 of \doi{10.48550/arXiv.2603.18404}.
#' @seealso [fit_crl()], [bayes_latents()], [rel_mse()]
#' @examples
#' set.seed(1)
#' sim <- sim_crl(n = 200)
#' sim
#'
#' # unequal domains, one of them observational, weakened edges, own nonlinearity
#' sim_crl(
#'   dag = "a -> b -> c; a -> c", targets = list(none = character(), ab = c("a", "b"), c = "c"),
#'   n = c(500, 100, 100), p = 20, intervention = "imperfect", nonlinearity = function(z) sin(z)
#' )
#' @export
sim_crl <- function(dag = chain_dag(4), n = 2000, p = 100, sigma2 = 2, targets = NULL,
                    nonlinearity = "bounded", kappa = 3,
                    intervention = c("perfect", "imperfect"), parent_effect = 0.5, noise_var = 4,
                    intervention_mean = 10, intervention_sd = 1, edge_weights = NULL,
                    mixing = NULL, noise = c("gaussian", "t4", "skewed"), center = NULL,
                    noise_sd = NULL, nuisance = 0, nuisance_sd = 6, missing = 0) {
  dag <- as_dag(dag)
  targets <- sim_targets(targets, dag)
  latents <- colnames(targets)
  dimnames(dag) <- list(latents, latents)
  n <- sim_rows(n, rownames(targets))
  sigma2 <- check_number(sigma2, "sigma2", min = 0)
  p <- if (base::missing(p) && !is.null(mixing)) {
    nrow(mixing)
  } else {
    check_number(p, "p", 1, integer = TRUE)
  }
  intervention <- check_choice(intervention, c("perfect", "imperfect"), "intervention")
  parent_effect <- check_number(parent_effect, "parent_effect")
  scm <- list(
    edge_weights = sim_edge_weights(edge_weights, dag),
    nonlinearity = check_nonlinearity(nonlinearity),
    kappa = check_number(kappa, "kappa", min = 0, open = "min"),
    noise = check_choice(noise, names(noise_draws), "noise"),
    noise_var = per_latent(noise_var, "noise_var", latents, positive = TRUE),
    intervention_mean = per_latent(intervention_mean, "intervention_mean", latents),
    intervention_sd = per_latent(intervention_sd, "intervention_sd", latents, positive = TRUE),
    parent_effect = if (intervention == "perfect") 0 else parent_effect
  )
  mixing <- sim_mixing(mixing, p, latents)
  p <- nrow(mixing)
  center <- per_feature(center, "center", p)
  noise_sd <- per_feature(noise_sd, "noise_sd", p, min = 0)
  nuisance <- check_number(nuisance, "nuisance", min = 0, max = p, integer = TRUE)
  nuisance_sd <- check_number(nuisance_sd, "nuisance_sd", min = 0)
  missing <- check_number(missing, "missing", min = 0, max = 1, open = "max")

  env <- factor(rep(rownames(targets), n), levels = rownames(targets))
  z <- draw_latents(dag, unclass(targets)[env, , drop = FALSE], scm)
  warn_exploding(z, scm)
  x <- draw_features(z, mixing, noise_sd %||% rep(sqrt(sigma2), p))
  factors <- if (nuisance > 0) draw_nuisance(nrow(z), p, nuisance, nuisance_sd)
  if (!is.null(factors)) x <- x + tcrossprod(factors$scores, factors$mixing)
  if (!is.null(center)) x <- x + rep(center, each = nrow(x))
  if (missing > 0) x[stats::runif(length(x)) < missing] <- NA
  structure(
    list(x = x, env = env, targets = targets, dag = dag, z = z, mixing = mixing,
         sigma2 = if (is.null(noise_sd)) sigma2 else mean(noise_sd^2), center = center,
         noise_var = if (!is.null(noise_sd)) noise_sd^2, nuisance = factors, scm = scm),
    class = "crl_sim"
  )
}

#' One number a feature, or one for all; NULL as it is
#' @noRd
per_feature <- function(value, arg, p, min = -Inf, call = rlang::caller_env()) {
  if (is.null(value)) {
    return(NULL)
  }
  if (!is.numeric(value) || !length(value) %in% c(1L, p) || !all(is.finite(value)) ||
        any(value < min)) {
    abort_input(c("{.arg {arg}} must be one number, or one for each of {p} feature{?s}.",
                  "x" = "It is {describe(value)}.",
                  "i" = if (min == 0) "Numbers must be finite and not negative." else
                    "Numbers must be finite."), "range", call = call)
  }
  rep_len(as.double(value), p)
}

#' Factors that move x and are no latents: normal scores of one sd along random directions
#' @noRd
draw_nuisance <- function(n, p, many, sd) {
  names <- nuisance_names(many)
  list(mixing = `dimnames<-`(random_orthonormal(p, many), list(NULL, names)),
       scores = matrix(stats::rnorm(n * many, sd = sd), n, dimnames = list(NULL, names)), sd = sd)
}

#' @export
print.crl_sim <- function(x, ...) {
  label <- if (is.function(x$scm$nonlinearity)) "user's function" else x$scm$nonlinearity
  effect <- x$scm$parent_effect
  intervention <- if (effect == 0) "perfect" else paste("imperfect, parent effect", format(effect))
  size <- c(n = nrow(x$x), p = ncol(x$x), d = ncol(x$z), n_domains = nrow(x$targets))
  cat("Simulated multi-domain data: ", describe_size(size), "\n", sep = "")
  print(x$dag)
  print_shifts(domain_shifts(x$z, 0 * x$z, as.integer(x$env), unclass(x$targets),
                             rownames(x$targets)))
  cat("\n")
  shape <- if (x$scm$noise != "gaussian") paste0("; latents' noise: ", x$scm$noise)
  cat("Nonlinearity: ", label, "; interventions: ", intervention, "; noise variance: ",
      format(x$sigma2), shape, "\n", sep = "")
  cat("Latents between ", format(min(x$z), digits = 3), " and ", format(max(x$z), digits = 3), "\n",
      sep = "")
  invisible(x)
}

# Drawing ----------------------------------------------------------------------------------------

#' n x d latents, node by node in topological order
#' @noRd
draw_latents <- function(dag, targeted, scm, call = rlang::caller_env()) {
  n <- nrow(targeted)
  z <- g <- matrix(0, n, ncol(dag), dimnames = list(NULL, colnames(dag)))
  for (j in topological_order(dag)) {
    parents <- parents_of(dag, j)
    a <- targeted[, j] == 1
    drive <- drop(g[, parents, drop = FALSE] %*% scm$edge_weights[parents, j])
    mean <- ifelse(a, scm$intervention_mean[j] + scm$parent_effect * drive, drive)
    sd <- ifelse(a, scm$intervention_sd[j], sqrt(scm$noise_var[j]))
    z[, j] <- mean + noise_draws[[scm$noise]](n) * sd
    g[, j] <- apply_nonlinearity(z[, j], scm)
    check_finite_latents(z[, j], g[, j], colnames(dag)[j], scm, call)
  }
  z
}

#' Draws with mean 0 and variance 1
#' @noRd
noise_draws <- list(
  gaussian = function(n) stats::rnorm(n),
  t4 = function(n) stats::rt(n, 4) / sqrt(2),
  skewed = function(n) stats::rexp(n) - 1
)

#' n x p observations, one feature at a time so that nothing of the size of x is allocated but x
#' @noRd
draw_features <- function(z, mixing, noise_sd) {
  n <- nrow(z)
  x <- matrix(0, n, nrow(mixing))
  for (k in seq_len(nrow(mixing))) {
    x[, k] <- z %*% mixing[k, ] + stats::rnorm(n, sd = noise_sd[k])
  }
  colnames(x) <- rownames(mixing)
  x
}

#' Uniform on the Stiefel manifold: the Q of a Gaussian matrix, R's diagonal made positive
#' @noRd
random_orthonormal <- function(p, d) {
  decomposition <- qr(matrix(stats::rnorm(p * d), p, d))
  signs <- sign(diag(qr.R(decomposition))[seq_len(d)])
  qr.Q(decomposition) * rep(signs, each = p)
}

#' The g of eq. 7.1 for every label; src/truth/scm.c has the same functions
#' @noRd
nonlinearities <- list(
  linear = function(z, kappa) z,
  tanh = function(z, kappa) tanh(kappa * z),
  bounded = function(z, kappa) tanh(kappa * z) + tanh(kappa * z)^3,
  strong = function(z, kappa) {
    x <- pmax(-2, pmin(2, kappa * z))
    tanh(x) + x^3
  },
  printed = function(z, kappa) tanh(kappa * z) + (kappa * z)^3
)

#' @noRd
apply_nonlinearity <- function(z, scm) {
  if (is.function(scm$nonlinearity)) {
    return(scm$nonlinearity(z))
  }
  nonlinearities[[scm$nonlinearity]](z, scm$kappa)
}

# Checking ---------------------------------------------------------------------------------------

#' @noRd
check_finite_latents <- function(z, g, latent, scm, call) {
  if (all(is.finite(z)) && length(g) == length(z) && all(is.finite(g))) {
    return(invisible())
  }
  label <- if (is.function(scm$nonlinearity)) "given" else dQuote(scm$nonlinearity, FALSE)
  abort_input(c("The {label} {.arg nonlinearity} leaves the range of finite numbers.",
                "x" = "{.field {latent}} or its image is not finite in some rows.",
                "i" = "Use {.val bounded}, a smaller {.arg kappa} or smaller {.arg edge_weights}."),
              "range", call = call)
}

#' @noRd
warn_exploding <- function(z, scm, call = rlang::caller_env()) {
  if (!identical(scm$nonlinearity, "printed")) {
    return(invisible())
  }
  largest <- which.max(abs(z))
  reached <- format(abs(z[largest]), digits = 2)
  latent <- colnames(z)[(largest - 1L) %/% nrow(z) + 1L]
  cli::cli_warn(c("The nonlinearity printed in the paper cubes its argument along every edge.",
                  "x" = "The latents reach {reached} ({.field {latent}}).",
                  "i" = "Use {.code nonlinearity = \"bounded\"} for latents of ordinary size."),
                class = "ebcrl_warning_exploding", call = call)
}

#' @noRd
check_nonlinearity <- function(nonlinearity, arg = "nonlinearity", call = rlang::caller_env()) {
  if (!is.function(nonlinearity)) {
    return(check_choice(nonlinearity, names(nonlinearities), arg, call = call))
  }
  probe <- c(-1, 0, 1)
  value <- nonlinearity(probe)
  if (!is.numeric(value) || length(value) != length(probe) || !all(is.finite(value))) {
    abort_input(c("The function {.arg {arg}} must return one finite number per input.",
                  "x" = "For c(-1, 0, 1) it returned {describe(value)}.",
                  "i" = "Write it with vectorised functions."), "type", call = call)
  }
  nonlinearity
}

#' One number per latent, from one number or d of them
#' @noRd
per_latent <- function(x, arg, latents, positive = FALSE, call = rlang::caller_env()) {
  d <- length(latents)
  if (!is.numeric(x) || !length(x) %in% c(1L, d)) {
    abort_input(c("{.arg {arg}} must be one number, or one for each of the {d} latent{?s}.",
                  "x" = "It is {describe(x)}."),
                if (is.numeric(x)) "shape" else "type", call = call)
  }
  for (value in x) {
    check_number(value, arg, min = if (positive) 0 else -Inf, open = "min", call = call)
  }
  if (length(x) == d) {
    x <- in_order(x, match_names(names(x), latents, paste0("names of {.arg ", arg, "}"),
                                 "latents of {.arg dag}", call = call))
  }
  stats::setNames(rep_len(as.double(x), d), latents)
}

#' @noRd
sim_targets <- function(targets, dag, call = rlang::caller_env()) {
  if (is.null(targets)) {
    latents <- colnames(dag)
    domains <- paste0("do(", latents, ")")
    targets <- matrix(diag(length(latents)), length(latents), dimnames = list(domains, latents))
  }
  targets <- targets_for_dag(targets, dag, call)
  attr(targets, "env") <- NULL
  targets
}

#' @noRd
sim_rows <- function(n, domains, call = rlang::caller_env()) {
  m <- length(domains)
  if (!is.numeric(n) || !length(n) %in% c(1L, m)) {
    abort_input(c("{.arg n} must be one number of rows, or one for each of the {m} domain{?s}.",
                  "x" = "It is {describe(n)}."),
                if (is.numeric(n)) "shape" else "type", call = call)
  }
  if (!is.null(names(n))) {
    if (!setequal(names(n), domains)) {
      abort_input(c("The names of {.arg n} must be the names of the domains.",
                    "x" = "They are {some(names(n))}.", "i" = "Domains: {some(domains)}."),
                  "domain", call = call)
    }
    n <- n[domains]
  }
  for (rows in n) {
    check_number(rows, "n", min = 1, integer = TRUE, call = call)
  }
  rep_len(unname(n), m)
}

#' @noRd
sim_edge_weights <- function(weights, dag, call = rlang::caller_env()) {
  adjacency <- matrix(as.double(dag), nrow(dag), dimnames = dimnames(dag))
  if (is.null(weights)) {
    edges <- adjacency != 0
    adjacency[edges] <- stats::runif(sum(edges), -1, 1)
    return(adjacency)
  }
  weights <- check_numeric_matrix(weights, "edge_weights", nrow(dag), ncol(dag), call = call)
  for (side in 1:2) {
    order <- match_names(dimnames(weights)[[side]], colnames(dag),
                         paste(c("row", "column")[side], "names of {.arg edge_weights}"),
                         "latents of {.arg dag}", call = call)
    if (!is.null(order)) {
      weights <- if (side == 1L) weights[order, , drop = FALSE] else weights[, order, drop = FALSE]
    }
  }
  stray <- which(weights != 0 & adjacency == 0, arr.ind = TRUE)
  if (nrow(stray) > 0L) {
    edge <- paste(rownames(dag)[stray[1L, 1L]], "->", colnames(dag)[stray[1L, 2L]])
    abort_input(c("{.arg edge_weights} must be zero where {.arg dag} has no edge.",
                  "x" = "It has a weight for {edge}.",
                  "i" = "Rows are parents, as in {.arg dag}; transpose a child-first matrix."),
                "dag", call = call)
  }
  dimnames(weights) <- dimnames(adjacency)
  weights
}

#' @noRd
sim_mixing <- function(mixing, p, latents, call = rlang::caller_env()) {
  d <- length(latents)
  if (is.null(mixing)) {
    if (p < d) {
      abort_input(c("{.arg p} must be at least the number of latents.",
                    "x" = "p = {p} and there are {d} latents."), "rank", call = call)
    }
    mixing <- random_orthonormal(p, d)
  }
  mixing <- check_numeric_matrix(mixing, "mixing", p, d, call = call)
  mixing <- mixing_by_name(mixing, list(latent_names = latents), call, "mixing", "names")
  rank <- qr(mixing)$rank
  if (rank < d) {
    abort_input(c("{.arg mixing} must have full column rank, {d}.", "x" = "Its rank is {rank}.",
                  "i" = "Latents with dependent columns cannot be told apart."), "rank",
                call = call)
  }
  dimnames(mixing) <- list(rownames(mixing), latents)
  mixing
}
