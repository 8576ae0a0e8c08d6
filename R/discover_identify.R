# What graph and targets tell before there are data: crl_identify().

#' What a design tells
#'
#' Says, for a graph and the targets of each domain, without data: which latents are told apart and
#' from which others they are not, which edges can be told, and which further domain with a single
#' target would help most.
#'
#' @section Rules:
#' *Latents.* Two latents that every domain has in the same state (or one just where the other is
#' not, or both always in one state) are told apart by the graph alone, so that only the
#' distribution of the latents without interventions bears on them: with Gaussian noise and linear
#' mechanisms a turn of the two may leave it as it is. Otherwise the two are in different states in
#' some domains, and a turn would mix a mechanism that changes there with one that does not. With
#' `mixing = "psd"` a latent may also take up a multiple of a parent where no perfect intervention
#' cuts it off and all its children are children of that parent, too.
#'
#' *Edges.* An edge i -> j is told in both its presence and its direction where some domain tells i
#' from j, that is, targets one of them and not the other: a mechanism that changes with an
#' intervention is that of the target. Edges between latents that no domain tells apart are told up
#' to Markov equivalence: they have a direction where it is that of all graphs with the same
#' skeleton and colliders (interventional essential graph, Hauser and Bühlmann 2012).
#'
#' These are rules for generic parameters: an intervention that changes nothing, or an effect that
#' happens to cancel, tells less. They say nothing of sample sizes.
#'
#' @param dag Causal graph, as [as_dag()] reads it.
#' @param targets Intervention targets of each domain, as [intervention_targets()] reads them.
#' @param intervention `"perfect"` (the default) or `"imperfect"`.
#' @param mixing `"orthonormal"` (the default) or `"psd"`, see [crl_control()].
#' @param x A `crl_identification`.
#' @param ... Not used.
#' @return An object of class `crl_identification`, a list with
#'   \item{latents}{tibble: `latent`, `targeted` (number of domains), `told` (up to sign and
#'     location), `untold_from` (list: the latents that it is not told from)}
#'   \item{edges}{tibble: `from`, `to`, `told` (`"yes"`, or `"undirected"`: there, but its direction
#'     is open)}
#'   \item{next_target}{tibble, best first: `latent` that a further domain could target alone,
#'     `latents` and `edges`, how many more would be told}
#'   \item{graph, targets, intervention}{as given}
#'   `tidy()`: `edges`.
#' @references Hauser, A. and Bühlmann, P. (2012). Characterization and greedy learning of
#'   interventional Markov equivalence classes of directed acyclic graphs. *Journal of Machine
#'   Learning Research*, 13, 2409-2464.
#' @section Errors:
#' Those of [as_dag()] and [intervention_targets()].
#' @seealso [crl_discover()]
#' @examples
#' crl_identify("z1 -> z2 -> z3", targets = list(control = NULL, a = "z3"))
#' @export
crl_identify <- function(dag, targets, intervention = c("perfect", "imperfect"),
                         mixing = c("orthonormal", "psd"), ...) {
  check_dots_empty(...)
  check_given(dag = missing(dag), targets = missing(targets), call = rlang::current_env(),
              help = "crl_identify")
  dag <- as_dag(dag)
  targets <- targets_for_dag(targets, dag, rlang::current_env())
  intervention <- check_choice(intervention, c("perfect", "imperfect"), "intervention")
  mixing <- check_choice(mixing, c("orthonormal", "psd"), "mixing")
  dimnames(dag) <- rep(list(colnames(targets)), 2L)
  told <- identified(dag, unclass(targets), intervention, mixing)
  structure(c(told, list(
    next_target = next_targets(dag, unclass(targets), intervention, mixing, told),
    graph = dag, targets = targets, intervention = intervention
  )), class = "crl_identification")
}

#' @return list: `latents`, `edges`
#' @noRd
identified <- function(dag, targets, intervention, mixing) {
  names <- colnames(dag)
  apart <- told_apart(targets)
  open <- !apart & !diag(TRUE, length(names))
  if (mixing == "psd") {
    data <- list(dag = dag, targets = targets, latent_names = names)
    pairs <- shearable_pairs(data, intervention == "perfect")
    if (!is.null(pairs)) open[pairs] <- TRUE
  }
  untold <- lapply(seq_along(names), function(j) names[open[j, ]])
  list(latents = tibble::tibble(latent = names, targeted = unname(colSums(targets)),
                                told = lengths(untold) == 0L, untold_from = untold),
       edges = told_edges(dag, apart))
}

#' Pairs of latents that some domain has in different states, and not just the one where the other
#' is not (d x d)
#' @noRd
told_apart <- function(targets) {
  pattern <- apply(targets, 2L, function(state) paste(abs(state - state[1L]), collapse = ""))
  outer(pattern, pattern, `!=`)
}

#' @noRd
told_edges <- function(dag, apart) {
  names <- colnames(dag)
  graph <- unclass(dag)
  directed <- (graph == 1L & apart) | collider_edges(graph)
  directed <- meek_closure(graph, directed)
  at <- which(graph == 1L, arr.ind = TRUE)
  tibble::tibble(from = names[at[, 1L]], to = names[at[, 2L]],
                 told = ifelse(directed[at], "yes", "undirected"))
}

#' Edges of colliders i -> k <- j with i and j not adjacent
#' @noRd
collider_edges <- function(graph) {
  joined <- graph + t(graph) > 0
  out <- graph == 2L
  for (k in seq_len(ncol(graph))) {
    parents <- which(graph[, k] == 1L)
    for (i in parents) out[i, k] <- any(!joined[i, setdiff(parents, i)])
  }
  out
}

#' Directions that follow from others (Meek 1995, rules 1 to 3, of which 1 and 2 and 3 keep new
#' colliders and cycles out), known to be those of the graph
#' @noRd
meek_closure <- function(graph, directed) {
  joined <- graph + t(graph) > 0
  repeat {
    open <- which(graph == 1L & !directed, arr.ind = TRUE)
    follows <- vapply(seq_len(nrow(open)), function(r) {
      i <- open[r, 1L]
      j <- open[r, 2L]
      undirected <- (graph == 1L & !directed) | t(graph == 1L & !directed)
      first <- any(directed[, i] & !joined[, j])
      second <- any(directed[i, ] & directed[, j])
      two <- which(undirected[i, ] & directed[, j])
      third <- length(two) > 1L && any(!joined[two, two] & !diag(TRUE, length(two)))
      first || second || third
    }, NA)
    if (!any(follows)) {
      return(directed)
    }
    directed[open[follows, , drop = FALSE]] <- TRUE
  }
}

#' @noRd
next_targets <- function(dag, targets, intervention, mixing, told) {
  gains <- lapply(seq_len(ncol(targets)), function(j) {
    more <- identified(dag, rbind(targets, replace(integer(ncol(targets)), j, 1L)), intervention,
                       mixing)
    c(latents = sum(more$latents$told) - sum(told$latents$told),
      edges = sum(more$edges$told == "yes") - sum(told$edges$told == "yes"))
  })
  table <- tibble::tibble(latent = colnames(targets),
                          latents = as.integer(vapply(gains, `[[`, 0, "latents")),
                          edges = as.integer(vapply(gains, `[[`, 0, "edges")))
  table[order(-table$latents, -table$edges), ]
}

#' @export
print.crl_identification <- function(x, ...) {
  cat("What graph and targets tell: ", count_of(nrow(x$latents), "latent"), ", ",
      count_of(nrow(x$targets), "domain"), ", ", x$intervention, " interventions\n", sep = "")
  write_lines(c(latent_words(x$latents), edge_words(x$edges), next_words(x$next_target)))
  invisible(x)
}

#' @noRd
latent_words <- function(latents) {
  told <- latents$latent[latents$told]
  open <- latents[!latents$told, ]
  c(if (length(told) > 0L) paste0("Told up to sign: ", paste(told, collapse = ", "), "."),
    if (nrow(open) > 0L) {
      paste0("Not told by the domains: ", paste(vapply(seq_len(nrow(open)), function(r) {
        paste(open$latent[r], "from", paste(open$untold_from[[r]], collapse = ", "))
      }, ""), collapse = "; "), ".")
    })
}

#' @noRd
edge_words <- function(edges) {
  yes <- edges$told == "yes"
  c(if (any(yes)) {
    paste0("Edges with a direction: ", paste(edges$from[yes], "->", edges$to[yes], collapse = ", "),
           ".")
  },
  if (any(!yes)) {
    paste0("Edges whose direction is open: ",
           paste(edges$from[!yes], "-", edges$to[!yes], collapse = ", "), ".")
  })
}

#' @noRd
next_words <- function(table) {
  best <- table[1L, ]
  if (best$latents <= 0L && best$edges <= 0L) {
    return("No further domain with one target would tell more.")
  }
  paste0("A further domain that targets ", best$latent, " alone would tell ",
         count_of(best$latents, "more latent"), " and ", best$edges, " more direction",
         if (best$edges != 1L) "s", ".")
}

#' @rdname crl_identify
#' @export
tidy.crl_identification <- function(x, ...) {
  check_dots_empty(...)
  x$edges
}
