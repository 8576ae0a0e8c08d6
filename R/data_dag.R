# Causal graphs over the latents: dag[i, j] = 1 means i -> j (rows are parents).

#' Causal graphs over the latents
#'
#' `as_dag()` turns a matrix, an edge list, text or another package's graph into the form every
#' function of this package reads: a 0/1 matrix whose entry `[i, j]` is 1 when latent `i` is a
#' direct cause of latent `j`. [chain_dag()] and its companions build graphs from nothing.
#'
#' @section Direction:
#' Packages differ in what a matrix entry means. Here, in igraph and in bnlearn the *row* is the
#' parent; in pcalg (`amat.cpdag`), in abn and in the weights \eqn{w_{jk}} of the paper the *column*
#' is. A matrix does not say which it is, so two cases are refused until `direction` is given: a
#' strictly lower triangular matrix, which is what a graph in causal order looks like when it is
#' transposed, and an `amat.cpdag`. (A `pcAlgo` says which way its edges point.)
#'
#' @section Edge lists of numbers:
#' A number is the position of a node: in `nodes` if given (unless `nodes` hold the numbers
#' themselves, as names), else among `z1`, `z2`, ... up to the largest number, each of which must be
#' in an edge. A square table of zeros and ones is an adjacency matrix, never an edge list.
#'
#' @param dag The graph, one of
#'   * a square 0/1 (or logical) matrix, dense or of package Matrix; its row or column names name
#'     the latents, else they are `z1`, `z2`, ...;
#'   * the same as a data frame or tibble, whose first column may hold the names;
#'   * an edge list, one edge a row: a data frame with columns `from` and `to` (or any two columns
#'     that come first), or a matrix of two columns, of names or of numbers;
#'   * text: edges such as `"a -> b <- c"`, one string or several, or a whole dagitty or DOT graph,
#'     `"dag { a -> b ; c [pos=\"0,1\"] }"`; chains and groups (`"{a b} -> c"`) are read,
#'     attributes are skipped, and names with spaces or signs are quoted;
#'   * a `dagitty`, `igraph`, `bn` or `bn.fit` (bnlearn), `graphNEL` (graph) or `pcAlgo` (pcalg)
#'     object. The equivalence class (CPDAG) that `pc()` returns is a graph only if all its edges
#'     are directed;
#'   * a `crl_dag`, which is checked and returned.
#' @param direction For a square matrix or table: `"from_row"` reads entry `[i, j]` as i -> j,
#'   `"from_column"` as j -> i. `NULL` (default) is `"from_row"`, but refuses the two cases under
#'   Direction below.
#' @param nodes For edge lists and text: all node names in the order wanted. By default the order of
#'   first appearance; needed for a latent without any edge.
#' @param ... Not used; an argument that nothing reads is an error.
#' @return A `crl_dag`: an integer 0/1 matrix (d x d) with the node names as row and column names,
#'   of class `c("crl_dag", "matrix", "array")`.
#' @section Errors:
#' Classed `ebcrl_error_type`, `_shape`, `_missing` and `_dag` (not a 0/1 matrix, unknown nodes,
#' undirected edges, text that cannot be read or has invalid bytes), `_dag_direction` (see
#' Direction) and `_dag_cycle`, which names one cycle.
#' @seealso [chain_dag()], [intervention_targets()], [fit_crl()]
#' @examples
#' as_dag("raf -> mek -> erk")
#' as_dag(data.frame(from = c("a", "a"), to = c("b", "c")), nodes = c("c", "b", "a"))
#' pcalg_style <- rbind(c(0, 0), c(1, 0))
#' as_dag(pcalg_style, direction = "from_column")
#' @export
as_dag <- function(dag, ...) {
  UseMethod("as_dag")
}

#' @export
as_dag.default <- function(dag, ...) {
  check_given(dag = missing(dag), call = rlang::current_env(), help = "as_dag")
  abort_input(c("{.arg dag} cannot be read as a graph.", "x" = "It is {describe(dag)}.",
                "i" = paste("Give a 0/1 matrix, an edge list, text such as {.val a -> b}, or a",
                            "dagitty, igraph, bnlearn, graphNEL or pcAlgo object.")), "type")
}

#' @export
as_dag.crl_dag <- function(dag, ...) {
  check_dots_empty(...)
  dag_from_matrix(dag, "from_row")
}

#' @rdname as_dag
#' @export
as_dag.matrix <- function(dag, direction = NULL, nodes = NULL, ...) {
  check_dots_empty(...)
  if (is.character(dag) && ncol(dag) == 2L) {
    return(dag_from_edges(dag[, 1L], dag[, 2L], nodes))
  }
  if (is_numbered_list(dag)) {
    return(dag_from_numbers(dag[, 1L], dag[, 2L], nodes))
  }
  dag_from_matrix(dag, direction)
}

#' @rdname as_dag
#' @export
as_dag.Matrix <- function(dag, direction = NULL, ...) {
  check_dots_empty(...)
  dag_from_matrix(as.matrix(dag), direction)
}

#' @method as_dag amat.cpdag
#' @export
as_dag.amat.cpdag <- function(dag, direction = NULL, ...) {
  check_dots_empty(...)
  dag <- unclass(dag)
  check_undirected(dag)
  dag_from_matrix(dag, direction, child_first = TRUE)
}

#' @rdname as_dag
#' @export
as_dag.data.frame <- function(dag, nodes = NULL, direction = NULL, ...) {
  check_dots_empty(...)
  listed <- all(c("from", "to") %in% names(dag))
  adjacency <- if (!listed) frame_adjacency(dag)
  if (!is.null(adjacency)) {
    return(dag_from_matrix(adjacency, direction))
  }
  if (ncol(dag) < 2L) {
    abort_input(c("{.arg dag} must have two columns, {.field from} and {.field to}.",
                  "x" = "It has {ncol(dag)} column{?s}.",
                  "i" = "Give one edge a row, or a square 0/1 table."), "shape")
  }
  columns <- if (listed) c("from", "to") else 1:2
  from <- dag[[columns[1L]]]
  to <- dag[[columns[2L]]]
  if (is.numeric(from) && is.numeric(to)) {
    return(dag_from_numbers(from, to, nodes))
  }
  dag_from_edges(from, to, nodes)
}

#' @rdname as_dag
#' @export
as_dag.character <- function(dag, nodes = NULL, ...) {
  check_dots_empty(...)
  dag_from_text(dag, nodes)
}

#' @export
as_dag.dagitty <- function(dag, nodes = NULL, ...) {
  check_dots_empty(...)
  dag_from_text(unclass(dag), nodes)
}

#' @export
as_dag.igraph <- function(dag, ...) {
  check_dots_empty(...)
  check_package("igraph", "to read an igraph object")
  if (!igraph::is_directed(dag)) {
    abort_undirected("igraph", "directed = TRUE")
  }
  adjacency <- as.matrix(igraph::as_adjacency_matrix(dag, sparse = FALSE))
  if (any(adjacency > 1)) {
    abort_input(c("{.arg dag} must have at most one edge between two nodes.",
                  "x" = "{sum(adjacency > 1)} pair{?s} of nodes {?has/have} several.",
                  "i" = "Use {.code igraph::simplify()}."), "dag")
  }
  new_dag(adjacency, adjacency_names(adjacency))
}

#' @export
as_dag.bn <- function(dag, ...) {
  check_dots_empty(...)
  dag_from_edges(dag$arcs[, "from"], dag$arcs[, "to"], names(dag$nodes))
}

#' @export
as_dag.graphNEL <- function(dag, ...) {
  check_dots_empty(...)
  check_package("graph", "to read a graphNEL object")
  if (graph::edgemode(dag) != "directed") {
    abort_undirected("graphNEL", "edgemode = \"directed\"")
  }
  children <- graph::edges(dag)
  dag_from_edges(rep(names(children), lengths(children)), unlist(children, use.names = FALSE),
                 graph::nodes(dag))
}

#' @export
as_dag.bn.fit <- function(dag, ...) {
  check_dots_empty(...)
  parents <- lapply(dag, function(node) node$parents)
  dag_from_edges(unlist(parents, use.names = FALSE), rep(names(dag), lengths(parents)), names(dag))
}

# A pcAlgo holds a graphNEL whose edges point from cause to effect; only the matrices that pcalg
# makes of it (amat.cpdag) are transposed. Edges that the data leave open are there in both
# directions.
#' @export
as_dag.pcAlgo <- function(dag, ...) {
  check_dots_empty(...)
  check_package("graph", "to read a pcAlgo object")
  graph <- attr(dag, "graph") # a slot
  if (graph::edgemode(graph) != "directed") {
    abort_undirected("pcAlgo", "pcalg::pc()")
  }
  nodes <- graph::nodes(graph)
  children <- graph::edges(graph)[nodes]
  adjacency <- vapply(children, function(to) as.integer(nodes %in% to), integer(length(nodes)))
  adjacency <- matrix(adjacency, length(nodes), byrow = TRUE, dimnames = list(nodes, nodes))
  check_undirected(adjacency)
  new_dag(adjacency, nodes)
}

#' Graphs by construction
#'
#' A chain, the complete graph in a given causal order, the graph without edges, and a random
#' acyclic graph.
#'
#' @param d Number of latents, or their names.
#' @param names Names of the latents; by default `z1`, `z2`, ... For `complete_dag()` they also fix
#'   the order of the rows and columns.
#' @param order The causal order: the number of latents (order 1, 2, ...), their names from the
#'   first cause to the last effect, or a permutation of `1:d` into rows.
#' @param edges_per_node Expected number of edges divided by d; from (d - 1) / 2 on, the graph is
#'   complete.
#' @param prob Probability of each of the d (d - 1) / 2 possible edges; replaces `edges_per_node`.
#' @param max_parents Largest number of parents of a latent: the cost of a fit grows as 4 to that
#'   power. Surplus parents are removed at random.
#' @return A `crl_dag`, see [as_dag()]. `random_dag()` uses R's random number generator; its causal
#'   order is random too, so its matrix is not triangular in general.
#' @seealso [as_dag()]
#' @examples
#' chain_dag(4)
#' chain_dag(c("raf", "mek", "erk"))
#' complete_dag(c("mek", "raf", "erk"), names = c("raf", "mek", "erk"))
#' set.seed(1)
#' random_dag(6, edges_per_node = 1.5, max_parents = 2)
#' @export
chain_dag <- function(d, names = NULL) {
  nodes <- node_names(d, names)
  dag_from_edges(nodes[-length(nodes)], nodes[-1L], nodes)
}

#' @rdname chain_dag
#' @export
complete_dag <- function(order, names = NULL) {
  if (length(order) == 1L || is.character(order)) {
    nodes <- node_names(order, if (!is.character(order)) names, arg = "order")
    rows <- names %||% nodes
    if (!setequal(rows, nodes)) {
      abort_input(c("{.arg names} must hold the same names as {.arg order}.",
                    "x" = "{.arg order} has {some(nodes)}, {.arg names} has {some(rows)}."), "dag")
    }
    order <- match(nodes, check_names(rows, "names", length(nodes)))
  } else {
    rows <- node_names(length(order), names, arg = "length(order)")
  }
  d <- length(rows)
  if (!is.numeric(order) || anyNA(order) || !identical(sort(as.numeric(order)), as.numeric(1:d))) {
    abort_input(c("{.arg order} must be a permutation of 1, ..., {d}.",
                  "x" = "It is {some(order)}."), "dag")
  }
  position <- match(seq_len(d), order)
  new_dag(outer(position, position, "<"), rows)
}

#' @rdname chain_dag
#' @export
empty_dag <- function(d, names = NULL) {
  nodes <- node_names(d, names)
  new_dag(matrix(0L, length(nodes), length(nodes)), nodes)
}

#' @rdname chain_dag
#' @export
random_dag <- function(d, edges_per_node = 1, prob = NULL, max_parents = Inf, names = NULL) {
  nodes <- node_names(d, names)
  d <- length(nodes)
  if (is.null(prob)) {
    edges_per_node <- check_number(edges_per_node, "edges_per_node", min = 0)
    prob <- if (d > 1L) min(1, 2 * edges_per_node / (d - 1)) else 0
  }
  prob <- check_number(prob, "prob", min = 0, max = 1)
  if (!identical(max_parents, Inf)) {
    max_parents <- check_number(max_parents, "max_parents", min = 0, integer = TRUE)
  }
  order <- sample.int(d)
  adjacency <- matrix(0L, d, d)
  for (position in seq_len(d)[-1L]) {
    earlier <- order[seq_len(position - 1L)]
    parents <- earlier[stats::runif(position - 1L) < prob]
    if (length(parents) > max_parents) {
      parents <- parents[sample.int(length(parents), max_parents)]
    }
    adjacency[parents, order[position]] <- 1L
  }
  new_dag(adjacency, nodes)
}

#' @export
print.crl_dag <- function(x, ...) {
  nodes <- colnames(x)
  children <- apply(x != 0, 1L, function(row) paste(nodes[row], collapse = ", "))
  title <- cli::pluralize("Causal graph: {length(nodes)} latent{?s}, {sum(x != 0)} edge{?s}")
  cat(title, "\n", sep = "")
  has_children <- nzchar(children)
  cat(sprintf("  %s -> %s\n", nodes[has_children], children[has_children]), sep = "")
  cat("Without parents: ", paste(nodes[colSums(x != 0) == 0], collapse = ", "), "\n", sep = "")
  invisible(x)
}

# Reading a graph ---------------------------------------------------------------------------------

#' The columns of `dag` so that parents come before children; shorter than d if there is a cycle
#' @noRd
topological_order <- function(dag) {
  dag <- unclass(dag)
  waiting_for <- colSums(dag)
  order <- integer()
  repeat {
    node <- match(0, waiting_for)
    if (is.na(node)) {
      return(order)
    }
    order <- c(order, node)
    waiting_for <- waiting_for - dag[node, ]
    waiting_for[node] <- -1
  }
}

#' @noRd
parents_of <- function(dag, j) {
  unname(which(unclass(dag)[, j] != 0L))
}

#' @noRd
parent_list <- function(dag) {
  lapply(seq_len(ncol(dag)), function(j) parents_of(dag, j))
}

# Building and checking ---------------------------------------------------------------------------

#' The one constructor: `adjacency` [i, j] is 1 (or TRUE) for i -> j
#' @noRd
new_dag <- function(adjacency, nodes, call = rlang::caller_env()) {
  adjacency <- matrix(as.integer(adjacency), length(nodes), dimnames = list(nodes, nodes))
  check_acyclic(adjacency, call)
  structure(adjacency, class = c("crl_dag", "matrix", "array"))
}

#' @noRd
dag_from_matrix <- function(dag, direction, child_first = FALSE, call = rlang::caller_env()) {
  check_adjacency(dag, call)
  nodes <- adjacency_names(dag, call)
  adjacency <- matrix(as.integer(dag), nrow(dag))
  if (is.null(direction)) {
    check_direction(adjacency, nodes, child_first, call)
    direction <- "from_row"
  }
  direction <- check_choice(direction, c("from_row", "from_column"), "direction", call = call)
  new_dag(if (direction == "from_row") adjacency else t(adjacency), nodes, call)
}

#' Is a matrix a list of edges between numbered nodes? Two columns that are no square 0/1 matrix
#' and, if square, no matrix of weights, which has zeros
#' @noRd
is_numbered_list <- function(dag) {
  if (!is.numeric(dag) || ncol(dag) != 2L || nrow(dag) == 0L) {
    return(FALSE)
  }
  nrow(dag) != 2L || (!anyNA(dag) && all(dag >= 1 & dag == round(dag)) && any(dag > 1))
}

#' The adjacency matrix that a data frame holds, or NULL if it is a list of edges: a square table of
#' numbers or flags, of which the first two columns are not numbers of nodes
#' @noRd
frame_adjacency <- function(frame) {
  frame <- as.data.frame(frame)
  names <- if (is.character(attr(frame, "row.names"))) rownames(frame)
  labelled <- ncol(frame) == nrow(frame) + 1L && !is.numeric(frame[[1L]])
  if (labelled) {
    names <- as.character(frame[[1L]])
    frame <- frame[-1L]
  }
  is_entry <- vapply(frame, function(column) is.numeric(column) || is.logical(column), NA)
  if (nrow(frame) == 0L || ncol(frame) != nrow(frame) || !all(is_entry)) {
    return(NULL)
  }
  adjacency <- as.matrix(frame)
  rownames(adjacency) <- names
  numbers <- adjacency[, seq_len(min(2L, ncol(frame)))]
  listed <- !labelled && ncol(frame) > 1L && !anyNA(adjacency) && !all(adjacency %in% 0:1) &&
    all(numbers >= 1 & numbers == round(numbers))
  if (listed) NULL else adjacency
}

#' A graph from pairs of numbers of nodes
#' @noRd
dag_from_numbers <- function(from, to, nodes = NULL, call = rlang::caller_env()) {
  numbers <- c(from, to)
  if (anyNA(numbers) || all(as.character(numbers) %in% nodes)) {
    return(dag_from_edges(from, to, nodes, call))
  }
  wrong <- numbers[numbers < 1 | numbers != round(numbers)]
  if (length(wrong) > 0L) {
    abort_input(c("An edge list {.arg dag} of numbers must number the nodes from 1.",
                  "x" = "It has {wrong[1L]}.",
                  "i" = "An adjacency matrix must be square, of zeros and ones."), "dag",
                call = call)
  }
  unused <- if (is.null(nodes)) setdiff(seq_len(min(max(numbers), 1e6)), numbers)
  if (length(unused) > 0L) {
    abort_input(c("An edge list {.arg dag} must name every node, from 1 to {max(numbers)}.",
                  "x" = "In no edge: {some(unused)}.",
                  "i" = paste("Numbers are positions: give {.arg nodes}, all names in order. If",
                              "they are names, give {.code nodes = as.character(...)}.")), "dag",
                call = call)
  }
  nodes <- check_names(nodes %||% default_latents(max(numbers)), "nodes", call = call)
  if (max(numbers) > length(nodes)) {
    abort_input(c("Every edge of {.arg dag} must join two of {.arg nodes}.",
                  "x" = "It has node {max(numbers)}; there are {length(nodes)} {.arg nodes}."),
                "dag", call = call)
  }
  dag_from_edges(nodes[from], nodes[to], nodes, call)
}

#' @noRd
dag_from_text <- function(text, nodes, call = rlang::caller_env()) {
  if (anyNA(text)) {
    abort_input(c("{.arg dag} must be text without missing entries.",
                  "x" = "Entry {which(is.na(text))[1]} is NA."), "missing", call = call)
  }
  invalid <- which(!validEnc(text))
  if (length(invalid) > 0L) {
    found <- iconv(text[invalid[1L]], "UTF-8", "UTF-8", sub = "byte")
    abort_text("Entry {invalid[1L]} has bytes that are no text: {.val {found}}.", call)
  }
  edges <- parse_graph(paste(text, collapse = "\n;"), call)
  dag_from_edges(edges$from, edges$to, nodes %||% edges$nodes, call)
}

#' @noRd
dag_from_edges <- function(from, to, nodes = NULL, call = rlang::caller_env()) {
  from <- as.character(from)
  to <- as.character(to)
  bad <- which(is.na(from) | is.na(to) | !nzchar(from) | !nzchar(to))
  if (length(bad) > 0L) {
    abort_input(c("{.arg dag} must name both ends of every edge.",
                  "x" = "Edge {bad[1]} has a missing or empty end."), "missing", call = call)
  }
  nodes <- check_names(nodes %||% unique(as.vector(rbind(from, to))), "nodes", call = call)
  unknown <- setdiff(c(from, to), nodes)
  if (length(unknown) > 0L) {
    abort_input(c("Every edge of {.arg dag} must join two of {.arg nodes}.",
                  "x" = "Not in {.arg nodes}: {some(unknown)}.",
                  "i" = "{.arg nodes} are {some(nodes)}."), "dag", call = call)
  }
  adjacency <- matrix(0L, length(nodes), length(nodes))
  adjacency[cbind(match(from, nodes), match(to, nodes))] <- 1L
  new_dag(adjacency, nodes, call)
}

#' `n` names z1, z2, ..., which stand for "not named" when graph and targets are matched
#' @noRd
default_latents <- function(d) {
  paste0("z", seq_len(d))
}

#' @noRd
node_names <- function(d, names, arg = "d", call = rlang::caller_env()) {
  if (is.character(d)) {
    return(check_names(d, arg, call = call))
  }
  d <- check_number(d, arg, min = 1, integer = TRUE, call = call)
  check_names(names %||% default_latents(d), "names", d, call = call)
}

#' @noRd
adjacency_names <- function(dag, call = rlang::caller_env()) {
  rows <- rownames(dag)
  columns <- colnames(dag)
  if (!is.null(rows) && !is.null(columns) && !identical(rows, columns)) {
    abort_input(c("The rows and columns of {.arg dag} must have the same names in the same order.",
                  "x" = "Rows are {some(rows)}; columns are {some(columns)}.",
                  "i" = "Reorder or rename one side."), "dag", call = call)
  }
  check_names(rows %||% columns %||% default_latents(nrow(dag)), "dimnames(dag)", call = call)
}

#' @noRd
check_adjacency <- function(dag, call = rlang::caller_env()) {
  if (!is.numeric(dag) && !is.logical(dag)) {
    abort_input(c("{.arg dag} must be a 0/1 matrix.", "x" = "It is {describe(dag)}."), "type",
                call = call)
  }
  if (nrow(dag) != ncol(dag) || nrow(dag) == 0L) {
    abort_input(c("{.arg dag} must be square: one row and one column for each latent.",
                  "x" = "It has {nrow(dag)} row{?s} and {ncol(dag)} column{?s}."), "shape",
                call = call)
  }
  refuse_entries(dag, is.na(dag), c("{.arg dag} must not have missing entries.",
                                    "i" = "Write 0 where there is no edge."), "missing", call)
  refuse_entries(dag, dag != 0 & dag != 1,
                 c("{.arg dag} must hold 0 (no edge) and 1 (edge) only.",
                   "i" = "For a matrix of edge weights, give {.code dag != 0}."), "dag", call)
}

#' A strictly lower triangular matrix is most often a child-first one: refuse to guess, as for a
#' matrix of a class that is `child_first` by convention
#' @noRd
check_direction <- function(adjacency, nodes, child_first, call) {
  lower <- !any(adjacency[upper.tri(adjacency, diag = TRUE)] == 1L)
  if (!any(adjacency == 1L) || !(lower || child_first)) {
    return(invisible())
  }
  problem <- if (child_first) {
    "{.arg dag} is a pcalg {.cls amat.cpdag}, whose columns are the parents; here rows are."
  } else {
    "{.arg dag} is strictly lower triangular, which leaves its direction in doubt."
  }
  edge <- which(adjacency == 1L, arr.ind = TRUE)
  from_row <- paste(nodes[edge[, 1L]], "->", nodes[edge[, 2L]])
  from_column <- paste(nodes[edge[, 2L]], "->", nodes[edge[, 1L]])
  abort_input(c(problem, "x" = "Rows as parents: {list_edges(from_row)}.",
                "x" = "Columns as parents: {list_edges(from_column)}.",
                "i" = paste("Say which: {.code as_dag(dag, direction = \"from_row\")}",
                            "or {.val from_column}.")), "dag_direction", call = call)
}

#' @noRd
list_edges <- function(edges, most = 5L) {
  left <- length(edges) - most
  paste0(paste(edges[seq_len(min(most, length(edges)))], collapse = ", "),
         if (left > 0L) paste(" and", left, "more"))
}

#' @noRd
check_acyclic <- function(adjacency, call = rlang::caller_env()) {
  order <- topological_order(adjacency)
  if (length(order) == ncol(adjacency)) {
    return(invisible())
  }
  cycle <- find_cycle(adjacency, setdiff(seq_len(ncol(adjacency)), order))
  path <- paste(colnames(adjacency)[cycle], collapse = " -> ")
  abort_input(c("{.arg dag} must be acyclic.", "x" = "It has the cycle {path}.",
                "i" = "Remove or turn one of these edges."), "dag_cycle", call = call)
}

#' Every node of `among` has a parent in it, so a walk from parent to parent meets a node again
#' @noRd
find_cycle <- function(adjacency, among) {
  path <- among[1L]
  repeat {
    parent <- among[adjacency[among, path[1L]] != 0L][1L]
    if (parent %in% path) {
      return(c(parent, path[seq_len(match(parent, path))]))
    }
    path <- c(parent, path)
  }
}

#' Edges in both directions stand for one without direction
#' @noRd
check_undirected <- function(adjacency, call = rlang::caller_env()) {
  both <- which(adjacency != 0 & t(adjacency) != 0 & upper.tri(adjacency), arr.ind = TRUE)
  if (nrow(both) == 0L) {
    return(invisible())
  }
  nodes <- adjacency_names(adjacency, call)
  open <- paste(nodes[both[, 1L]], "-", nodes[both[, 2L]])
  abort_input(c("Every edge of {.arg dag} must be directed.",
                "x" = "Without direction: {list_edges(open)}.",
                "i" = paste("It is a class of graphs that the data of {.pkg pcalg} do not tell",
                            "apart (CPDAG): choose one, as by {.code pcalg::pdag2dag()}, or state",
                            "the edges as {.val a -> b}.")), "dag", call = call)
}

#' @noRd
abort_undirected <- function(class, mend, call = rlang::caller_env()) {
  abort_input(c("{.arg dag} must be a directed graph.",
                "x" = "It is an undirected {class} object.",
                "i" = "Build it with {.code {mend}}, one edge from each cause to its effect."),
              "dag", call = call)
}

# Text --------------------------------------------------------------------------------------------

# One alternative for each kind of token, in the order tried: attributes, quoted names, edges,
# signs, names.
token_pattern <- paste(
  "\\[(?:\"[^\"]*\"|[^\\]\"])*\\]",
  "\"[^\"]*\"",
  "<->|@->|<-@|@-@|@--|--@|<-|->|--",
  "[{};=]",
  "[\\p{L}\\p{N}_.]+",
  sep = "|")

#' Read dagitty or DOT text, or plain edges
#' @return list: `nodes` in order of appearance, `from`, `to` (character)
#' @noRd
parse_graph <- function(text, call = rlang::caller_env()) {
  items <- graph_items(graph_statements(graph_tokens(text, call)), call)
  is_edge <- vapply(items, function(item) grepl("^[<@-]", item[1L]), NA)
  is_stop <- vapply(items, function(item) item[1L] == ";", NA)
  is_node <- !is_edge & !is_stop
  at <- which(is_edge)
  open_ended <- at[!c(is_node[-1L], FALSE)[at] | !c(FALSE, is_node[-length(items)])[at]]
  if (length(open_ended) > 0L) {
    around <- intersect(open_ended[1L] + -1:1, which(!is_stop))
    found <- paste(vapply(items[around], `[`, "", 1L), collapse = " ")
    abort_text("Found {.val {found}}, an edge with only one end.", call)
  }
  edges <- lapply(at, function(e) graph_edges(items[[e - 1L]], items[[e]], items[[e + 1L]], call))
  unquote <- function(names) gsub("^\"|\"$", "", names)
  list(nodes = unique(unquote(unlist(items[is_node]))),
       from = unquote(unlist(lapply(edges, `[[`, "from"))),
       to = unquote(unlist(lapply(edges, `[[`, "to"))))
}

#' @noRd
graph_tokens <- function(text, call) {
  found <- gregexpr(token_pattern, text, perl = TRUE)
  rest <- regmatches(text, found, invert = TRUE)[[1L]]
  rest <- unlist(strsplit(rest, "[\\s,]+", perl = TRUE))
  rest <- unique(rest[nzchar(rest)])
  if (length(rest) > 0L) {
    lines <- trimws(strsplit(text, "\n;?")[[1L]])
    typed <- lines[grepl(rest[1L], lines, fixed = TRUE)][1L]
    typed <- cli::ansi_strtrim(typed, 60L)
    abort_text("Not understood: {some(rest)}, in {.val {typed}}.", call)
  }
  tokens <- regmatches(text, found)[[1L]]
  tokens <- tokens[!startsWith(tokens, "[")]
  equals <- which(tokens == "=")                       # an attribute of the graph, bb="0,0,1,1"
  tokens[setdiff(seq_along(tokens), c(equals - 1L, equals, equals + 1L))]
}

#' Drop the `dag name { ... }` around the statements
#' @noRd
graph_statements <- function(tokens) {
  opening <- match("{", tokens, nomatch = 0L)
  header <- tokens[seq_len(max(opening - 1L, 0L))]
  types <- c("dag", "digraph", "graph", "pdag", "mag", "pag")
  is_header <- any(header %in% types) && length(header) <= 3L && !any(grepl("^[<@;-]", header))
  if (is_header && tokens[length(tokens)] == "}") {
    tokens <- tokens[-c(seq_len(opening), length(tokens))]
  }
  tokens
}

#' Tokens as a list: one entry for an edge, a `;`, a node, or a group of nodes in braces
#' @noRd
graph_items <- function(tokens, call) {
  depth <- cumsum(tokens == "{") - cumsum(tokens == "}")
  if (any(depth < 0L | depth > 1L) || (length(depth) > 0L && depth[length(depth)] != 0L)) {
    abort_text("Its braces do not match, or are nested.", call)
  }
  in_group <- depth == 1L | tokens == "}"
  items <- unname(split(tokens, cumsum(!in_group | tokens == "{")))
  items <- lapply(items, function(item) {
    if (item[1L] == "{") setdiff(item, c("{", "}", ";")) else item
  })
  if (length(items) == 0L || any(lengths(items) == 0L)) {
    abort_text("It names no node, or has an empty group.", call)
  }
  if (any(vapply(items, function(item) length(item) > 1L && any(grepl("^[<@-]", item)), NA))) {
    abort_text("A group in braces holds an edge.", call)
  }
  items
}

#' @noRd
graph_edges <- function(left, arrow, right, call) {
  if (!arrow %in% c("->", "<-")) {
    edge <- paste(left[1L], arrow, right[1L])
    abort_input(c("Every edge of {.arg dag} must be directed, {.val ->} or {.val <-}.",
                  "x" = "Found {.val {edge}}.",
                  "i" = "A hidden common cause or an undirected edge has no place in this model."),
                "dag", call = call)
  }
  ends <- expand.grid(left = left, right = right, stringsAsFactors = FALSE)
  if (arrow == "<-") {
    names(ends) <- c("right", "left")
  }
  list(from = ends$left, to = ends$right)
}

#' @noRd
abort_text <- function(problem, call, .envir = parent.frame()) {
  abort_input(c("{.arg dag} cannot be read as the text of a graph.", "x" = problem,
                "i" = "Write {.val a -> b <- c}; quote names that hold spaces or signs."), "dag",
              call = call, .envir = .envir)
}
