# Passes on the workers of a cluster of package parallel: PSOCK, MPI by snow, mirai. Each worker has
# one block at a time; results are added up in the order of blocks, so that they have the same bits
# for any number of workers.

#' @noRd
check_rows_cluster <- function(cl, call = rlang::caller_env()) {
  if (is.null(cl)) {
    return(NULL)
  }
  if (!inherits(cl, "cluster") || length(cl) == 0L) {
    abort_input(c("{.arg cl} must be a cluster of package {.pkg parallel}.",
                  "x" = "It is {describe(cl)}.",
                  "i" = "Such as {.code parallel::makeCluster(2)}."), "cluster", call = call)
  }
  cl
}

#' Rows whose passes run on a cluster
#' @noRd
on_cluster <- function(rows, cl) {
  if (!is.null(cl)) rows$cl <- cl
  rows
}

# Functions of package parallel that it does not export, but whose methods every kind of cluster has.
parallel_function <- function(name) {
  utils::getFromNamespace(name, "parallel")
}

# The reader that this process, a worker, was sent last: what it brings along may be large, so that it
# is not sent with every block, and no other is kept.
readers <- new.env(parent = emptyenv())

#' What a worker does: a block's task, or the condition that stopped it
#' @param job list: `task`, `argument`, and `block`, or `reader`, the name of a reader, `read`, which is
#'   it, or NULL where the worker is supposed to have it, and `k`; of which `kept` columns
#' @noRd
run_job <- function(job) {
  if (!is.null(job$read)) {
    rm(list = ls(readers), envir = readers)
    readers[[job$reader]] <- job$read
  }
  if (is.null(job$block) && is.null(readers[[job$reader]])) {
    return(structure(list(lacks = TRUE), class = "block_result"))
  }
  value <- tryCatch({
    block <- if (is.null(job$block)) readers[[job$reader]](job$k) else job$block
    if (!is.null(job$kept)) block <- some_columns(block, job$kept)
    list(value = job$task(block, job$argument))
  }, error = function(e) list(error = e))
  structure(value, class = "block_result")
}

#' @noRd
pass_on_cluster <- function(rows, task, argument, add, name, tell, call = rlang::caller_env()) {
  kept <- resumed_pass(rows, argument, name)
  total <- kept$total
  state <- new_dispatch(rows, setdiff(blocks_after(rows, kept$done), which(rows$written %in% TRUE)))
  on.exit(drain(state))
  waiting <- list()
  for (k in blocks_after(rows, kept$done)) {
    while (is.null(waiting[[as.character(k)]]) && !isTRUE(rows$written[k])) {
      dispatch(state, rows, task, argument, call)
      found <- collect(state, call)
      if (!is.null(found)) waiting[[as.character(found$block)]] <- found
    }
    part <- waiting[[as.character(k)]]$value
    place <- block_place(rows, k)
    total <- add(total, part, place)
    waiting[[as.character(k)]] <- NULL
    kept <- keep_pass(kept, rows, total, k)
    tell(k, rows_in(place, part))
  }
  total
}

#' Who does what: `queue` of blocks, `busy` (by worker: its block, 0 for none), `alive`, `lacks` (the
#' reader), `failed` (by block: who died of it)
#' @noRd
new_dispatch <- function(rows, queue) {
  state <- new.env(parent = emptyenv())
  state$cl <- rows$cl
  state$queue <- queue
  state$busy <- integer(length(rows$cl))
  state$alive <- rep(TRUE, length(rows$cl))
  state$lacks <- rep(FALSE, length(rows$cl))
  state$failed <- list()
  state$turn <- 0L
  state
}

#' A block for every idle worker. Blocks that a worker holds (shards) are its own as long as it lives.
#' @noRd
dispatch <- function(state, rows, task, argument, call) {
  for (w in which(state$alive & state$busy == 0L)) {
    own <- if (is.null(rows$owner)) rep(TRUE, length(state$queue)) else rows$owner[state$queue] == w |
      !state$alive[rows$owner[state$queue]]
    mine <- state$queue[own]
    if (length(mine) == 0L) next
    k <- mine[1L]
    job <- list(task = task, argument = argument(block_place(rows, k)), k = k, kept = rows$kept,
                reader = rows$reader, read = if (state$lacks[w]) rows$read,
                block = if (!isTRUE(rows$remote)) rows$matrix %||% rows$read(k))
    state$queue <- setdiff(state$queue, k)
    state$busy[w] <- k
    tryCatch(parallel_function("sendCall")(state$cl[[w]], run_job, list(job)),
             error = function(e) bury(state, w, e, call))
  }
}

#' The result of the next busy worker, in turn; NULL if it died
#' @noRd
collect <- function(state, call) {
  busy <- which(state$busy > 0L)
  if (length(busy) == 0L) {
    return(NULL)
  }
  w <- c(busy[busy > state$turn], busy)[1L]
  state$turn <- w
  found <- tryCatch(parallel_function("recvResult")(state$cl[[w]]), error = identity)
  if (!inherits(found, "block_result")) {
    bury(state, w, found, call)
    return(NULL)
  }
  k <- state$busy[w]
  state$busy[w] <- 0L
  state$lacks[w] <- isTRUE(found$lacks)
  if (state$lacks[w]) {
    state$queue <- sort(c(k, state$queue))
    return(NULL)
  }
  if (!is.null(found$error)) stop(found$error)
  list(block = k, value = found$value)
}

#' A worker has died: its block is done again by another, once
#' @noRd
bury <- function(state, w, reason, call) {
  k <- state$busy[w]
  state$alive[w] <- FALSE
  state$busy[w] <- 0L
  state$queue <- sort(c(k, state$queue))
  before <- state$failed[[as.character(k)]]
  state$failed[[as.character(k)]] <- c(before, w)
  if (!is.null(before) || !any(state$alive)) {
    said <- if (inherits(reason, "condition")) conditionMessage(reason) else "no result came back"
    workers <- state$failed[[as.character(k)]]
    abort_input(c("A worker of {.arg cl} ended before its block was done.",
                  "x" = paste("Block {k}: worker{cli::qty(length(workers))}{?s}",
                              "{.val {workers}} ended ({said})."),
                  "i" = if (any(state$alive)) "Does the block fit in a worker's memory?" else
                    "None is left: make another cluster.",
                  "i" = "Is {.pkg ebcrl} installed where the workers run?"), "worker",
                worker = workers, block = k, call = call)
  }
  cli::cli_warn(c("Worker {w} of {.arg cl} ended; block {k} is done again by another."),
                class = "ebcrl_warning_worker")
}

#' Nothing is left on the way when a pass ends early: a worker's next result is that of its next call
#' @noRd
drain <- function(state) {
  for (w in which(state$alive & state$busy > 0L)) {
    try(parallel_function("recvResult")(state$cl[[w]]), silent = TRUE)
  }
}
