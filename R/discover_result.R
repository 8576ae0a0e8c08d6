# The result of crl_discover(): evidence of edges and targets, equivalents, and how it is shown.

# Hypotheses within reach of the best: 2 units of log-likelihood.
WITHIN_REACH <- 4

# Hypotheses that a result keeps, and the least share of them for an edge to be listed.
DISCOVER_KEPT <- 50L
LEAST_EVIDENCE <- 0.01

#' @noRd
new_discovery <- function(best, problem, settings) {
  data <- problem$data
  data$measure <- NULL
  best <- described_by_lines(best, problem)
  all <- sorted_hypotheses(unname(as.list(problem$seen)))
  all <- all[is.finite(vapply(all, `[[`, 0, "bic"))]
  place <- result_order(best, problem)
  names <- if (problem$known$labelled) data$latent_names else default_latents(problem$core)
  best <- renumbered_hypothesis(best, place)
  seen <- lapply(utils::head(all, 20L * DISCOVER_KEPT), aligned_hypothesis, best, problem$core)
  shares <- hypothesis_shares(seen)
  curved <- if (is.null(best$drawn)) "spline" else "sampled"
  judged <- if (is.null(best$curves)) "linear" else curved
  dag <- new_dag(best$dag, names)
  targets <- new_targets(best$targets, data$env_names, names)
  found <- list(
    dag = dag, targets = targets, order = names[topological_order(dag)],
    mixing = discovered_mixing(best, problem, names),
    edges = edge_table(best, seen, shares, names, problem),
    hits = hit_table(best, problem, names),
    hypotheses = hypothesis_table(seen, shares, names, data$env_names),
    equivalent = equivalents(seen, names, data$env_names),
    parameters = discovered_parameters(best, problem, names),
    judged = judged, straight = problem$straight,
    counts = c(looked_at = length(union(ls(problem$lines), ls(problem$seen))),
               unconverged = sum(!vapply(seen, `[[`, NA, "converged")),
               floored = best$floored, stopped = isTRUE(best$stopped)),
    factors = shown_factors(problem), tests = problem$equal,
    measurement = problem$measured[setdiff(names(problem$measured), "about_zero")], data = data,
    intervention = settings$intervention, settings = settings
  )
  structure(found, class = "crl_discovery")
}

#' How many of the coordinates stand out of the noise
#' @noRd
shown_factors <- function(problem) {
  if (!is.null(problem$domains)) {
    return(problem$d)
  }
  data <- problem$data
  edge <- noise_edge(data$n, max(data$p - problem$d, 1L))
  sum(problem$measured$values > edge)
}

#' The hypothesis with the losses of its edges and targets, one at a time
#' @param keep Are the hypotheses without them remembered?
#' @noRd
evident <- function(best, problem, keep = TRUE) {
  d <- problem$d
  edges <- which(best$dag == 1L)
  fewer <- lapply(edges, function(at) replace(best, "dag", list(replace(best$dag, at, 0L))))
  hits <- which(best$targets == 1L)
  missed <- lapply(hits, function(at) replace(best, "targets", list(replace(best$targets, at, 0L))))
  loss <- function(fitted) vapply(fitted, function(h) max(h$value - best$value, 0), 0)
  best$edge_loss <- replace(matrix(NA_real_, d, d), edges, loss(fitted_again(fewer, problem, keep)))
  best$hit_loss <- replace(best$targets + NA_real_, hits, loss(fitted_again(missed, problem, keep)))
  best
}

#' A hypothesis with slopes, intercepts and variances of lines, and with the losses of its edges
#' @noRd
described_by_lines <- function(best, problem) {
  if (is.null(best$curves)) {
    return(best)
  }
  lines <- fitted_hypotheses(list(best), problem, "marginal")[[1L]]
  best[c("slopes", "intercept", "variance")] <- lines[c("slopes", "intercept", "variance")]
  best$edge_loss <- best$drawn$loss %||% curve_losses(best, problem)
  best$hit_loss <- evident(lines, problem, keep = FALSE)$hit_loss
  best
}

#' Losses of edges with splines, the rotation being optimised again if it was
#' @noRd
curve_losses <- function(best, problem) {
  loss <- matrix(NA_real_, problem$d, problem$d)
  for (at in which(best$dag == 1L)) {
    fewer <- replace(best, "dag", list(replace(best$dag, at, 0L)))
    known <- problem$seen[[hypothesis_key(fewer, problem)]]
    if (is.null(known)) known <- with_curves(fewer, problem, 2L, problem$curves$further)
    loss[at] <- max(known$value - best$value, 0)
  }
  loss
}

#' @noRd
fitted_again <- function(hypotheses, problem, keep) {
  allowed <- vapply(hypotheses, function(h) all(h$dag[problem$known$required] == 1L) &&
                      all(h$targets == problem$known$targets, na.rm = TRUE), NA)
  fitted <- fitted_hypotheses(hypotheses, problem, "marginal")
  for (h in fitted[allowed & keep]) remember(h, problem)
  fitted
}

#' Places of the latents in the result: as they are where names count, else in the order of the
#' graph; nuisance factors left out
#' @noRd
result_order <- function(best, problem) {
  core <- seq_len(problem$core)
  if (problem$known$labelled) core else intersect(latent_order(best), core)
}

#' @noRd
renumbered_hypothesis <- function(h, place) {
  rest <- setdiff(seq_len(nrow(h$dag)), place)
  h$columns <- h$columns[, c(place, rest), drop = FALSE]
  h$dag <- h$dag[place, place, drop = FALSE]
  h$targets <- h$targets[, place, drop = FALSE]
  if (!is.null(h$edge_loss)) h$edge_loss <- h$edge_loss[place, place, drop = FALSE]
  if (!is.null(h$hit_loss)) h$hit_loss <- h$hit_loss[, place, drop = FALSE]
  if (!is.null(h$slopes)) {
    h$slopes <- h$slopes[place, , place, drop = FALSE]
    h$intercept <- h$intercept[place, , drop = FALSE]
    h$variance <- h$variance[place, , drop = FALSE]
  }
  h
}

#' A hypothesis with its latents numbered as in the best, by their columns
#' @noRd
aligned_hypothesis <- function(h, best, core) {
  cosine <- abs(crossprod(best$columns, h$columns))
  place <- assign_columns(cosine)[seq_len(core)]
  renumbered_hypothesis(h, place)
}

#' @noRd
hypothesis_shares <- function(seen) {
  bic <- vapply(seen, `[[`, 0, "bic")
  weight <- exp(-(bic - min(bic)) / 2)
  weight / sum(weight)
}

#' @noRd
edge_table <- function(best, seen, shares, names, problem) {
  evidence <- Reduce(`+`, Map(function(h, w) w * h$dag, seen, shares))
  listed <- which(best$dag == 1L | evidence >= LEAST_EVIDENCE, arr.ind = TRUE)
  present <- best$dag[listed] == 1L
  table <- tibble::tibble(
    from = names[listed[, 1L]], to = names[listed[, 2L]], present = present,
    effect = ifelse(present, signed_slopes(best, problem)[listed], NA_real_),
    loss = best$edge_loss[listed], evidence = pmin(evidence[listed], 1)
  )
  table[order(!table$present, -table$evidence, match(table$to, names), match(table$from, names)), ]
}

#' Slopes in the state without intervention (with it, where there is no other), signs as in A
#' @noRd
signed_slopes <- function(best, problem) {
  sign <- discovered_signs(best, problem)
  d <- length(sign)
  idle <- matrix(best$slopes[, 1L, ], d)
  matrix(idle * outer(sign, sign), d)
}

#' @noRd
hit_table <- function(best, problem, names) {
  seen <- lapply(unname(as.list(problem$lines)), aligned_hypothesis, best, problem$core)
  shares <- hypothesis_shares(seen)
  evidence <- Reduce(`+`, Map(function(h, w) w * h$targets, seen, shares))
  listed <- which(best$targets == 1L | evidence >= LEAST_EVIDENCE, arr.ind = TRUE)
  known <- !is.na(problem$known$targets[, seq_len(problem$core), drop = FALSE])
  domains <- problem$data$env_names
  table <- tibble::tibble(
    domain = domains[listed[, 1L]], latent = names[listed[, 2L]],
    present = best$targets[listed] == 1L, known = known[listed], loss = best$hit_loss[listed],
    evidence = pmin(evidence[listed], 1)
  )
  table[order(match(table$domain, domains), !table$present, -table$evidence), ]
}

#' @noRd
hypothesis_table <- function(seen, shares, names, domains) {
  kept <- seq_len(min(DISCOVER_KEPT, length(seen)))
  number <- function(name) vapply(seen[kept], `[[`, 0, name)
  bic <- number("bic")
  tibble::tibble(
    rank = kept, bic = bic, behind = bic - bic[1L], loglik = -number("value"),
    parameters = as.integer(number("parameters")), share = shares[kept],
    edges = vapply(seen[kept], function(h) sum(h$dag), 0L),
    dag = lapply(seen[kept], function(h) new_dag(h$dag, names)),
    targets = lapply(seen[kept], function(h) new_targets(h$targets, domains, names))
  )
}

#' What hypotheses within reach of the best have in different ways
#' @noRd
equivalents <- function(seen, names, domains) {
  bic <- vapply(seen, `[[`, 0, "bic")
  near <- seen[bic <= min(bic) + WITHIN_REACH]
  graphs <- vapply(near, function(h) c(h$dag), integer(length(names)^2))
  graphs <- matrix(graphs, length(names)^2)
  sets <- matrix(vapply(near, function(h) c(h$targets), integer(length(domains) * length(names))),
                 length(domains) * length(names))
  some_have <- matrix(rowMeans(graphs), length(names))
  pairs <- which(upper.tri(some_have) & (some_have + t(some_have) > 0), arr.ind = TRUE)
  graph <- pair_table(pairs, some_have, names)
  open <- which(rowMeans(sets) > 0 & rowMeans(sets) < 1)
  at <- arrayInd(open, c(length(domains), length(names)))
  targets <- tibble::tibble(domain = domains[at[, 1L]], latent = names[at[, 2L]],
                            share = rowMeans(sets)[open])
  list(hypotheses = length(near), graph = graph, targets = targets,
       words = equivalent_words(length(near), graph, targets))
}

#' @noRd
pair_table <- function(pairs, some_have, names) {
  forward <- some_have[pairs]
  backward <- t(some_have)[pairs]
  swap <- backward > forward
  status <- ifelse(forward + backward < 1 - 1e-9, ifelse(pmin(forward, backward) > 0,
                                                         "perhaps, either way", "perhaps"),
                   ifelse(pmin(forward, backward) > 0, "either way", "directed"))
  tibble::tibble(from = names[ifelse(swap, pairs[, 2L], pairs[, 1L])],
                 to = names[ifelse(swap, pairs[, 1L], pairs[, 2L])], status = status)
}

#' @noRd
equivalent_words <- function(near, graph, targets) {
  if (near == 1L) {
    return("No other hypothesis is within 2 units of log-likelihood.")
  }
  listed <- function(status) {
    at <- graph$status == status
    mark <- if (grepl("either", status)) "-" else "->"
    if (any(at)) paste(graph$from[at], mark, graph$to[at], collapse = ", ")
  }
  c(paste0(near, " hypotheses within 2 units of log-likelihood."),
    if (!is.null(listed("either way"))) {
      paste0("There, but the direction is open: ", listed("either way"), ".")
    },
    if (!is.null(listed("perhaps"))) paste0("May be absent: ", listed("perhaps"), "."),
    if (!is.null(listed("perhaps, either way"))) {
      paste0("May be absent, and the direction is open: ", listed("perhaps, either way"), ".")
    },
    if (nrow(targets) > 0L) {
      open <- paste(targets$latent, "in", targets$domain, collapse = ", ")
      paste0("Targets that are open: ", open, ".")
    })
}

#' 1 or -1 for each latent: higher where it is targeted; else the largest loading is positive
#' @noRd
discovered_signs <- function(best, problem) {
  core <- seq_len(problem$core)
  means <- qr.solve(best$columns, problem$summary$mean)[core, , drop = FALSE]
  rows <- problem$summary$n
  loadings <- problem$basis %*% best$columns[, core, drop = FALSE]
  by_loading <- sign(loadings[cbind(max.col(t(abs(loadings)), "first"), core)])
  vapply(core, function(j) {
    hit <- best$targets[, j] == 1L
    if (!any(hit) || all(hit)) {
      return(by_loading[j])
    }
    shift <- sum(means[j, hit] * rows[hit]) / sum(rows[hit]) -
      sum(means[j, !hit] * rows[!hit]) / sum(rows[!hit])
    if (shift < 0) -1 else 1
  }, 0)
}

#' @noRd
discovered_mixing <- function(best, problem, names) {
  core <- seq_len(problem$core)
  sign <- discovered_signs(best, problem)
  mixing <- problem$basis %*% best$columns[, core, drop = FALSE] * rep(sign, each = problem$data$p)
  dimnames(mixing) <- list(problem$data$feature_names, names)
  mixing
}

#' @noRd
discovered_parameters <- function(best, problem, names) {
  sign <- discovered_signs(best, problem)
  d <- length(sign)
  states <- STATE_NAMES
  slopes <- best$slopes
  for (c in seq_along(STATES)) slopes[, c, ] <- matrix(slopes[, c, ], d) * outer(sign, sign)
  list(intercept = `dimnames<-`(best$intercept * sign * problem$unit, list(names, states)),
       variance = `dimnames<-`(best$variance * problem$unit^2, list(names, states)),
       slopes = `dimnames<-`(slopes, list(names, states, names)))
}

# Shown -------------------------------------------------------------------------------------------

#' @export
print.crl_discovery <- function(x, ...) {
  cat("Discovered: ", describe_size(c(x$data[c("n", "p")], d = ncol(x$dag),
                                     n_domains = nrow(x$targets))), "\n", sep = "")
  print(x$dag)
  print(x$targets)
  weak <- x$edges[x$edges$present & x$edges$evidence < 0.95, ]
  write_lines(c(judged_words(x), x$equivalent$words, discovery_notes(x), if (nrow(weak) > 0L) {
    listed <- paste(weak$from, "->", weak$to, collapse = ", ")
    paste0("Edges with evidence below 95 %: ", listed, ".")
  }))
  invisible(x)
}

#' @noRd
judged_words <- function(x) {
  switch(x$judged,
    linear = if (!is.null(x$straight) && !is.na(x$straight)) {
      "Mechanisms: lines; splines are not worth their parameters."
    } else {
      "Mechanisms: lines."
    },
    spline = "Mechanisms: lines and splines.",
    sampled = "Mechanisms: lines and splines, edges judged by draws."
  )
}

#' @noRd
discovery_notes <- function(x) {
  idle <- colnames(x$targets)[colSums(x$targets) == 0L]
  d <- ncol(x$dag)
  covariates <- x$data$covariates
  c(
    if (!is.null(covariates)) {
      paste0("Taken out of x: effects of ", count_of(nrow(covariates$effects), "covariate"), ".")
    },
    if (length(idle) == d) {
      paste0("No domain is seen to move a latent (test of equal domains: p = ",
             format(x$tests$p_value, digits = 2L), "). Nothing but their variances tells latents ",
             "from one another, and edges cannot be told.")
    } else if (length(idle) > 0L) {
      paste0("No domain targets ", paste(idle, collapse = ", "),
             ": told by the graph alone, if at all.")
    },
    if (x$factors < d) {
      paste0("Only ", x$factors, " of ", count_of(d, "latent"), " stand out of the noise of x.")
    },
    if (!is.null(x$doubts)) {
      paste0("Beside the latents x has further common factors (eigenvalue ",
             figures(x$doubts$eigenvalue, 3L), " in units of the noise, edge ",
             figures(x$doubts$edge, 3L), "), which can take the place of a latent: ",
             "`nuisance = \"auto\"` models them, `crl_rank()` counts them.")
    },
    if (is.na(x$straight %||% 0)) {
      paste("The correction for noise of the spline stage broke down; the graph is that of lines,",
            "which take curves for edges.")
    },
    if (x$counts[["stopped"]] > 0L) {
      "The g-model that draws the latents stopped; edges are judged by splines alone."
    },
    if (x$counts[["unconverged"]] > 0L) {
      paste0(count_of(x$counts[["unconverged"]], "descent"), " did not converge.")
    },
    if (x$counts[["floored"]] > 0L) {
      paste0(count_of(x$counts[["floored"]], "noise variance"), " of latents fell to the floor.")
    }
  )
}

#' Methods of a discovery
#'
#' @param x,object A `crl_discovery`, from [crl_discover()].
#' @param matrix What `tidy()` lists: `"edges"` (the default), `"targets"`, `"hypotheses"`.
#' @param ... Not used.
#' @return `summary()`: a list of class `summary.crl_discovery`, printed as the graph, the targets,
#'   edges and targets with their evidence, the best hypotheses and what is open. `tidy()`: the
#'   tibble `edges`, `hits` or `hypotheses` of [crl_discover()]. `glance()`: a tibble of one row:
#'   `nobs`, `features`, `latents`, `domains`, `edges`, `bic`, `behind` (BIC of the second less that
#'   of the best), `hypotheses` looked at, `elapsed`.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(chain_dag(3), n = 300, p = 20, nonlinearity = "linear")
#' found <- crl_discover(sim, d = 3)
#' summary(found)
#' tidy(found, "targets")
#' glance(found)
#' @name crl_discovery-methods
NULL

#' @rdname crl_discovery-methods
#' @export
summary.crl_discovery <- function(object, ...) {
  check_dots_empty(...)
  structure(list(discovery = object), class = "summary.crl_discovery")
}

#' @export
print.summary.crl_discovery <- function(x, digits = 3L, ...) {
  found <- x$discovery
  print(found)
  cat("\nEdges:\n")
  if (nrow(found$edges) > 0L) print_table(found$edges, digits) else cat("none\n")
  cat("\nTargets:\n")
  if (nrow(found$hits) > 0L) print_table(found$hits, digits) else cat("none\n")
  cat("\nHypotheses (", whole(found$counts[["looked_at"]]), " looked at):\n", sep = "")
  columns <- c("rank", "behind", "loglik", "parameters", "share", "edges")
  print_table(utils::head(found$hypotheses[columns], 5L), digits)
  invisible(x)
}

#' @rdname crl_discovery-methods
#' @export
tidy.crl_discovery <- function(x, matrix = c("edges", "targets", "hypotheses"), ...) {
  check_dots_empty(...)
  matrix <- check_choice(matrix, c("edges", "targets", "hypotheses"), "matrix")
  x[[c(edges = "edges", targets = "hits", hypotheses = "hypotheses")[[matrix]]]]
}

#' @rdname crl_discovery-methods
#' @export
glance.crl_discovery <- function(x, ...) {
  check_dots_empty(...)
  tibble::tibble(nobs = x$data$n, features = x$data$p, latents = ncol(x$dag),
                 domains = nrow(x$targets), edges = sum(x$dag), bic = x$hypotheses$bic[1L],
                 behind = x$hypotheses$behind[2L], hypotheses = x$counts[["looked_at"]],
                 elapsed = x$elapsed)
}
