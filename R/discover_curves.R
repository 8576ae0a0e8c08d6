# The judgement of hypotheses with curves: lines through curved mechanisms leave dependence behind,
# which passes for edges, and hide which latent comes first. The objective is that of the spline
# stage of the start (src/start/refine.h), with BIC. An edge is a line or a spline, whichever BIC
# wants: `bend` of a hypothesis (d x d) is 1 where it is a spline.

# Sweeps over planes of latents, and those after a change of the graph; orders that are judged;
# latents up to which all edges of an order are looked at; rows of a domain, and of all.
CURVES <- list(sweeps = 6L, further = 4L, orders = 3L, whole = 5L, rows = 3000L,
               most_rows = 10000L)

# The same with more latents than `whole`: a sweep takes time by their cube.
CURVES_MANY <- utils::modifyList(CURVES, list(sweeps = 3L, further = 2L, orders = 1L))

# So many orders are all tried, else those that are one latent's place away, as long as that gains;
# of edges turned round, so many are looked at beyond a turn of their two latents.
SCREEN <- list(orders = 24L, turned = 3L)

# The loss of an edge for the rotation as it is bounds that with the rotation optimised again. What
# has a bound above so many times its price is not tried.
CERTAIN <- 4

# A penalty that leaves lines.
STRAIGHT <- 1e12

#' The best hypothesis, judged with spline mechanisms on rows
#'
#' BIC is that of the rows it is computed from: were the log-likelihood of some rows scaled up to
#' all, so would its noise, and edges without effect be taken for some.
#' @param best The best hypothesis with lines.
#' @param states Complete graphs of stage 1, best first.
#' @param drawn Will draws judge directions? Then splines turn no edges round.
#' @return The best hypothesis, as stage_edges() has it; if splines are worth their parameters also
#'   `curves`: list of `indefinite`, `floored`. `problem$straight` becomes BIC of splines less that
#'   of lines, NA where the correction for noise broke down
#' @noRd
stage_curves <- function(best, states, problem, tick, drawn = FALSE) {
  tick()
  problem$curves <- if (problem$core > CURVES$whole) CURVES_MANY else CURVES
  problem$rows <- thinned(problem$part, min(problem$curves$rows,
                                            problem$curves$most_rows %/% problem$part$n_domains))
  problem$lines <- problem$seen
  problem$seen <- new.env(parent = emptyenv())
  lines <- with_curves(utils::modifyList(best, list(bend = 0 * best$dag)), problem, 1L, 2L,
                       keep = FALSE)
  judged <- lapply(curve_starts(best, states, problem), function(h) {
    tick()
    judged_by_curves(with_curves(h, problem, 0L, problem$curves$sweeps), problem)
  })
  curved <- best_of(judged)
  if (!drawn) curved <- judged_by_curves(curved, problem, with_edge_turned)
  straight <- curved$bic - lines$bic
  problem$straight <- if (is.finite(straight)) straight else NA_real_
  if ((problem$straight < 0) %in% TRUE && any(curved$bend == 1)) {
    return(curved)
  }
  problem$straight <- if (is.na(problem$straight)) NA_real_ else max(problem$straight, 0)
  problem$seen <- problem$lines
  best
}

# Where it begins ---------------------------------------------------------------------------------

#' Where the judgement begins: with few latents with all edges of an order, of those that splines
#' like best and of the best of stage 1; with many from the edges that lines have found
#' @noRd
curve_starts <- function(best, states, problem) {
  if (problem$core > CURVES$whole) {
    return(list(bent(best)))
  }
  first <- distinct_states(c(orders_of(best, problem), states), problem)
  most <- length(orders_of(best, problem)) + problem$curves$orders
  screened <- lapply(utils::head(first, most), screened_by_curves, problem)
  if (factorial(problem$core) > SCREEN$orders) {
    screened <- c(screened, list(climbed_by_curves(best_of(screened), problem)))
  }
  utils::head(distinct_states(sorted_hypotheses(screened), problem), problem$curves$orders)
}

#' All edges as splines
#' @noRd
bent <- function(h) {
  h$bend <- h$dag * 1
  h
}

#' Complete graphs of all orders with the targets and the rotation of a hypothesis; of its own order
#' alone if they are many
#' @noRd
orders_of <- function(h, problem) {
  orders <- list(topological_order(h$dag))
  if (factorial(problem$core) <= SCREEN$orders) {
    rest <- setdiff(seq_len(problem$d), seq_len(problem$core))
    orders <- c(orders, lapply(permutations(problem$core), c, rest))
  }
  graphs <- unique(Filter(Negate(is.null), lapply(orders, full_graph, problem$known)))
  if (length(graphs) == 0L) graphs <- list(h$dag)
  lapply(graphs, function(dag) replace(h, "dag", list(dag)))
}

#' All edges as splines, after one sweep of steps: it takes all rows to tell orders, but not
#' the best rotation
#' @noRd
screened_by_curves <- function(h, problem) {
  with_curves(bent(h), problem, 1L, 1L, keep = FALSE)
}

#' Orders one latent's place away, as long as splines gain
#' @noRd
climbed_by_curves <- function(h, problem) {
  repeat {
    graphs <- unique(Filter(Negate(is.null), lapply(insertions(topological_order(h$dag)),
                                                    full_graph, problem$known)))
    near <- lapply(graphs, function(dag) {
      screened_by_curves(replace(h, "dag", list(dag)), problem)
    })
    next_one <- best_of(c(list(h), near))
    if (!(next_one$bic < h$bic - 1e-3)) {
      return(h)
    }
    h <- next_one
  }
}

# BIC ---------------------------------------------------------------------------------------------

#' Parameters with lines and splines
#' @noRd
spline_size <- function(h, problem) {
  hit <- if (problem$perfect) 0 else colSums(h$targets) > 0
  hypothesis_size(h, problem) + sum(colSums(h$bend * h$dag) * (1 + hit)) * (spline_price() - 1)
}

#' Coefficients of a spline less its constant
#' @noRd
spline_price <- function() {
  REFINEMENT$knots + 2L - 1L
}

#' A hypothesis with its rotation refined
#'
#' The correction for noise can make up gains: BIC is infinite where it leaves a regression
#' indefinite in the end, or a variance at the floor.
#' @param sweeps 0: the rotation stays as it is, and the hypothesis is not remembered.
#' @param focus Latents that are turned among themselves; NULL: all.
#' @param keep Is it remembered?
#' @noRd
with_curves <- function(h, problem, first_sweep, sweeps, focus = NULL, keep = sweeps > 0L) {
  rows <- problem$rows
  h$bend <- h$bend * h$dag
  settings <- utils::modifyList(REFINEMENT, list(
    max_sweeps = first_sweep + sweeps, first_sweep = first_sweep,
    lambda = ifelse(h$bend == 1, REFINEMENT$lambda, STRAIGHT),
    noise = coordinate_noise(problem), threads = problem$threads,
    variance_floor = VARIANCE_FLOOR * mean(diag(problem$summary$noise)),
    perfect = as.integer(problem$perfect)
  ))
  if (!is.null(focus)) settings$focus <- as.integer(seq_len(problem$d) %in% focus)
  refined <- function(columns, settings) {
    .Call(C_rotation_refine, rows$x, columns, rows$env, h$targets, rep(1, rows$n_domains),
          parent_list(h$dag), settings)
  }
  found <- refined(h$columns, settings)
  end <- if (sweeps > 0L) {
    refined(found$rotation, replace(settings, "max_sweeps", list(first_sweep)))
  } else {
    found
  }
  h$columns <- found$rotation
  h$curves <- end[c("indefinite", "floored")]
  h$value <- if (end$indefinite + end$floored > 0L) Inf else end$objective
  h$parameters <- spline_size(h, problem)
  h$bic <- 2 * h$value + log(rows$n) * h$parameters
  if (keep) remember(h, problem)
  h
}

#' Covariance of the noise of the coordinates, a number where it is one
#' @noRd
coordinate_noise <- function(problem) {
  noise <- problem$summary$noise
  level <- mean(diag(noise))
  if (max(abs(noise - diag(level, nrow(noise)))) < 1e-10 * level) level else noise
}

# Moves -------------------------------------------------------------------------------------------

#' Edges straightened, taken away, bent and added by BIC, until there is nothing to gain
#' @param last A further kind of move, for where these end.
#' @noRd
judged_by_curves <- function(h, problem, last = function(h, problem) NULL) {
  while (is.finite(h$bic)) {
    next_one <- with_less(h, problem) %||% with_more(h, problem) %||% last(h, problem)
    if (is.null(next_one)) break
    h <- next_one
  }
  h
}

#' What changes of one edge do to BIC while the rotation stays
#'
#' A change touches the mechanism of one latent only, which alone is computed.
#' @param changes List of `at` (position of the edge), `dag` and `bend` there (0, 1).
#' @return list, of each change: `h`, the hypothesis; `node`; `by`, what BIC gains by; `saved`, what
#'   of that the parameters do; best first
#' @noRd
weighed_changes <- function(h, changes, problem) {
  d <- problem$d
  log_n <- log(problem$rows$n)
  alone <- function(one, node) {
    others <- col(one$dag) != node
    with_curves(replace(one, "dag", list(replace(one$dag, others, 0L))), problem, 1L, 0L)$value
  }
  nodes <- vapply(changes, function(change) (change$at - 1L) %/% d + 1L, 0)
  before <- vapply(seq_len(d), function(j) if (j %in% nodes) alone(h, j) else 0, 0)
  weighed <- Map(function(change, node) {
    one <- h
    one$dag[change$at] <- change$dag
    one$bend[change$at] <- change$bend
    saved <- log_n * (spline_size(h, problem) - spline_size(one, problem))
    by <- 2 * (before[node] - alone(one, node)) + saved
    list(h = one, node = node, by = if (is.nan(by)) -Inf else by, saved = saved)
  }, changes, nodes)
  weighed[order(-vapply(weighed, `[[`, 0, "by"))]
}

#' A hypothesis with a spline made a line, or an edge taken away; first all at once that are idle,
#' one of each latent, else the first that gains; NULL if none does
#' @noRd
with_less <- function(h, problem) {
  bends <- lapply(which(h$dag == 1L & h$bend == 1), function(at) list(at = at, dag = 1L, bend = 0))
  edges <- lapply(which(h$dag == 1L & !problem$known$required), function(at) {
    list(at = at, dag = 0L, bend = 0)
  })
  weighed <- weighed_changes(h, c(bends, edges), problem)
  idle <- Filter(function(change) change$by > 0, weighed)
  idle <- idle[!duplicated(vapply(idle, `[[`, 0, "node"))]
  if (length(idle) > 1L) {
    less <- h
    for (change in idle) {
      less$dag[, change$node] <- change$h$dag[, change$node]
      less$bend[, change$node] <- change$h$bend[, change$node]
    }
    refined <- with_curves(less, problem, 2L, problem$curves$further)
    if (refined$bic < h$bic) {
      return(refined)
    }
  }
  for (change in weighed) {
    if (change$by < (1 - CERTAIN) * change$saved) next
    refined <- with_curves(change$h, problem, 2L, problem$curves$further)
    if (refined$bic < h$bic) {
      return(refined)
    }
  }
  NULL
}

#' The hypothesis with the edge that gains most, as a line or as a spline, or the line that gains
#' most as a spline; NULL if none gains
#' @noRd
with_more <- function(h, problem) {
  joined <- h$dag == 1L | t(h$dag) == 1L
  new <- Filter(function(at) is_acyclic(replace(h$dag, at, 1L)),
                which(problem$known$allowed & !joined))
  straight <- which(h$dag == 1L & h$bend == 0)
  changes <- c(lapply(new, function(at) list(at = at, dag = 1L, bend = 0)),
               lapply(c(new, straight), function(at) list(at = at, dag = 1L, bend = 1)))
  weighed <- weighed_changes(h, changes, problem)
  if (length(weighed) == 0L || weighed[[1L]]$by <= 0) {
    return(NULL)
  }
  refined <- with_curves(weighed[[1L]]$h, problem, 2L, problem$curves$further)
  if (refined$bic < h$bic) refined
}

#' The hypothesis with an edge the other way, if that is better; of all edges those are looked at
#' further that are best after a turn of their two latents
#' @noRd
with_edge_turned <- function(h, problem) {
  can <- which(h$dag == 1L & !problem$known$required & t(problem$known$allowed))
  turned <- lapply(can, function(at) {
    ends <- arrayInd(at, dim(h$dag))
    one <- h
    one$dag[at] <- 0L
    one$dag[ends[, 2:1, drop = FALSE]] <- 1L
    one$bend[ends[, 2:1, drop = FALSE]] <- 1
    if (is_acyclic(one$dag)) {
      with_curves(one, problem, 0L, 2L, focus = ends, keep = FALSE)
    }
  })
  turned <- sorted_hypotheses(Filter(Negate(is.null), turned))
  for (one in utils::head(turned, SCREEN$turned)) {
    refined <- with_curves(one, problem, 1L, problem$curves$sweeps - 1L)
    if (refined$bic < h$bic) {
      return(refined)
    }
  }
  NULL
}
