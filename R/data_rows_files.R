# Rows in files, a block each, and rows that the workers of a cluster load themselves.

#' Rows in files
#'
#' Each file is a block of rows with the same columns. It is read once by each pass over the rows, of
#' which a fit takes three, and given up again, so that one file at a time must fit in memory (one for
#' each worker of `cl`). The first pass is made at once: it counts the rows and checks the entries.
#'
#' @param paths Paths of the files, in the order of the rows.
#' @param read Function of a path that gives a numeric matrix, a sparse one of package Matrix, or a
#'   data frame of numbers; or `"rds"`, `"csv"`, `"parquet"` (by package nanoparquet). `NULL`: by
#'   the ending of the paths.
#' @param env Name of the column of the files that holds the domain of each row. `NULL`: there is
#'   none, and `env` is given to [fit_crl()].
#' @param cl A cluster of package parallel on whose workers the files are read, by the paths given.
#' @return An object of class `crl_rows`, see [crl_rows()], for [fit_crl()].
#' @section Errors:
#' `ebcrl_error_source` for a file that is missing, cannot be read, has other columns than the first
#' one or has changed since the first pass; `ebcrl_error_missing` for an entry that is not finite.
#' Each names the file. `ebcrl_error_worker` where a worker of `cl` ended and no other could do its
#' block.
#' @examples
#' sim <- sim_crl(chain_dag(2), n = 60, p = 6)
#' paths <- file.path(tempdir(), paste0("part", 1:2, ".rds"))
#' saveRDS(sim$x[1:70, ], paths[1])
#' saveRDS(sim$x[71:120, ], paths[2])
#' rows <- crl_files(paths)
#' rows
#' fit_crl(rows, env = sim$env, targets = sim$targets, dag = sim$dag)
#' unlink(paths)
#' @export
crl_files <- function(paths, read = NULL, env = NULL, cl = NULL) {
  call <- rlang::current_env()
  if (!is.character(paths) || length(paths) == 0L || anyNA(paths)) {
    abort_input(c("{.arg paths} must be paths of files.", "x" = "It is {describe(paths)}."), "type",
                call = call)
  }
  check_rows_cluster(cl, call)
  if (!is.null(env) && !rlang::is_string(env)) {
    abort_input(c("{.arg env} must be the name of a column.", "x" = "It is {describe(env)}."),
                "type", call = call)
  }
  reader <- file_reader(read, paths, call)
  stamps <- file_stamps(paths)
  absent <- which(is.na(stamps$size))
  if (length(absent) > 0L) {
    abort_file(paths[absent[1L]], "It is not there ({length(absent)} of {length(paths)}).",
               call, list(absent = absent, paths = paths))
  }
  shards <- new_shards(paste(count_of(length(paths), "file"), "of rows"),
                       checked_reader(paths, reader, stamps, env), length(paths), paths, cl, call)
  shards$stamp <- stamps
  shards
}

#' @noRd
file_reader <- function(read, paths, call) {
  if (is.function(read)) {
    return(read)
  }
  ending <- read %||% unique(sub(".*[.]", "", tolower(paths)))
  known <- c("rds", "csv", "parquet")
  if (length(ending) != 1L || !ending %in% known) {
    abort_input(c("{.arg read} must be a function, or one of {.or {.val {known}}}.",
                  "x" = if (is.null(read)) "The files end in {some(ending)}." else
                    "It is {describe(read)}."), "type", call = call)
  }
  if (ending == "parquet") check_package("nanoparquet", "reading Parquet files", call)
  switch(ending, rds = readRDS,
         csv = function(path) utils::read.csv(path, check.names = FALSE),
         parquet = function(path) as.data.frame(nanoparquet::read_parquet(path)))
}

#' @noRd
file_stamps <- function(paths) {
  found <- file.info(paths, extra_cols = FALSE)
  list(size = found$size, time = as.numeric(found$mtime))
}

#' The reader of files as blocks: each as it was at first
#' @return Function of the number of a block: list of `x`, a block, and `env` (NULL if there is none)
#' @noRd
checked_reader <- function(paths, reader, stamps, env) {
  force(paths)
  force(reader)
  function(k) {
    path <- paths[k]
    check_stamp(path, lapply(stamps, `[`, k))
    found <- tryCatch(reader(path), error = function(e) {
      abort_file(path, "It cannot be read: {reason}", NULL, list(reason = conditionMessage(e)))
    }, warning = function(w) {
      abort_file(path, "It cannot be read: {reason}", NULL, list(reason = conditionMessage(w)))
    })
    split_env(found, env, path)
  }
}

#' @noRd
check_stamp <- function(path, stamp) {
  found <- file_stamps(path)
  if (is.na(found$size)) abort_file(path, "It is not there any more.", NULL)
  if (!identical(unname(unlist(found)), unname(unlist(stamp)))) {
    abort_file(path, "It has changed since the first pass (or since the first fit).", NULL)
  }
}

#' @noRd
abort_file <- function(path, reason, call, values = list()) {
  envir <- list2env(c(values, list(path = path)), parent = environment())
  abort_input(c("{.file {path}} must be a file of rows.", "x" = reason), "source", call = call,
              path = path, .envir = envir)
}

#' What a reader gave as a block, and its domains
#' @noRd
split_env <- function(found, env, path) {
  labels <- NULL
  if (!is.null(env)) {
    if (!env %in% colnames(found)) {
      abort_file(path, "It has no column {.val {env}}, which {.arg env} names.", NULL,
                 list(env = env))
    }
    labels <- as.character(found[, env])
    found <- found[, setdiff(colnames(found), env), drop = FALSE]
  }
  list(x = as_block(found, path), env = labels)
}

#' A matrix, sparse matrix or data frame as a block
#' @noRd
as_block <- function(found, path) {
  if (is.data.frame(found)) {
    wrong <- names(found)[!vapply(found, is.numeric, NA)]
    if (length(wrong) > 0L) {
      abort_file(path, "Its column {.val {wrong[1]}} holds no numbers.", NULL, list(wrong = wrong))
    }
    return(as_doubles(as.matrix(found)))
  }
  if (is.matrix(found) && is.numeric(found)) {
    return(as_doubles(found))
  }
  if (is_a(found, "dgCMatrix", "dgRMatrix")) {
    return(crl_rows(found)$read(1L) |> structure(names_of = colnames(found)))
  }
  abort_file(path, "It holds {what}, not numbers in rows and columns.", NULL,
             list(what = describe(found)))
}

# Shards ------------------------------------------------------------------------------------------

#' Rows that workers load themselves
#'
#' Each worker of a cluster loads its shards of the rows and keeps them in its memory: rows never
#' travel, only sums of them and the coordinates that a fit reduces them to (n x d).
#'
#' @param cl A cluster of package parallel (PSOCK, MPI by snow, mirai).
#' @param load Function of the number of a shard that gives its rows: a numeric matrix, a sparse one of
#'   package Matrix or a data frame of numbers, or a list of such `x` and of `env`, the domains of its
#'   rows. It is run by a worker; where one has ended, another loads its shards.
#' @param shards Number of shards. Sums are added up in their order, so that results have the same bits
#'   for any number of workers, as long as the shards are the same.
#' @return An object of class `crl_rows`, see [crl_rows()], for [fit_crl()].
#' @inheritSection crl_files Errors
#' @examplesIf interactive()
#' cl <- parallel::makeCluster(2)
#' rows <- crl_shards(cl, load = function(shard) {
#'   set.seed(shard)
#'   sim <- ebcrl::sim_crl(ebcrl::chain_dag(2), n = 100, p = 6, mixing = diag(6)[, 1:2])
#'   list(x = sim$x, env = sim$env)
#' }, shards = 4)
#' fit_crl(rows, targets = list("do(z1)" = "z1", "do(z2)" = "z2"), dag = chain_dag(2))
#' parallel::stopCluster(cl)
#' @export
crl_shards <- function(cl, load, shards = length(cl)) {
  call <- rlang::current_env()
  if (is.null(cl)) check_given(cl = TRUE, call = call, help = "crl_shards")
  check_rows_cluster(cl, call)
  if (!is.function(load)) {
    abort_input(c("{.arg load} must be a function of the number of a shard.",
                  "x" = "It is {describe(load)}."), "type", call = call)
  }
  shards <- check_number(shards, "shards", min = 1, integer = TRUE, call = call)
  id <- paste0("shards", sample_id())
  found <- new_shards(paste("shards on", count_of(length(cl), "worker")),
                      kept_reader(load, id), shards, NULL, cl, call,
                      owner = rep_len(seq_along(cl), shards))
  found$stamp <- id
  found
}

#' A name that no other shards have
#' @noRd
sample_id <- function() {
  gsub("[^0-9a-f]", "", basename(tempfile("")))
}

# What this process, a worker, has loaded: by shards and number.
loaded <- new.env(parent = emptyenv())

#' The reader of shards, which a worker keeps
#' @noRd
kept_reader <- function(load, id) {
  force(load)
  force(id)
  function(k) {
    name <- paste(id, k)
    if (is.null(loaded[[name]])) {
      found <- load(k)
      path <- paste("shard", k)
      loaded[[name]] <- if (is.list(found) && !is.data.frame(found)) {
        list(x = as_block(found$x, path), env = as.character(found$env))
      } else {
        list(x = as_block(found, path), env = NULL)
      }
    }
    loaded[[name]]
  }
}

#' A source whose blocks are read one by one, after the scan that counts their rows
#' @noRd
new_shards <- function(kind, read, n_blocks, paths, cl, call, owner = NULL) {
  rows <- new_rows(kind, NA_real_, NA_integer_, blocks = tibble::tibble(
    from = rep(NA_real_, n_blocks), rows = rep(NA_real_, n_blocks)
  ), read = read, paths = paths, owner = owner, remote = TRUE)
  rows$cl <- cl
  found <- list(rows = numeric(), env = list(), columns = NULL, names = list())
  scan <- pass(rows, scan_shard, function(place) NULL, function(total, part, place) {
    check_shard(part, found, place, call)
    found$rows <<- c(found$rows, part$scan$n)
    found$env[place$block] <<- list(part$env)
    if (is.null(found$columns)) found$columns <<- part$columns
    found$p <<- part$p
    place$from <- sum(found$rows) - part$scan$n + 1
    if (part$scan$bad_row > 0) abort_not_finite(part$scan, rows, place, "x", FALSE, call)
    add_scans(total, part$scan)
  }, "first scan")
  described_shards(rows, found, finished_scan(scan))
}

#' @noRd
scan_shard <- function(found, argument) {
  x <- found$x
  list(scan = block_scan(x, NULL), env = found$env, columns = columns_of(x),
       p = if (is_sparse(x)) x$p else ncol(x))
}

#' @noRd
columns_of <- function(x) {
  if (is_sparse(x)) attr(x, "names_of") else colnames(x)
}

#' @noRd
check_shard <- function(part, found, place, call) {
  path <- place$path %||% paste("shard", place$block)
  if (!is.null(found$p) && part$p != found$p) {
    abort_file(path, "It has {has} columns, the first has {first}.", call,
               list(has = part$p, first = found$p))
  }
  if (!is.null(found$columns) && !identical(part$columns, found$columns)) {
    other <- c(setdiff(part$columns, found$columns), "names in another order")[1L]
    abort_file(path, "Its columns are not those of the first: {.val {other}}.", call,
               list(other = other))
  }
}

#' @noRd
described_shards <- function(rows, found, scan) {
  rows$n <- sum(found$rows)
  rows$p <- found$p
  rows$blocks <- tibble::tibble(from = cumsum(c(1, found$rows))[seq_along(found$rows)],
                                rows = found$rows)
  rows$feature_names <- found$columns
  if (!any(vapply(found$env, is.null, NA))) rows$brings$env <- unlist(found$env)
  rows$scan <- scan
  read <- rows$read
  expected <- list(rows = found$rows, p = found$p)
  rows$read <- block_reader(read, expected, rows$paths)
  rows$reader <- sample_id()
  rows
}

#' Blocks alone, with as many rows and columns as at first
#' @noRd
block_reader <- function(read, expected, paths) {
  force(read)
  force(expected)
  function(k) {
    x <- read(k)$x
    size <- if (is_sparse(x)) c(x$n, x$p) else dim(x)
    if (size[1L] != expected$rows[k] || size[2L] != expected$p) {
      abort_file(c(paths[k], paste("shard", k))[1L], "It has another size than at first.", NULL)
    }
    x
  }
}
