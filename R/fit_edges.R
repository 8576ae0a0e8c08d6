# Edges of a causal model: how strongly, and how surely, one latent acts on another.

# Points at which the derivative of a curve is taken, over the middle 90 percent of its parent.
EDGE_POINTS <- 101L
EDGE_TAILS <- c(0.05, 0.95)

# Draws of the prior by which effects are averaged, with numbers of their own, so that equal models
# have equal edges.
EDGE_DRAWS <- 4000L
EDGE_SEED <- 1L

#' Edges of a model: one row an edge and target state of the child
#'
#' @return tibble: `from`, `to`, `state`, `effect` (mean derivative), `lowest`, `highest` (of the
#'   derivative over the middle 90 percent of the parent's values), `share` (of the child's variance)
#' @noRd
model_edges <- function(model) {
  draws <- with_own_draws(function() state_draws(model))
  d <- model$kept
  cells <- cells_of(seq_len(d))
  do.call(rbind, Map(function(node, state) cell_edges(model, node, state, draws), cells$node,
                     cells$state)) %||% no_edges()
}

#' @noRd
no_edges <- function() {
  tibble::tibble(from = character(), to = character(), state = integer(), effect = numeric(),
                 lowest = numeric(), highest = numeric(), share = numeric())
}

#' Random numbers that are the same each time, and leave R's generator as it was
#' @noRd
with_own_draws <- function(code, seed = EDGE_SEED) {
  restore <- save_generator()
  on.exit(restore())
  set.seed(seed, "L'Ecuyer-CMRG", "Inversion", "Rejection")
  code()
}

#' Latents drawn in the proportions of the domains
#' @return list: `z` (draws x D), `targets` (draws x D)
#' @noRd
state_draws <- function(model, n = EDGE_DRAWS) {
  data <- model$data
  share <- data$n_env / sum(data$n_env)
  env <- rep(seq_along(share), pmax(round(share * n), 50L))
  targets <- unclass(data$targets)[env, , drop = FALSE]
  list(z = draw_domain(model, targets, length(env)), targets = targets)
}

#' @noRd
cell_edges <- function(model, node, state, draws) {
  parents <- active_parents(model, node, state)
  parents <- parents[parents <= model$kept]
  rows <- draws$targets[, node] == state
  if (length(parents) == 0L || !any(rows)) {
    return(NULL)
  }
  z <- draws$z[rows, , drop = FALSE]
  all <- parents_of(model$data$dag, node)
  names <- model$data$latent_names
  do.call(rbind, lapply(parents, function(parent) {
    k <- match(parent, all)
    slope <- edge_slope(model, node, state, k, z[, parent])
    at <- seq_ends(stats::quantile(z[, parent], EDGE_TAILS, names = FALSE))
    along <- diff(effect_of(model, node, state, k, at)) / diff(at)
    tibble::tibble(
      from = names[parent], to = names[node], state = state, effect = slope, lowest = min(along),
      highest = max(along),
      share = stats::var(effect_of(model, node, state, k, z[, parent])) / stats::var(z[, node])
    )
  }))
}

#' @noRd
seq_ends <- function(ends) {
  seq(ends[1L], ends[2L], length.out = EDGE_POINTS)
}

#' Mean derivative of an effect over values of the parent
#' @noRd
edge_slope <- function(model, node, state, k, z) {
  step <- stats::sd(z) / 50
  mean(effect_of(model, node, state, k, z + step) - effect_of(model, node, state, k, z - step)) /
    (2 * step)
}

# Evidence ----------------------------------------------------------------------------------------

#' Log-likelihood ratio of the model of linear mechanisms with an edge and without
#'
#' The likelihood is that of x in its coordinates, so that noise in latents is taken into account, and
#' A, where it was learned, is fitted along with each model: an edge may all but be made up for by a
#' turn of A.
#' @return tibble: `from`, `to`, `statistic` (twice the ratio), `df`, `p.value`, `bic` (its rise
#'   without the edge)
#' @noRd
edge_evidence <- function(fit, call = rlang::caller_env()) {
  fit <- without_constant(fit)
  problem <- information_problem(fit, linear_mechanisms(fit, call))
  information <- information_matrix(problem$start, problem)
  all <- rep(TRUE, length(problem$start))
  whole <- information_maximum(problem$start, all, problem, information)
  information <- information_matrix(whole$theta, problem)
  map <- problem$map
  slopes <- unique(map[map$kind == "slope", c("parent", "node")])
  names <- problem$latents
  rows <- Map(function(parent, node) {
    dropped <- which(map$kind == "slope" & map$parent == parent & map$node == node)
    without <- information_maximum(replace(whole$theta, dropped, 0), !seq_along(all) %in% dropped,
                                   problem, information)
    statistic <- max(0, 2 * (whole$value - without$value))
    tibble::tibble(from = names[parent], to = names[node], statistic = statistic,
                   df = length(dropped),
                   p.value = stats::pchisq(statistic, length(dropped), lower.tail = FALSE),
                   bic = statistic - length(dropped) * log(fit$data$n))
  }, slopes$parent, slopes$node)
  do.call(rbind, unname(rows))
}

#' Linear mechanisms under the A of a fit: its own, or fitted
#' @return list: `prior`, `parents`
#' @noRd
linear_mechanisms <- function(fit, call) {
  if (inherits(fit, "crl_fit_g_linear")) {
    return(inner_fit(fit)[c("prior", "parents")])
  }
  at <- fit_coordinates(fit)
  plan <- plan_linear(linear_control(fit$control), at$data, at$init)
  fit_linear(at$data, at$init, plan, call)[c("prior", "parents")]
}

#' Settings of linear mechanisms with A held
#' @noRd
linear_control <- function(control) {
  update.crl_control(
    control, prior = prior_linear(), mixing = "fixed", update_mixing = "auto", sigma2 = "fixed",
    saem = list(chains = 1), progress = FALSE, max_iter = 2000, tol = 1e-6, preset = "default",
    signs = "auto" # those of the fit, whose A is given
  )
}

#' tidy(fit, "edges")
#' @param boot NULL, or a crl_boot of the fit.
#' @noRd
tidy_edges <- function(fit, boot = NULL, level = 0.95, evidence = TRUE,
                       call = rlang::caller_env()) {
  check_causal(fit, "tidy", call)
  edges <- model_edges(if (is.null(boot)) causal_model(fit, call) else boot$model)
  if (evidence && nrow(edges) > 0L && !isTRUE(fit$data$missing > 0)) {
    by_edge <- edge_evidence(fit, call)
    at <- match(paste(edges$from, edges$to), paste(by_edge$from, by_edge$to))
    edges <- tibble::add_column(edges, by_edge[at, -(1:2)])
  }
  if (!is.null(boot)) {
    ends <- boot_ends(boot, "edges", level, "normal")
    edges <- tibble::add_column(edges, ends[c("std.error", "conf.low", "conf.high")],
                                .after = "effect")
  }
  edges
}
