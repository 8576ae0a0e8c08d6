# What is known of graph and targets before the search.

#' Edges that are known
#'
#' Part of a causal graph, for [crl_discover()].
#'
#' @param required,forbidden Edges that are there, and that are not: what [as_dag()] reads, such as
#'   `"z1 -> z2; z1 -> z3"` (forbidden edges may go both ways: a data frame of `from` and `to`, or a
#'   0/1 matrix).
#' @param order Latents, causes first: no edge goes backwards. Latents left out are free.
#' @return A list of class `crl_known_edges`: `required`, `forbidden` (tibbles of `from`, `to`),
#'   `order`.
#' @section Errors:
#' Those of [as_dag()]; `ebcrl_error_dag` where an edge is both required and forbidden, or goes back
#' in `order`.
#' @examples
#' known_edges(required = "raf -> mek", order = c("raf", "mek", "erk"))
#' @export
known_edges <- function(required = NULL, forbidden = NULL, order = NULL) {
  call <- rlang::current_env()
  required <- edge_list(required, "required", call)
  forbidden <- edge_list(forbidden, "forbidden", call)
  if (!is.null(order)) order <- check_names(order, "order")
  written <- function(edges) sprintf("%s -> %s", edges$from, edges$to)
  both <- intersect(written(required), written(forbidden))
  if (length(both) > 0L) {
    abort_input(c("An edge must not be both {.arg required} and {.arg forbidden}.",
                  "x" = "{some(both)} {cli::qty(length(both))}{?is/are}."), "dag")
  }
  back <- match(required$from, order) > match(required$to, order)
  if (any(back, na.rm = TRUE)) {
    abort_input(c("{.arg required} edges must go forward in {.arg order}.",
                  "x" = "{some(written(required)[which(back)])} does not."), "dag")
  }
  structure(list(required = required, forbidden = forbidden, order = order),
            class = "crl_known_edges")
}

#' @noRd
edge_list <- function(edges, arg, call) {
  if (is.null(edges)) {
    return(tibble::tibble(from = character(), to = character()))
  }
  if (is.data.frame(edges) && all(c("from", "to") %in% names(edges))) {
    return(tibble::tibble(from = as.character(edges$from), to = as.character(edges$to)))
  }
  if (is.matrix(edges) && is.numeric(edges)) {
    names <- adjacency_names(edges, call)
    at <- which(edges != 0, arr.ind = TRUE)
    return(tibble::tibble(from = names[at[, 1L]], to = names[at[, 2L]]))
  }
  dag <- as_dag(edges)
  at <- which(dag == 1L, arr.ind = TRUE)
  tibble::tibble(from = rownames(dag)[at[, 1L]], to = rownames(dag)[at[, 2L]])
}

#' @export
print.crl_known_edges <- function(x, ...) {
  words <- function(edges) {
    if (nrow(edges) > 0L) paste(edges$from, "->", edges$to, collapse = ", ") else "none"
  }
  cat("Edges known\n  required: ", words(x$required), "\n  forbidden: ", words(x$forbidden),
      if (!is.null(x$order)) paste0("\n  order: ", paste(x$order, collapse = ", ")), "\n", sep = "")
  invisible(x)
}

#' Latents that something known names, in the order of the graph if there is one; NULL if none does
#' @noRd
latents_of_knowledge <- function(given) {
  dag <- given$dag
  names <- if (inherits(dag, "crl_known_edges")) {
    c(dag$order, dag$required$from, dag$required$to, dag$forbidden$from, dag$forbidden$to)
  } else if (!is.null(dag)) {
    colnames(as_dag(dag))
  }
  targets <- given$targets
  more <- if (is.matrix(targets)) {
    colnames(targets) %||% default_latents(ncol(targets))
  } else if (!is.null(targets)) {
    named <- unlist(targets, use.names = FALSE)
    setdiff(as.character(named), "none")
  }
  unique(c(names, more))
}

#' What is known, as matrices
#'
#' @return list: `targets` (M x d: 0, 1, NA), `allowed`, `required` (d x d), `max_targets`,
#'   `labelled`: does anything of it tell latents apart by name?
#' @noRd
knowledge <- function(given, data, max_targets, call) {
  latents <- data$latent_names
  d <- data$d
  targets <- known_targets(given$targets, data, call)
  control <- given$observational
  if (!is.null(control)) targets[domain_positions(control, data, "observational", call), ] <- 0L
  graph <- known_graph(given$dag, latents, call)
  most <- max(0L, rowSums(targets == 1L, na.rm = TRUE))
  if (most > max_targets) {
    abort_input(c(paste("{.arg max_targets} must be at least the number of targets that a domain is",
                        "known to have."),
                  "x" = "It is {max_targets}; one has {most}."), "targets", call = call)
  }
  list(targets = targets, allowed = graph$allowed, required = graph$required,
       max_targets = min(max_targets, d), labelled = is_labelled(targets, graph),
       domains = data$env_names)
}

#' @noRd
is_labelled <- function(targets, graph) {
  by_row <- apply(targets, 1L, function(row) length(unique(row)) == 1L)
  free <- graph$allowed | diag(TRUE, nrow(graph$allowed))
  !all(by_row) || !all(free) || any(graph$required)
}

#' @noRd
domain_positions <- function(names, data, arg, call) {
  at <- match(domain_labels(names), data$env_names)
  if (anyNA(at)) {
    abort_input(c("{.arg {arg}} must name domains of {.arg env}.",
                  "x" = "Not among them: {some(names[is.na(at)])}.",
                  "i" = "They are {some(data$env_names)}."), "domain", call = call)
  }
  at
}

#' @noRd
known_targets <- function(targets, data, call) {
  known <- matrix(NA_integer_, data$n_domains, data$d,
                  dimnames = list(data$env_names, data$latent_names))
  if (is.null(targets)) {
    return(known)
  }
  if (!is.matrix(targets)) {
    targets <- unclass(intervention_targets(as.list(targets), latents = data$latent_names))
  }
  columns <- colnames(targets) %||% default_latents(ncol(targets))
  entries <- targets[!is.na(targets)]
  if (!all(columns %in% data$latent_names) || !all(entries %in% c(0, 1))) {
    abort_input(c(paste("{.arg targets} must have a column for each latent it is known of, with 0,",
                        "1 and NA."),
                  "x" = "Columns are {some(columns)}, latents {some(data$latent_names)}.",
                  "i" = "NA stands for what is not known."), "targets", call = call)
  }
  rows <- domain_positions(rownames(targets) %||% data$env_names[seq_len(nrow(targets))], data,
                        "targets", call)
  known[rows, columns] <- as.integer(targets)
  known
}

#' @noRd
known_graph <- function(dag, latents, call) {
  d <- length(latents)
  allowed <- !diag(TRUE, d)
  required <- matrix(FALSE, d, d)
  if (is.null(dag)) {
    return(list(allowed = allowed, required = required))
  }
  if (!inherits(dag, "crl_known_edges")) {
    dag <- as_dag(dag)
    at <- match(colnames(dag), latents)
    required[at, at] <- unclass(dag) == 1L
    return(list(allowed = required, required = required))
  }
  at <- function(edges) cbind(match(edges$from, latents), match(edges$to, latents))
  required[at(dag$required)] <- TRUE
  allowed[at(dag$forbidden)] <- FALSE
  place <- match(latents, dag$order)
  allowed[outer(place, place, `>`) %in% TRUE] <- FALSE
  if (!is_acyclic(required * 1L)) {
    abort_input(c("Edges that are {.arg required} must not form a cycle."), "dag", call = call)
  }
  list(allowed = allowed, required = required)
}

#' The same with nuisance factors, which have no edges and no targets
#' @noRd
padded_knowledge <- function(known, d) {
  core <- ncol(known$targets)
  many <- d - core
  if (many == 0L) {
    return(known)
  }
  wider <- function(m) rbind(cbind(m, matrix(FALSE, core, many)), matrix(FALSE, many, d))
  known$targets <- cbind(known$targets, matrix(0L, nrow(known$targets), many))
  known$allowed <- wider(known$allowed)
  known$required <- wider(known$required)
  known
}
