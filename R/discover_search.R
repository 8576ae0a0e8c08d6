# The search over graphs and targets: hypotheses, their moves, and how they are compared. What is
# compared is computed in src/discover, from the moments of the domains.
#
# A hypothesis is a list of `dag` (d x d, 0/1), `targets` (M x d, 0/1) and `columns` (d x d: where
# its descent begins, and ends). Stage 1 compares complete graphs, one for each order of the
# latents, by profile likelihood (src/discover/profile.h); stage 2 takes edges away, and tries other
# moves, by the likelihood of y (src/discover/marginal.h) with BIC.

# So many combinations of order and targets are all tried; beyond, the search is local.
EXHAUSTIVE <- 1500L

# Random rotations that each of these is fitted from, random states that a local search begins at,
# and random rotations at each of these.
DISCOVER_STARTS <- list(rotations = 6L, states = 10L, first = 3L)

# Orders and targets whose edges are looked at, and how far their BIC may be behind the best.
DISCOVER_BEST <- list(most = 6L, behind = 200)

# Where descents stop: what they promise to gain, in units of log-likelihood.
DISCOVER_TOL <- 1e-4

# Problem -----------------------------------------------------------------------------------------

#' What the kernels need beside hypotheses
#' @noRd
discover_settings <- function(problem) {
  list(perfect = as.integer(problem$perfect), general = as.integer(problem$general),
       floor = VARIANCE_FLOOR, least = 1e-6, tol = DISCOVER_TOL, max_iter = 500L,
       threads = problem$threads)
}

#' Hypotheses fitted from their columns
#' @param likelihood `"profile"`, that of the latents less their noise, or `"marginal"`, that of y.
#' @return Them, with `columns` where the descent ended, `value` (minus the log-likelihood) and
#'   `bic`; of the likelihood of y also `intercept`, `variance` (d x 2), `slopes` (d x 2 x d:
#'   parent, state, latent)
#' @noRd
fitted_hypotheses <- function(hypotheses, problem, likelihood) {
  if (length(hypotheses) == 0L) {
    return(hypotheses)
  }
  if (!is.null(problem$domains)) {
    return(fitted_by_domains(hypotheses, problem))
  }
  part <- function(name) unlist(lapply(hypotheses, `[[`, name), use.names = FALSE)
  parts <- lapply(c("dag", "targets", "columns"), part)
  settings <- discover_settings(problem)
  found <- if (likelihood == "profile") {
    .Call(C_discover_profile, problem$summary, parts[[1L]], parts[[2L]], parts[[3L]], settings)
  } else {
    .Call(C_discover_marginal, problem$summary, parts[[1L]], parts[[2L]], parts[[3L]], settings)
  }
  d <- problem$d
  size <- d * d
  lapply(seq_along(hypotheses), function(k) {
    h <- hypotheses[[k]]
    h$columns <- matrix(found$columns[(k - 1L) * size + seq_len(size)], d)
    h$value <- if (is.finite(found$value[k])) found$value[k] else Inf # parameters have run away
    h$converged <- found$converged[k]
    h$floored <- found$floored[k]
    h$parameters <- hypothesis_size(h, problem)
    h$bic <- 2 * h$value + h$parameters * problem$log_n
    if (!is.null(found$slopes)) {
      h$intercept <- matrix(found$intercept[, , k], d)
      h$variance <- matrix(found$variance[, , k], d)
      h$slopes <- array(found$slopes[, , k], c(d, 2L, d))
    }
    h
  })
}

#' @noRd
by_profile <- function(hypotheses, problem) {
  fitted_hypotheses(hypotheses, problem, "profile")
}

#' The same by the likelihood of y; every hypothesis that was looked at is kept in `problem$seen`
#' @noRd
by_likelihood <- function(hypotheses, problem) {
  fitted <- fitted_hypotheses(hypotheses, problem, "marginal")
  for (h in fitted) remember(h, problem)
  fitted
}

#' @noRd
remember <- function(h, problem) {
  key <- hypothesis_key(h, problem)
  before <- problem$seen[[key]]
  if (is.null(before) || h$bic < before$bic) assign(key, h, envir = problem$seen)
}

#' Parameters beside the mixing: mean, variance and slopes of each latent in each state
#' @noRd
hypothesis_size <- function(h, problem) {
  parents <- colSums(h$dag)
  idle <- colSums(h$targets == 0L) > 0L
  hit <- colSums(h$targets) > 0L
  sum(idle * (2L + parents)) + sum(hit * (2L + if (problem$perfect) 0L else parents))
}

#' A name for a hypothesis that does not depend on how its latents are numbered
#' @noRd
hypothesis_key <- function(h, problem) {
  order <- if (problem$known$labelled) seq_len(problem$d) else latent_order(h)
  paste(c(h$targets[, order], "|", h$dag[order, order]), collapse = "")
}

#' Latents in the order of the graph; where it leaves a choice, by the domains that target them,
#' then by their parents and children
#' @noRd
latent_order <- function(h) {
  pattern <- apply(h$targets, 2L, paste, collapse = "")
  depth <- latent_depth(h$dag)
  for (round in 1:2) {
    kin <- function(links) {
      apply(links, 1L, function(l) paste(sort(pattern[l > 0L]), collapse = "."))
    }
    pattern <- paste(pattern, kin(t(h$dag)), kin(h$dag), sep = ";")
  }
  order(depth, pattern, decreasing = c(FALSE, TRUE), method = "radix")
}

#' Length of the longest path to each latent
#' @noRd
latent_depth <- function(dag) {
  depth <- integer(nrow(dag))
  for (step in seq_len(nrow(dag))) {
    depth <- vapply(seq_along(depth), function(j) {
      max(0L, depth[dag[, j] > 0L] + 1L)
    }, 0)
  }
  depth
}

#' @noRd
best_of <- function(hypotheses) {
  hypotheses[[which.min(vapply(hypotheses, `[[`, 0, "bic"))]]
}

# Stage 1: orders and targets ---------------------------------------------------------------------

#' The graph with all edges that an order and what is known allow; NULL if it lacks required ones
#' @noRd
full_graph <- function(order, known) {
  place <- order(order)
  dag <- (outer(place, place, `<`) & known$allowed) * 1L
  if (any(known$required & dag == 0L)) NULL else dag
}

#' Sets of targets that a domain may have: rows of 0 and 1
#' @noRd
target_choices <- function(known, e) {
  given <- known$targets[e, ]
  free <- which(is.na(given))
  base <- ifelse(is.na(given), 0L, given)
  room <- max(known$max_targets - sum(base), 0L)
  sets <- list(integer())
  for (size in seq_len(min(room, length(free)))) {
    sets <- c(sets, utils::combn(length(free), size, function(at) free[at], simplify = FALSE))
  }
  t(vapply(sets, function(set) replace(base, set, 1L), base))
}

#' All combinations of order and targets, or NULL if they are more than EXHAUSTIVE
#' @noRd
all_states <- function(problem) {
  known <- problem$known
  choices <- problem$choices
  orders <- if (known$labelled) factorial(problem$d) else 1
  if (orders * prod(vapply(choices, nrow, 0L)) > EXHAUSTIVE) {
    return(NULL)
  }
  orders <- if (known$labelled) permutations(problem$d) else list(seq_len(problem$d))
  tables <- all_targets(problem)
  graphs <- unique(Filter(Negate(is.null), lapply(orders, full_graph, known)))
  unlist(lapply(graphs, function(dag) lapply(tables, function(targets) {
    list(dag = dag, targets = targets)
  })), recursive = FALSE)
}

#' @noRd
chosen_targets <- function(choices, which) {
  do.call(rbind, Map(function(sets, k) sets[k, ], choices, which))
}

#' A latent that every domain targets has one state only, and no graph
#' @noRd
compatible <- function(targets) {
  all(colSums(targets) < nrow(targets))
}

#' @noRd
permutations <- function(d) {
  if (d == 1L) {
    return(list(1L))
  }
  unlist(lapply(permutations(d - 1L), function(p) {
    lapply(seq_len(d), function(at) append(p, d, at - 1L))
  }), recursive = FALSE)
}

#' Random rotations, the identity first: `many` of them
#' @noRd
random_rotations <- function(many, d, seed) {
  c(list(diag(1, d)), lapply(seq_len(many - 1L), function(k) {
    matrix(.Call(C_random_rotation, d, seed, k), d)
  }))
}

#' Complete graphs with their targets, best first
#' @noRd
stage_orders <- function(problem, tick) {
  states <- all_states(problem)
  if (!is.null(states)) exhaustive_orders(states, problem) else local_orders(problem, tick)
}

#' @noRd
exhaustive_orders <- function(states, problem) {
  starts <- random_rotations(DISCOVER_STARTS$rotations, problem$d, problem$seed)
  fitted <- lapply(starts, function(columns) {
    by_profile(lapply(states, c, list(columns = columns)), problem)
  })
  best <- do.call(Map, c(list(function(...) best_of(list(...))), fitted))
  sorted_hypotheses(best)
}

#' @noRd
sorted_hypotheses <- function(hypotheses) {
  hypotheses[order(vapply(hypotheses, `[[`, 0, "bic"))]
}

#' Local search over orders and targets, from several random states
#' @noRd
local_orders <- function(problem, tick) {
  many <- DISCOVER_STARTS$states
  rotations <- random_rotations(many * DISCOVER_STARTS$first, problem$d, problem$seed)
  found <- lapply(seq_len(many), function(s) {
    tick()
    own <- rotations[(s - 1L) * DISCOVER_STARTS$first + seq_len(DISCOVER_STARTS$first)]
    state <- random_state(problem)
    first <- by_profile(lapply(own, function(columns) c(state, list(columns = columns))), problem)
    climb_orders(best_of(first), problem)
  })
  sorted_hypotheses(unlist(found, recursive = FALSE))
}

#' A random order and random targets, no two domains the same while there are others
#' @noRd
random_state <- function(problem) {
  known <- problem$known
  repeat {
    order <- random_order(known)
    dag <- full_graph(order, known)
    targets <- random_targets(problem)
    if (!is.null(dag) && compatible(targets)) {
      return(list(dag = dag, targets = targets, order = order))
    }
  }
}

#' An order that has required edges forward
#' @noRd
random_order <- function(known) {
  d <- nrow(known$required)
  left <- seq_len(d)
  order <- integer()
  while (length(left) > 0L) {
    free <- left[colSums(known$required[left, left, drop = FALSE]) == 0L]
    order <- c(order, free[sample.int(length(free), 1L)])
    left <- setdiff(left, order)
  }
  order
}

#' @noRd
random_targets <- function(problem) {
  choices <- problem$choices
  used <- integer(problem$d)
  targets <- matrix(0L, length(choices), problem$d)
  for (e in sample.int(length(choices))) {
    sets <- choices[[e]]
    single <- which(rowSums(sets) <= 1L)
    if (length(single) == 0L) single <- seq_len(nrow(sets))
    tried <- sets[single, , drop = FALSE]
    load <- drop(tried %*% used) + 0.5 * (rowSums(tried) == 0)
    fresh <- single[load == min(load)]
    targets[e, ] <- sets[fresh[sample.int(length(fresh), 1L)], ]
    used <- used + targets[e, ]
  }
  targets
}

#' Best improving moves until there is none
#' @return The end, and what it passed
#' @noRd
climb_orders <- function(state, problem) {
  path <- list(state)
  repeat {
    next_one <- best_of(c(list(state), by_profile(order_moves(state, problem), problem)))
    if (!(next_one$bic < state$bic - 1e-3)) break
    state <- next_one
    path <- c(list(state), path)
  }
  utils::head(path, 2L)
}

#' Neighbours of an order with its targets: other targets of a domain, two domains' targets
#' exchanged, a latent at another place in the order
#' @noRd
order_moves <- function(state, problem) {
  tables <- target_moves(state$targets, problem)
  moves <- lapply(tables, function(targets) replace(state, "targets", list(targets)))
  known <- problem$known
  for (order in insertions(state$order)) {
    dag <- full_graph(order, known)
    if (!is.null(dag) && !identical(dag, state$dag)) {
      moves <- c(moves, list(utils::modifyList(state, list(dag = dag, order = order))))
    }
  }
  moves
}

#' @noRd
insertions <- function(order) {
  d <- length(order)
  unique(unlist(lapply(seq_len(d), function(from) {
    lapply(seq_len(d)[-from], function(to) append(order[-from], order[from], to - 1L))
  }), recursive = FALSE))
}

#' Tables of targets next to one
#' @noRd
target_moves <- function(targets, problem) {
  choices <- problem$choices
  changed <- unlist(lapply(seq_along(choices), function(e) {
    lapply(seq_len(nrow(choices[[e]])), function(k) {
      if (any(choices[[e]][k, ] != targets[e, ])) replace_row(targets, e, choices[[e]][k, ])
    })
  }), recursive = FALSE)
  pairs <- if (length(choices) > 1L) utils::combn(length(choices), 2L, simplify = FALSE)
  swapped <- lapply(pairs, function(pair) {
    if (any(targets[pair[1L], ] != targets[pair[2L], ]) &&
          may_have(choices[[pair[1L]]], targets[pair[2L], ]) &&
          may_have(choices[[pair[2L]]], targets[pair[1L], ])) {
      replace_row(replace_row(targets, pair[1L], targets[pair[2L], ]), pair[2L],
                  targets[pair[1L], ])
    }
  })
  Filter(function(table) !is.null(table) && compatible(table), c(changed, swapped))
}

#' @noRd
replace_row <- function(table, e, row) {
  table[e, ] <- row
  table
}

#' @noRd
may_have <- function(choices, row) {
  any(rowSums(choices != rep(row, each = nrow(choices))) == 0L)
}

# Stage 2: edges ----------------------------------------------------------------------------------

#' The best complete graphs without the edges that BIC does not want, then better neighbours
#' @return The best hypothesis, by the likelihood of y
#' @noRd
stage_edges <- function(states, problem, tick) {
  behind <- vapply(states, `[[`, 0, "bic")
  states <- states[behind <= min(behind) + DISCOVER_BEST$behind]
  ends <- list()
  for (state in utils::head(distinct_states(states, problem), DISCOVER_BEST$most)) {
    full <- by_likelihood(list(state), problem)[[1L]]
    ends <- c(ends, list(pruned(full, problem)))
    tick()
  }
  climb_edges(best_of(c(ends, fewest_edges(best_of(ends), problem))), problem)
}

#' The same targets with no edges but those required, from the principal axes: where nothing tells
#' latents from one another, edges stand for a turn of these
#' @noRd
fewest_edges <- function(h, problem) {
  plain <- list(dag = problem$known$required * 1L, columns = diag(1, problem$d))
  by_likelihood(list(utils::modifyList(h, plain)), problem)
}

#' @noRd
distinct_states <- function(states, problem) {
  keys <- vapply(states, hypothesis_key, "", problem)
  states[!duplicated(keys)]
}

#' Edges taken away one by one, each time the one that BIC misses least
#' @noRd
pruned <- function(h, problem) {
  repeat {
    next_one <- best_of(c(list(h), by_likelihood(without_edges(h, problem), problem)))
    if (next_one$bic >= h$bic) {
      return(h)
    }
    h <- next_one
  }
}

#' A hypothesis without each of its edges that are not required
#' @noRd
without_edges <- function(h, problem) {
  edges <- which(h$dag == 1L & !problem$known$required)
  lapply(edges, function(at) replace(h, "dag", list(replace(h$dag, at, 0L))))
}

#' @noRd
climb_edges <- function(h, problem) {
  repeat {
    near <- c(edge_moves(h, problem),
              lapply(target_moves(h$targets, problem), function(targets) {
                replace(h, "targets", list(targets))
              }))
    next_one <- best_of(c(list(h), by_likelihood(near, problem)))
    if (!(next_one$bic < h$bic - 1e-3)) {
      return(h)
    }
    h <- pruned(next_one, problem)
  }
}

#' Graphs next to one: an edge less, more, or turned round
#' @noRd
edge_moves <- function(h, problem) {
  known <- problem$known
  pairs <- which(known$allowed & h$dag == 0L & t(h$dag) == 0L)
  added <- lapply(pairs, function(at) replace(h$dag, at, 1L))
  turned <- lapply(which(h$dag == 1L & !known$required & t(known$allowed)), function(at) {
    dag <- replace(h$dag, at, 0L)
    from <- arrayInd(at, dim(dag))
    replace(dag, from[, 2:1, drop = FALSE], 1L)
  })
  graphs <- Filter(is_acyclic, c(added, turned))
  c(without_edges(h, problem), lapply(graphs, function(dag) replace(h, "dag", list(dag))))
}

#' @noRd
is_acyclic <- function(dag) {
  left <- rep(TRUE, nrow(dag))
  repeat {
    free <- left & colSums(dag[left, , drop = FALSE]) == 0L
    if (!any(free)) {
      return(!any(left))
    }
    left[free] <- FALSE
  }
}
