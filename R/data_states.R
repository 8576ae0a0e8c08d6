# The states of a node: 0 where its mechanism is untouched, others where an intervention changed it, as
# `targets` has them. A cell is a node in a state; all that belongs to cells is in the order of cells_of(),
# which is that of the C core (src/data/graph.h), where N_STATES says how many states there are.

STATES <- 0:1

# Their names in lists and tables; the same in src/glue/r_util.c.
STATE_NAMES <- paste0("state", STATES)

#' The cells of some nodes, in order
#' @return Data frame: `state`, `node`
#' @noRd
cells_of <- function(nodes) expand.grid(state = STATES, node = nodes)

#' Number of cells of d nodes
#' @noRd
n_cells <- function(d) length(STATES) * d

#' The number of a cell
#' @noRd
cell_of <- function(node, state) {
  length(STATES) * (node - 1L) + state + 1L
}

#' The node, and the state, of a cell by its number
#' @noRd
node_of <- function(cell) (cell - 1L) %/% length(STATES) + 1L

#' @noRd
state_of <- function(cell) (cell - 1L) %% length(STATES)

#' What belongs to nodes, for each of their cells
#' @noRd
by_cell <- function(x) rep(x, each = length(STATES))

#' In how many domains (by `weight`: of what weight) has each node each state? (states x nodes)
#' @noRd
state_counts <- function(targets, weight = rep(1L, nrow(targets))) {
  do.call(rbind, lapply(STATES, function(state) colSums((targets == state) * weight)))
}

#' Do the parents of a node act in a state? Not where a perfect intervention cuts them off
#' @noRd
parents_act <- function(state, perfect) !perfect | state == 0L
