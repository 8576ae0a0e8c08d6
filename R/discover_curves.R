# The judgement of hypotheses with curves: lines through curved mechanisms leave dependence behind,
# which passes for edges. The objective is that of the spline stage of the start
# (src/start/refine.h), with BIC.

# Sweeps over planes of latents, and those after a change of the graph; orders that are judged;
# latents up to which all edges of an order are looked at; rows of a domain.
CURVES <- list(sweeps = 6L, further = 4L, orders = 3L, whole = 5L, rows = 3000L)

# The same with more latents than `whole`: a sweep takes time by their cube.
CURVES_MANY <- utils::modifyList(CURVES, list(sweeps = 2L, further = 1L, orders = 1L, rows = 500L))

# The loss of an edge for the rotation as it is bounds that with the rotation optimised again. An
# edge whose bound is above so many times its price is not tried without, or turned round.
CERTAIN <- c(without = 4, turned = 12)

# A penalty that leaves lines.
STRAIGHT <- 1e12

#' The best hypothesis, judged with spline mechanisms on rows
#'
#' @param best The best hypothesis with lines.
#' @param states Complete graphs of stage 1, best first.
#' @return The best hypothesis, as stage_edges() has it; if splines are worth their parameters also
#'   `curves`: list of `objective`, `indefinite`, `fitted`. `problem$straight` becomes BIC of
#'   splines less that of lines, NA where the correction for noise broke down
#' @noRd
stage_curves <- function(best, states, problem, tick) {
  tick()
  problem$curves <- if (problem$core > CURVES$whole) CURVES_MANY else CURVES
  problem$rows <- thinned(problem$part, problem$curves$rows)
  lines <- with_curves(best, problem, 1L, 2L, lambda = STRAIGHT)
  first <- with_curves(best, problem, 0L, problem$curves$sweeps)
  straight <- curve_bic(first, problem) - 2 * lines$curves$objective -
    problem$log_n * hypothesis_size(best, problem)
  problem$straight <- if (is.finite(straight)) straight else NA_real_
  if (!(problem$straight < 0) %in% TRUE) {
    return(best)
  }
  problem$lines <- problem$seen
  problem$seen <- new.env(parent = emptyenv())
  judged <- lapply(curve_starts(best, states, problem), function(h) {
    tick()
    judged_by_curves(with_curves(h, problem, 0L, problem$curves$sweeps), problem)
  })
  best <- best_of(judged)
  if (problem$core > CURVES$whole) best else judged_by_curves(best, problem, with_edge_turned)
}

#' Where the judgement begins: with few latents with all edges of an order, that of the best
#' hypothesis and those of the best of stage 1
#' @noRd
curve_starts <- function(best, states, problem) {
  if (problem$core > CURVES$whole) {
    return(list(best))
  }
  own <- best
  own$dag <- full_graph(topological_order(best$dag), problem$known) %||% best$dag
  utils::head(distinct_states(c(list(own), states), problem), CURVES$orders)
}

#' @noRd
curve_bic <- function(h, problem) {
  2 * h$curves$objective + problem$log_n * spline_size(h, problem)
}

#' Parameters with a spline for every edge and state
#' @noRd
spline_size <- function(h, problem) {
  hit <- if (problem$perfect) 0 else colSums(h$targets) > 0
  hypothesis_size(h, problem) + sum(colSums(h$dag) * (1 + hit)) * (spline_price() - 1)
}

#' Coefficients of a spline less its constant
#' @noRd
spline_price <- function() {
  REFINEMENT$knots + 2L - 1L
}

#' BIC of an edge, in units of log-likelihood
#' @noRd
edge_price <- function(problem) {
  spline_price() * problem$log_n / 2
}

#' Edges taken away and added by BIC with splines, until there is nothing to gain
#' @param last A further kind of move, for where these two end.
#' @noRd
judged_by_curves <- function(h, problem, last = function(h, problem) NULL) {
  while (is.finite(h$bic)) {
    next_one <- without_an_edge(h, problem) %||% with_another_edge(h, problem) %||%
      last(h, problem)
    if (is.null(next_one)) break
    h <- next_one
  }
  h
}

#' A hypothesis with its rotation refined
#'
#' @param sweeps 0: the rotation stays as it is, and the hypothesis is not remembered.
#' @noRd
with_curves <- function(h, problem, first_sweep, sweeps, lambda = REFINEMENT$lambda) {
  rows <- problem$rows
  settings <- utils::modifyList(REFINEMENT, list(
    max_sweeps = first_sweep + sweeps, first_sweep = first_sweep, lambda = lambda,
    noise = coordinate_noise(problem), threads = problem$threads,
    variance_floor = VARIANCE_FLOOR * mean(diag(problem$summary$noise)),
    perfect = as.integer(problem$perfect)
  ))
  found <- .Call(C_rotation_refine, rows$x, h$columns, rows$env, h$targets, rep(1, rows$n_domains),
                 parent_list(h$dag), settings)
  broken <- found$indefinite > MOST_INDEFINITE * found$fitted
  h$columns <- found$rotation
  h$curves <- list(objective = if (broken) Inf else found$objective * problem$data$n / rows$n,
                   indefinite = found$indefinite, fitted = found$fitted)
  h$value <- h$curves$objective
  h$parameters <- spline_size(h, problem)
  h$bic <- curve_bic(h, problem)
  if (sweeps > 0L && lambda < STRAIGHT) remember(h, problem)
  h
}

#' Covariance of the noise of the coordinates, a number where it is one
#' @noRd
coordinate_noise <- function(problem) {
  noise <- problem$summary$noise
  level <- mean(diag(noise))
  if (max(abs(noise - diag(level, nrow(noise)))) < 1e-10 * level) level else noise
}

#' What edges lose for the rotation as it is: graphs that lack one each, least loss first
#' @return list: `graphs`, `loss`
#' @noRd
bounds_of_edges <- function(h, problem) {
  fewer <- without_edges(h, problem)
  loss <- vapply(fewer, function(one) with_curves(one, problem, 1L, 0L)$value, 0) - h$value
  list(graphs = fewer[order(loss)], loss = sort(loss))
}

#' Of every latent the edge with the least bound, if that is below its price
#' @noRd
idle_edges <- function(h, bound, problem) {
  gone <- vapply(bound$graphs[bound$loss < edge_price(problem)], function(one) {
    which(one$dag != h$dag)
  }, 0L)
  gone[!duplicated(col(h$dag)[gone])]
}

#' The hypothesis without edges that BIC does not want, first all that are idle, else the one that
#' is missed least; NULL if it wants all
#' @noRd
without_an_edge <- function(h, problem) {
  bound <- bounds_of_edges(h, problem)
  idle <- idle_edges(h, bound, problem)
  if (length(idle) > 1L) {
    refined <- with_curves(replace(h, "dag", list(replace(h$dag, idle, 0L))), problem, 2L,
                           problem$curves$further)
    if (refined$bic < h$bic) {
      return(refined)
    }
  }
  for (k in which(bound$loss < CERTAIN[["without"]] * edge_price(problem))) {
    refined <- with_curves(bound$graphs[[k]], problem, 2L, problem$curves$further)
    if (refined$bic < h$bic) {
      return(refined)
    }
  }
  NULL
}

#' The hypothesis with the edge that gains most, if BIC wants one
#' @noRd
with_another_edge <- function(h, problem) {
  more <- Filter(function(other) sum(other$dag) > sum(h$dag), edge_moves(h, problem))
  if (length(more) == 0L) {
    return(NULL)
  }
  gain <- h$value - vapply(more, function(one) with_curves(one, problem, 1L, 0L)$value, 0)
  best <- which.max(gain)
  if (gain[best] <= edge_price(problem)) {
    return(NULL)
  }
  refined <- with_curves(more[[best]], problem, 2L, problem$curves$further)
  if (refined$bic < h$bic) refined
}

#' The hypothesis with an edge the other way, if that is better
#' @noRd
with_edge_turned <- function(h, problem) {
  bound <- bounds_of_edges(h, problem)
  for (k in which(bound$loss < CERTAIN[["turned"]] * edge_price(problem))) {
    dag <- bound$graphs[[k]]$dag + t(h$dag - bound$graphs[[k]]$dag)
    if (!is_acyclic(dag) || any(dag & !problem$known$allowed)) next
    refined <- with_curves(replace(h, "dag", list(dag)), problem, 0L, problem$curves$sweeps)
    if (refined$bic < h$bic) {
      return(refined)
    }
  }
  NULL
}
