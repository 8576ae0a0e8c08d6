# How stable what crl_discover() finds is: the search made again on halves of the rows.

#' Stability of a discovery
#'
#' Draws half of the rows of every domain at random, and looks for graph and targets again in them
#' and in the other half (complementary pairs, Shah and Samworth 2013), `pairs` times. What is found
#' in a large share of the halves does not hang on a few rows. Of the edges above a threshold of
#' that share the expected number of chance ones is bounded, whatever the search does.
#'
#' @details
#' Let q be the mean number of edges that a half gives, of p = d (d - 1) possible ones. An edge that
#' a half gives with a probability of no more than q / p is one of chance. The expected number of
#' these among the edges with a share of at least \eqn{\tau > 1/2} is at most \eqn{q^2 / (p (2 \tau
#' - 1))}. The bound is coarse, and of use for many latents and few edges. A half has less power
#' than all rows: an edge with a small share may well be there.
#'
#' Latents of a half are those of the discovery whose columns of A they are closest to, unless what
#' was known names them.
#'
#' @param found A `crl_discovery`, from [crl_discover()], with its rows.
#' @param pairs Number of pairs of halves (default 25: 50 searches).
#' @param cl Number of worker processes on this machine (default 1: this one), or a cluster of the
#'   parallel package. Results do not depend on it.
#' @param seed Seed (a whole number) of the halves. `NULL` (the default): from R's random numbers.
#' @param progress `TRUE`, `FALSE` or `NULL` (the default: in interactive sessions).
#' @param x,object A `crl_stability`.
#' @param matrix What `tidy()` lists: `"edges"` (the default) or `"targets"`.
#' @param ... Not used.
#' @return An object of class `crl_stability`, a list with
#'   \item{edges}{tibble, highest share first: `from`, `to`, `present` (in the discovery), `share`
#'     (of the halves that have it), `bound` (on the expected number of chance edges with this share
#'     or a higher one; NA up to 1/2)}
#'   \item{targets}{tibble: `domain`, `latent`, `present`, `known`, `share`}
#'   \item{selected}{q, the mean number of edges of a half}
#'   \item{searches, failed}{number of halves that were searched, and of those that stopped with an
#'     error}
#'   \item{agreement}{(searches x d) absolute cosine of each column of A to that of the discovery}
#'   \item{seed}{of the halves}
#'   `tidy()`: `edges` or `targets`. `autoplot()`: a ggplot object, their shares.
#' @section Errors:
#' `ebcrl_error_type` for anything but a discovery; `ebcrl_error_data` if a domain has too few rows
#' for two halves; `ebcrl_error_stability` if no search succeeded; `ebcrl_error_worker` if workers
#' cannot be used.
#' @references Shah, R. D. and Samworth, R. J. (2013). Variable selection with error control:
#'   another look at stability selection. *Journal of the Royal Statistical Society B*, 75, 55-80.
#'   \doi{10.1111/j.1467-9868.2011.01034.x}
#' @examples
#' set.seed(1)
#' sim <- sim_crl(chain_dag(3), n = 300, p = 20, nonlinearity = "linear")
#' found <- crl_discover(sim, d = 3, mechanisms = "linear")
#' crl_stability(found, pairs = 5, seed = 1)
#' @export
crl_stability <- function(found, pairs = 25, cl = 1, seed = NULL, progress = NULL, ...) {
  check_dots_empty(...)
  check_class(found, "crl_discovery", "found", "crl_discover()")
  pairs <- check_number(pairs, "pairs", min = 1, integer = TRUE)
  seed <- seed %||% sample.int(.Machine$integer.max, 1L)
  seed <- check_number(seed, "seed", min = 0, max = MAX_SEED, integer = TRUE)
  if (min(found$data$n_env) < 4L) {
    abort_input(c("Every domain must have at least 4 rows, for two halves.",
                  "x" = "The smallest has {min(found$data$n_env)}."), "data")
  }
  task <- stability_task(found, seed)
  halves <- run_halves(task, 2L * pairs, cl, progress)
  new_stability(halves, found, seed)
}

#' @noRd
stability_task <- function(found, seed) {
  settings <- found$settings
  settings["progress"] <- list(FALSE)
  list(data = found$data, known = found$known, settings = settings, mixing = unname(found$mixing),
       seed = seed)
}

#' Searches of halves `1`, ..., `many`: the odd ones are drawn, the even ones are what these leave
#' @noRd
run_halves <- function(task, many, cl, progress, call = rlang::caller_env()) {
  if (!inherits(cl, "cluster")) {
    cl <- min(check_number(cl, "cl", min = 1, integer = TRUE, call = call), many)
    if (cl > 1L) {
      cl <- local_workers(cl)
      on.exit(parallel::stopCluster(cl))
    }
  }
  spread <- inherits(cl, "cluster")
  if (spread) {
    check_cluster(cl, call)
    parallel::clusterCall(cl, receive_task, task)
  }
  chunks <- split(seq_len(many), (seq_len(many) - 1L) %/% if (spread) length(cl) else 1L)
  with_progress(progress, "Halves", steps = many, eta = TRUE, run = function(tick) {
    done <- lapply(unname(chunks), function(chunk) {
      found <- if (spread) parallel::clusterApplyLB(cl, chunk, half_here) else
        lapply(chunk, function(number) searched_half(task, number))
      if (!is.null(tick)) tick(max(chunk))
      found
    })
    unlist(done, recursive = FALSE)
  })
}

#' @noRd
half_here <- function(number) {
  searched_half(worker$task, number)
}

#' Graph and targets of a half, its latents in the places of those of the discovery
#' @return list: `dag` (d x d), `targets` (M x d), `agreement` (d); or `error`
#' @noRd
searched_half <- function(task, number) {
  data <- half_of(task, number)
  tryCatch({
    found <- searched(data, task$known, task$settings, rlang::current_env())
    cosine <- abs(crossprod(unit_columns(task$mixing), unit_columns(unname(found$mixing))))
    d <- ncol(cosine)
    place <- if (task$known$labelled) seq_len(d) else assign_columns(cosine)
    list(dag = unclass(found$dag)[place, place, drop = FALSE],
         targets = unclass(found$targets)[, place, drop = FALSE],
         agreement = cosine[cbind(seq_len(d), place)])
  }, ebcrl_error = function(e) list(error = conditionMessage(e)))
}

#' Half of the rows of every domain
#' @noRd
half_of <- function(task, number) {
  data <- task$data
  pair <- (number + 1L) %/% 2L
  first <- with_own_seed(task$seed + pair, {
    unlist(lapply(split(seq_len(data$n), data$env), function(rows) {
      rows[sample.int(length(rows), length(rows) %/% 2L)]
    }), use.names = FALSE)
  })
  rows <- if (number %% 2L == 1L) sort(first) else setdiff(seq_len(data$n), first)
  rescanned(some_rows(data, rows, data$x[rows, , drop = FALSE]))
}

#' @noRd
new_stability <- function(halves, found, seed) {
  good <- Filter(function(half) is.null(half$error), halves)
  if (length(good) == 0L) {
    abort_input(c("No search of a half succeeded.", "x" = "The first: {halves[[1]]$error}"),
                "stability", call = rlang::caller_env())
  }
  names <- colnames(found$dag)
  d <- length(names)
  share_of <- function(what) Reduce(`+`, lapply(good, `[[`, what)) / length(good)
  selected <- mean(vapply(good, function(half) sum(half$dag), 0))
  dag <- unname(share_of("dag"))
  at <- which(dag > 0 | unclass(found$dag) == 1L, arr.ind = TRUE)
  edges <- tibble::tibble(from = names[at[, 1L]], to = names[at[, 2L]],
                          present = unclass(found$dag)[at] == 1L, share = dag[at],
                          bound = chance_bound(dag[at], selected, d * (d - 1)))
  structure(list(
    edges = edges[order(-edges$share, !edges$present), ],
    targets = stable_targets(unname(share_of("targets")), found), selected = selected,
    searches = length(halves), failed = length(halves) - length(good),
    agreement = do.call(rbind, lapply(good, `[[`, "agreement")), seed = seed
  ), class = "crl_stability")
}

#' Bound on the expected number of chance edges with a share of at least `share`
#' @noRd
chance_bound <- function(share, selected, possible) {
  ifelse(share > 0.5, selected^2 / (possible * (2 * share - 1)), NA_real_)
}

#' @noRd
stable_targets <- function(share, found) {
  hits <- unclass(found$targets)
  at <- which(share > 0 | hits == 1L, arr.ind = TRUE)
  known <- !is.na(found$known$targets)
  table <- tibble::tibble(domain = rownames(hits)[at[, 1L]], latent = colnames(hits)[at[, 2L]],
                          present = hits[at] == 1L, known = known[at], share = share[at])
  table[order(at[, 1L], -table$share), ]
}

#' @export
print.crl_stability <- function(x, ...) {
  cat("Stability: ", whole(x$searches), " searches of half the rows",
      if (x$failed > 0L) paste0(", of which ", x$failed, " failed"), "\n", sep = "")
  listed <- function(table, words, of) {
    shown <- paste0(words, " (", round(100 * table$share), " %)")
    if (nrow(table) > 0L) paste0(of, ": ", paste(shown, collapse = ", "), ".")
  }
  own <- x$edges[x$edges$present, ]
  other <- x$edges[!x$edges$present & x$edges$share >= 0.1, ]
  hits <- x$targets[x$targets$present & !x$targets$known, ]
  write_lines(c(listed(own, paste(own$from, "->", own$to), "Edges"),
                listed(other, paste(other$from, "->", other$to), "Not in the discovery"),
                listed(hits, paste(hits$latent, "in", hits$domain), "Targets"),
                paste0("Edges of a half on average: ", figures(x$selected, 3L), ".")))
  invisible(x)
}

#' @rdname crl_stability
#' @export
tidy.crl_stability <- function(x, matrix = c("edges", "targets"), ...) {
  check_dots_empty(...)
  x[[check_choice(matrix, c("edges", "targets"), "matrix")]]
}

#' @rdname crl_stability
#' @export
autoplot.crl_stability <- function(object, ...) {
  check_dots_empty(...)
  plot_shares(object$edges, object$targets, "share", c("in the discovery", "in halves only"), 0.5) +
    ggplot2::labs(title = "Stability", x = "Share of the halves")
}

#' @rdname crl_stability
#' @export
plot.crl_stability <- function(x, ...) {
  print_plot(autoplot(x, ...))
}
