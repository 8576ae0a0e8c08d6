# Passes over the blocks of a source: a kernel on each block, results added up in the order of
# blocks. Three tell all that a fit needs of x: the scan, second moments, the projection.

#' A pass: `task` on every block, and `add` in the order of blocks
#'
#' @param task Function of a block's rows (a matrix, or a sparse one) and its position, list of
#'   `block`, `from`, `rows`.
#' @param add Function of the total so far (NULL at first) and a block's result.
#' @noRd
pass <- function(rows, task, add, name = "Pass") {
  total <- NULL
  for (k in seq_len(nrow(rows$blocks))) {
    total <- add(total, task(read_block(rows, k), block_place(rows, k)))
  }
  total
}

#' @noRd
read_block <- function(rows, k) {
  rows$matrix %||% rows$read(k)
}

#' @noRd
block_place <- function(rows, k) {
  list(block = k, from = rows$blocks$from[k], rows = rows$blocks$rows[k])
}

# Scan --------------------------------------------------------------------------------------------

#' The first pass: entries are finite, and what each feature is like
#'
#' @param missing May entries be missing (NA)?
#' @return list: `lo`, `hi`, `mean` (p), `spread` (p: sum of squares about the mean), `square` (p:
#'   about 0), `seen` (p: entries that are there), `n`; and what follows from these: `constant` (columns with one value only),
#'   `mean_square` (mean of |x_i|^2), `variance` (sum of the variances of the features)
#' @noRd
scan_rows <- function(rows, arg = "x", missing = FALSE, call = rlang::caller_env()) {
  total <- pass(rows, function(x, place) {
    scan <- .Call(C_scan_matrix, x, missing)
    if (scan$bad_row > 0) abort_not_finite(scan, rows, place, arg, missing, call)
    c(scan, n = nrow(x))
  }, add_scans, "Scan")
  total$constant <- which(!(total$lo < total$hi))
  complete <- all(total$seen == total$n)
  mean_of <- function(sums) if (complete) sum(sums) / total$n else sum(sums / total$seen)
  total$mean_square <- mean_of(total$square)
  total$variance <- mean_of(total$spread)
  total
}

#' Scans of two parts of the rows as that of both (Chan, Golub and LeVeque 1983)
#' @noRd
add_scans <- function(total, scan) {
  if (is.null(total)) {
    return(scan)
  }
  seen <- total$seen + scan$seen
  share <- scan$seen / pmax(seen, 1)
  apart <- scan$mean - total$mean
  total$mean <- total$mean + apart * share
  total$spread <- total$spread + scan$spread + apart^2 * (total$seen * share)
  total$square <- total$square + scan$square
  total$lo <- pmin(total$lo, scan$lo)
  total$hi <- pmax(total$hi, scan$hi)
  total$seen <- seen
  total$n <- total$n + scan$n
  total
}

#' @noRd
abort_not_finite <- function(scan, rows, place, arg, missing, call) {
  where <- describe_cell(rows, place$from - 1 + scan$bad_row, scan$bad_col)
  abort_input(c(paste("{.arg {arg}} must hold finite numbers", if (missing) "or {.val NA}." else
                  "only."),
                "x" = "{where} is {scan$bad_kind}.",
                "i" = if (!missing) "Remove or impute such rows first."),
              "missing", call = call)
}
