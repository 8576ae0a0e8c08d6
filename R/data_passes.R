# Passes over the blocks of a source: a kernel on each block, results added up in the order of
# blocks, in this process or on the workers of a cluster (R/data_cluster.R). Three tell all that a
# fit needs of x: the scan, second moments, the projection.

#' A pass: `task` on every block, and `add` in the order of blocks
#'
#' @param task Function of the package, of a block's rows and of the list that `argument` gives.
#' @param argument Function of a block's place (list of `block`, `from`, `rows`).
#' @param add Function of the total so far (NULL at first), a block's result and its place.
#' @param name Of the pass, in words.
#' @param kept May a checkpoint keep how far the pass has come?
#' @noRd
pass <- function(rows, task, argument, add, name, kept = TRUE) {
  run <- if (is.null(rows$cl) || nrow(rows$blocks) == 1L && is.null(rows$owner)) pass_here else
    pass_on_cluster
  if (!kept) rows$checkpoint <- NULL
  short <- nrow(rows$blocks) == 1L && isTRUE(as.double(rows$n) * rows$p <= BLOCK_NUMBERS)
  with_progress(if (short) FALSE else rows$progress, paste("Pass:", name), steps = nrow(rows$blocks), eta = TRUE,
                run = function(tick) {
    run(rows, task, argument, add, name, pass_ticker(rows, tick))
  })
}

#' What is told after each block: blocks done, and rows a second
#' @param tick See with_progress().
#' @return Function of the number of a block and of its rows, NA if they are not known
#' @noRd
pass_ticker <- function(rows, tick) {
  if (is.null(tick)) {
    return(function(k, many) invisible())
  }
  started <- proc.time()[["elapsed"]]
  done <- 0
  function(k, many) {
    done <<- done + many
    tick(k, note = row_rate(done, proc.time()[["elapsed"]] - started))
  }
}

#' "1,200,000 rows/s", to two digits
#' @noRd
row_rate <- function(rows, seconds) {
  if (!isTRUE(seconds > 0)) {
    return(NULL)
  }
  paste0(format(signif(rows / seconds, 2L), big.mark = ",", scientific = FALSE), " rows/s")
}

#' Rows of a block's result, where the source has not counted them yet
#' @noRd
rows_in <- function(place, part) {
  if (is.na(place$rows)) part$scan$n else place$rows
}

#' @noRd
pass_here <- function(rows, task, argument, add, name, tell) {
  kept <- resumed_pass(rows, argument, name)
  total <- kept$total
  for (k in blocks_after(rows, kept$done)) {
    place <- block_place(rows, k)
    part <- if (!isTRUE(rows$written[k])) task(read_block(rows, k), argument(place))
    total <- add(total, part, place)
    kept <- keep_pass(kept, rows, total, k)
    tell(k, rows_in(place, part))
  }
  total
}

#' @noRd
blocks_after <- function(rows, done) {
  utils::tail(seq_len(nrow(rows$blocks)), nrow(rows$blocks) - done)
}

#' @noRd
read_block <- function(rows, k) {
  block <- rows$matrix %||% rows$read(k)
  if (!is.null(rows$kept)) block <- some_columns(block, rows$kept)
  block
}

#' @noRd
block_place <- function(rows, k) {
  list(block = k, from = rows$blocks$from[k], rows = rows$blocks$rows[k], path = rows$paths[k])
}

#' @noRd
add_up <- function(total, part, place) {
  if (is.null(total)) part else total + part
}

#' Rows of data, wherever they are
#' @noRd
rows_of <- function(data) {
  rows <- data$rows %||% matrix_rows(kept_x(data, "This function"))
  rows["progress"] <- list(data$progress)
  rows
}

#' Domains of the rows of a block
#' @noRd
env_of <- function(data, place) {
  if (place$rows == data$n) data$env else data$env[place$from - 1 + seq_len(place$rows)]
}

# Blocks ------------------------------------------------------------------------------------------
# A block is a double matrix, or a sparse one: list of class "sparse_block" as src/glue/r_rows.c
# takes it.

#' @noRd
is_sparse <- function(block) {
  inherits(block, "sparse_block")
}

#' @noRd
block_scan <- function(x, argument) {
  scan <- if (is_sparse(x)) .Call(C_scan_sparse, x) else
    .Call(C_scan_matrix, x, isTRUE(argument$missing))
  c(scan, n = if (is_sparse(x)) x$n else nrow(x))
}

#' Weighted sums of the features
#' @noRd
block_sums <- function(x, argument) {
  with(argument, if (is_sparse(x)) {
    for_kept_columns(.Call(C_sparse_sums, x, env, omega, FALSE), x)
  } else {
    drop(.Call(C_feature_moments, x, env, omega, threads)$mean) * nrow(x)
  })
}

#' @noRd
block_squares <- function(x, argument) {
  with(argument, if (is_sparse(x)) {
    for_kept_columns(.Call(C_sparse_sums, x, env, omega, TRUE), x)
  } else {
    drop(.Call(C_feature_moments, x, env, omega, threads)$square) * nrow(x)
  })
}

#' Sum of omega x (x - mean)' (p x p). (Over all rows deviations from their weighted mean sum to 0,
#' so that it need not be taken off on both sides.)
#' @noRd
block_second <- function(x, argument) {
  if (!is_sparse(x)) {
    second <- with(argument, .Call(C_moment_matrix, x, env, omega, mean, threads))
    return(if (nrow(x) == argument$n) second else second * (nrow(x) / argument$n))
  }
  p <- length(x$kept %||% seq_len(x$p))
  second <- matrix(0, p, p)
  for (from in seq(1L, p, by = 64L)) {
    columns <- from:min(from + 63L, p)
    unit <- matrix(0, p, length(columns))
    unit[cbind(columns, seq_along(columns))] <- 1
    second[, columns] <- block_times(x, c(argument, list(v = unit)))
  }
  second / argument$n
}

#' Sum of omega x (x - mean)'v (p x k)
#' @noRd
block_times <- function(x, argument) {
  with(argument, if (is_sparse(x)) {
    found <- .Call(C_sparse_times_moments, x, env, omega, for_all_columns(mean, x),
                   for_all_columns(v, x))
    for_kept_columns(found, x)
  } else {
    .Call(C_matrix_times_moments, x, env, omega, mean, v, threads) * nrow(x)
  })
}

#' x V - offset, and the sum of squares of the rows of each domain
#' @noRd
block_reduce <- function(x, argument) {
  with(argument, if (is_sparse(x)) {
    counted <- if (!is.null(x$kept)) seq_len(x$p) %in% x$kept
    .Call(C_reduce_sparse, x, env, n_domains, for_all_columns(v, x), offset, counted)
  } else {
    .Call(C_reduce_matrix, x, env, n_domains, v, offset, threads)
  })
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
  if (!is.null(rows$scan)) {
    return(rows$scan)
  }
  finished_scan(pass(rows, block_scan, function(place) list(missing = missing),
                     function(total, scan, place) {
    if (scan$bad_row > 0) abort_not_finite(scan, rows, place, arg, missing, call)
    add_scans(total, scan)
  }, "scan"))
}

#' @noRd
finished_scan <- function(total) {
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
  where <- if (is.null(place$path)) {
    describe_cell(rows, place$from - 1 + scan$bad_row, scan$bad_col)
  } else {
    paste0(describe_cell(list(), scan$bad_row, scan$bad_col), " of {.file {place$path}}")
  }
  abort_input(c(paste("{.arg {arg}} must hold finite numbers", if (missing) "or {.val NA}." else
                  "only."),
                "x" = paste0(where, " is {scan$bad_kind}."),
                "i" = if (!missing) "Remove or impute such rows first."),
              "missing", call = call)
}

# Second moments ----------------------------------------------------------------------------------

#' Weighted means of the features: of rows elsewhere those of the scan, where all count the same
#' @noRd
weighted_means <- function(data, omega, threads) {
  if (is.null(data$x) && all(omega == 1)) {
    return(data$means)
  }
  pass(rows_of(data), block_sums, function(place) {
    list(env = env_of(data, place), omega = omega, threads = threads)
  }, add_up, "weighted means") / data$n
}

#' Weighted mean squares of the features about their means
#' @noRd
weighted_squares <- function(data, omega, mean, threads) {
  if (is.null(data$x) && all(omega == 1)) {
    return(data$spreads)
  }
  pass(rows_of(data), block_squares, function(place) {
    list(env = env_of(data, place), omega = omega, threads = threads)
  }, add_up, "weighted squares") / data$n - mean^2
}

#' Second moments about the weighted means (p x p)
#' @noRd
second_moments <- function(data, omega, mean, threads) {
  pass(rows_of(data), block_second, function(place) {
    list(env = env_of(data, place), omega = omega, mean = mean, n = data$n, threads = threads)
  }, add_up, "second moments")
}

#' The function that gives their products with narrow matrices, one pass each
#' @noRd
second_moments_times <- function(data, omega, mean, threads) {
  function(v) {
    pass(rows_of(data), block_times, function(place) {
      list(env = env_of(data, place), omega = omega, mean = mean, v = v, threads = threads)
    }, add_up, "products", kept = FALSE) / data$n
  }
}

# Projection --------------------------------------------------------------------------------------

#' Rows as coordinates x V - offset
#'
#' @param v p x k.
#' @return list: `x` (n x k), `square` (by domain: sum of |x_i|^2 over its rows)
#' @noRd
coordinates <- function(data, v, offset, threads) {
  total <- pass(rows_of(data), block_reduce, function(place) {
    list(env = env_of(data, place), n_domains = data$n_domains, v = unname(v), offset = offset,
         threads = threads)
  }, function(total, part, place) {
    if (place$rows == data$n) {
      return(list(x = part$coordinates, square = part$square))
    }
    total <- total %||% list(x = matrix(0, data$n, ncol(v)), square = 0)
    total$x[place$from - 1 + seq_len(place$rows), ] <- part$coordinates
    total$square <- total$square + part$square
    total
  }, "projection")
  total
}

# Going on with a pass ----------------------------------------------------------------------------

# Seconds between two states of a pass that are written to a checkpoint, and how many times as long
# as writing one took, at least.
CHECKPOINT <- list(seconds = 5, times = 20)

#' Where a pass stands in the checkpoint of a source
#' @return list: `done`, blocks; `total`; and where there is a checkpoint `path`, `key`, `next_at`
#' @noRd
resumed_pass <- function(rows, argument, name) {
  start <- list(done = 0L, total = NULL)
  if (is.null(rows$checkpoint)) {
    return(start)
  }
  start$path <- file.path(rows$checkpoint, paste0(gsub(" ", "-", name), ".rds"))
  start$key <- rlang::hash(list(rows[c("n", "p", "blocks", "kept")], row_stamp(rows),
                                argument(block_place(rows, 1L))))
  start$next_at <- proc.time()[["elapsed"]] + CHECKPOINT$seconds
  found <- tryCatch(readRDS(start$path), error = function(e) NULL, warning = function(w) NULL)
  if (is.list(found) && identical(found$key, start$key)) {
    start[c("done", "total")] <- found[c("done", "total")]
  }
  start
}

#' What tells rows from others of the same size
#' @noRd
row_stamp <- function(rows) {
  if (!is.null(rows$stamp)) {
    return(rows$stamp)
  }
  ends <- unique(c(1L, nrow(rows$blocks)))
  rlang::hash(lapply(ends, function(k) rows$matrix %||% rows$read(k)))
}

#' Write the state, if it is time
#' @noRd
keep_pass <- function(kept, rows, total, k) {
  now <- proc.time()[["elapsed"]]
  last <- k == nrow(rows$blocks)
  if (is.null(kept$path) || (now < kept$next_at && !last)) {
    return(kept)
  }
  write_whole(list(key = kept$key, done = k, total = total), kept$path)
  took <- proc.time()[["elapsed"]] - now
  kept$next_at <- now + max(CHECKPOINT$seconds, CHECKPOINT$times * took)
  kept
}

#' A file that is there as a whole or not at all
#' @noRd
write_whole <- function(value, path, call = rlang::caller_env()) {
  part <- paste0(path, ".part")
  tryCatch({
    bytes <- serialize(value, NULL)
    write_bytes(bytes, part)
    if (!isTRUE(file.size(part) == length(bytes))) stop("there was not room for all of it")
    if (!file.rename(part, path)) stop("it could not be renamed")
  }, error = function(e) abort_write(path, e, call), warning = function(w) abort_write(path, w, call))
}

#' Bytes to a file, in pieces that a call takes. (What a full disk has not taken, no function of R
#' tells for sure: the size of the file does. saveRDS() with compression leaves a part and is content.)
#' @noRd
write_bytes <- function(bytes, path, piece = 2^30) {
  file <- file(path)
  on.exit(close(file))
  open(file, "wb")
  for (from in seq(1, length(bytes), by = piece)) {
    writeBin(if (length(bytes) <= piece) bytes else
      bytes[from:min(from + piece - 1, length(bytes))], file)
  }
}

#' @noRd
abort_write <- function(path, reason, call) {
  unlink(paste0(path, ".part"))
  abort_input(c("{.file {path}} could not be written.", "x" = conditionMessage(reason),
                "i" = "Is the disk full? What has been written stays, and is gone on with."),
              "write", call = call)
}
