# Graphs in the forms of other packages.

#' A graph for other packages
#'
#' @param dag A graph, as [as_dag()] reads it, or a discovery ([crl_discover()]).
#' @param format `"dagitty"`: text that `dagitty::dagitty()` reads. `"bnlearn"`: text that
#'   `bnlearn::model2network()` reads. `"igraph"`: an igraph graph (package igraph); edges of a
#'   discovery have their effect and evidence as attributes.
#' @return A string, or an igraph graph. [as_dag()] reads the first and the last back.
#' @section Errors:
#' Those of [as_dag()]; `ebcrl_error_package` where igraph is not installed.
#' @examples
#' export_dag("z1 -> z2 -> z3; z1 -> z3")
#' export_dag(chain_dag(3), "bnlearn")
#' @export
export_dag <- function(dag, format = c("dagitty", "bnlearn", "igraph")) {
  format <- check_choice(format, c("dagitty", "bnlearn", "igraph"), "format")
  found <- if (inherits(dag, "crl_discovery")) dag
  dag <- if (is.null(found)) as_dag(dag) else found$dag
  switch(format,
    dagitty = dagitty_text(dag),
    bnlearn = bnlearn_text(dag),
    igraph = igraph_of(dag, found)
  )
}

#' @noRd
dagitty_text <- function(dag) {
  name <- paste0("\"", colnames(dag), "\"")
  at <- which(unclass(dag) == 1L, arr.ind = TRUE)
  edges <- sprintf("%s -> %s", name[at[, 1L]], name[at[, 2L]])
  paste0("dag { ", paste(c(name, edges), collapse = " ; "), " }")
}

#' @noRd
bnlearn_text <- function(dag) {
  names <- colnames(dag)
  terms <- vapply(topological_order(dag), function(j) {
    parents <- names[parents_of(dag, j)]
    paste0("[", names[j], if (length(parents) > 0L) "|", paste(parents, collapse = ":"), "]")
  }, "")
  paste(terms, collapse = "")
}

#' @noRd
igraph_of <- function(dag, found) {
  check_package("igraph", "to make a graph of it")
  graph <- igraph::graph_from_adjacency_matrix(unclass(dag), mode = "directed")
  if (!is.null(found)) {
    ends <- igraph::as_edgelist(graph)
    row <- match(paste(ends[, 1L], ends[, 2L]), paste(found$edges$from, found$edges$to))
    igraph::edge_attr(graph, "effect") <- found$edges$effect[row]
    igraph::edge_attr(graph, "evidence") <- found$edges$evidence[row]
  }
  graph
}
