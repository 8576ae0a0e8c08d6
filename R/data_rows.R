# Where rows come from. A source says n, p and names, and hands out blocks of rows; all else knows
# sources by what stands here. One file a kind: R/data_rows_<kind>.R has its method of crl_rows().
# Passes over the blocks are in R/data_passes.R.

#' Rows of observations, wherever they are
#'
#' [fit_crl()] and [crl_baselines()] take what `crl_rows()` takes:
#' * a numeric matrix, a data frame of numbers (and of a column that `env` names), a list with one
#'   matrix for each domain, or a simulation ([sim_crl()]);
#' * a sparse matrix of package Matrix, which a fit never makes dense: means and weights of features
#'   are taken into account in products with it; or a dense one;
#' * a `DelayedMatrix`, such as one in an HDF5 file (packages DelayedArray and HDF5Array), or a
#'   `big.matrix` (bigmemory), read in blocks of rows of 64 MB;
#' * files or shards on a cluster, see [crl_files()] and [crl_shards()];
#' * a `SummarizedExperiment` or `SingleCellExperiment`, or a Seurat object: their samples (cells) are
#'   the rows.
#'
#' A fit takes three passes over such rows: the scan, second moments and the projection to few
#' coordinates, which all that follows reads. (With more than 4000 features, of sparse rows 500, second
#' moments are not held, and their eigenvectors take more passes.) What goes back to `x` itself needs
#' a matrix in memory. [crl_rank()], [crl_discover()], `fit_crl(covariates = )`, [crl_check()],
#' [crl_boot()], [crl_compare()] and `residuals()` make one of a sparse matrix, a `DelayedMatrix` or a
#' `big.matrix` that takes less than 1 GB as numbers (n * p of 125 million); larger ones, files and
#' shards are refused. So are the updates of A of Algorithm 1 as printed, for all that is no matrix.
#'
#' @param x Observations.
#' @param ... For the methods. Those of SummarizedExperiment have `assay` (name or number; by default
#'   `"logcounts"`, else the first) and `env`, a column of the `colData`; those of Seurat `layer`
#'   (`"data"`), `assay` (the default one) and `env`, a column of the metadata. That of data frames has
#'   `env`. [fit_crl()], [crl_rank()] and [crl_discover()] hand them on. Counts, by their name or
#'   as whole numbers from 0 on, are read with a message of class `ebcrl_message_counts`: noise is
#'   normal in the model.
#' @return An object of class `crl_rows`, a list with
#' \item{n, p}{numbers of rows and features}
#' \item{row_names, feature_names}{character vectors, or NULL}
#' \item{kind}{what it is, in words}
#' \item{matrix}{the rows as a double matrix (n x p), where they are one in memory; else NULL}
#' \item{brings}{list of arguments of [fit_crl()] that `x` has beside its rows, such as `env`}
#' \item{blocks}{tibble with a row for each block: `from`, its first row, and `rows`, how many}
#' \item{read}{function of the number of a block: its rows, a matrix or a sparse matrix}
#'
#' `dim()`, `nrow()`, `ncol()` and `dimnames()` tell its size and names.
#' @seealso [fit_crl()], [crl_files()], [crl_shards()]
#' @examples
#' crl_rows(matrix(rnorm(20), 5))
#' @export
crl_rows <- function(x, ...) {
  UseMethod("crl_rows")
}

#' @export
crl_rows.default <- function(x, env = NULL, ..., call = rlang::caller_env()) {
  check_dots_empty(..., .call = call)
  if (!is.matrix(x) || !is.numeric(x)) {
    abort_input(c("{.arg x} must be a numeric matrix (rows are samples).",
                  "x" = "It is {describe(x)}.",
                  "i" = "A data frame of numbers or a list of matrices, one a domain, will do.",
                  "i" = dense_hint(x, "x")), "type", call = call)
  }
  if (!is.double(x)) {
    storage.mode(x) <- "double"
  }
  tell_counts(matrix_rows(x))
}

#' @export
crl_rows.crl_rows <- function(x, ...) {
  x
}

#' @export
crl_rows.data.frame <- function(x, env = NULL, ..., call = rlang::caller_env()) {
  check_dots_empty(..., .call = call)
  if (!rlang::is_string(env) || nrow(x) == 1L) {
    return(matrix_rows(frame_to_matrix(x, call = call)))
  }
  check_sample_column(env, x, "x", call)
  matrix_rows(frame_to_matrix(x[names(x) != env], call = call), brings = list(env = x[[env]]))
}

#' @export
crl_rows.list <- function(x, ..., env = NULL, call = rlang::caller_env()) {
  stacked <- stack_domains(x, env, call = call)
  matrix_rows(stacked$x, brings = list(env = stacked$env))
}

#' @export
crl_rows.crl_sim <- function(x, ...) {
  matrix_rows(x$x, brings = unclass(x)[c("env", "targets", "dag")])
}

#' A double matrix in memory as a source
#' @noRd
matrix_rows <- function(x, brings = list()) {
  new_rows("a matrix in memory", nrow(x), ncol(x), rownames(x), colnames(x), matrix = x,
           brings = brings, near = TRUE)
}

#' A source of rows
#'
#' @param blocks NULL: one of all rows.
#' @param read Function of the number of a block, which workers of a cluster call, too: all that it
#'   needs must be in its environment. NULL: the matrix.
#' @noRd
new_rows <- function(kind, n, p, row_names = NULL, feature_names = NULL, read = NULL,
                     blocks = row_blocks(n, n), matrix = NULL, brings = list(), ...) {
  structure(list(n = n, p = p, row_names = row_names, feature_names = feature_names, kind = kind,
                 matrix = matrix, brings = brings, blocks = blocks, read = read,
                 reader = sample_id(), ...),
            class = "crl_rows")
}

# Numbers in a block of rows that is read from a disk: 64 MB.
BLOCK_NUMBERS <- 2^23

#' Blocks of so many rows (the last has what is left): their number depends on the rows and features
#' alone, so that sums in the order of blocks have the same bits on any number of workers
#' @noRd
row_blocks <- function(n, size) {
  from <- seq(1, max(n, 1), by = max(size, 1))
  tibble::tibble(from = from, rows = pmin(size, n - from + 1))
}

#' Rows of a block, given the number of features
#' @noRd
block_size <- function(p) {
  max(1, BLOCK_NUMBERS %/% p)
}

#' @export
dim.crl_rows <- function(x) {
  c(x$n, x$p)
}

#' @export
dimnames.crl_rows <- function(x) {
  list(x$row_names, x$feature_names)
}

#' @export
print.crl_rows <- function(x, ...) {
  size <- if (is.na(x$n)) "rows not yet counted" else
    paste(whole(x$n), "rows of", count_of(x$p, "feature"))
  cat("Rows: ", x$kind, ", ", size, ", in ", count_of(nrow(x$blocks), "block"), "\n", sep = "")
  brings <- names(x$brings)
  if (length(brings) > 0L) cat("With:", paste(brings, collapse = ", "), "\n")
  invisible(x)
}

# Bytes up to which a matrix is made of rows that are near: sparse in memory, or on this machine.
DENSE_BYTES <- 1e9

#' Rows that must be one matrix in memory, made where they are near and not too many
#' @param what What needs them so, in words.
#' @noRd
matrix_of_rows <- function(rows, what, hint = NULL, call = rlang::caller_env()) {
  if (!is.null(rows$matrix)) {
    return(rows$matrix)
  }
  if (can_be_dense(rows)) {
    return(dense_rows(rows))
  }
  refuse_rows(rows, what, hint, call)
}

#' @noRd
refuse_rows <- function(rows, what, hint = NULL, call = rlang::caller_env()) {
  abort_input(c("{what} needs {.arg x} as a matrix in memory.", "x" = "It is {rows$kind}.",
                "i" = hint %||% dense_size_hint(rows)), "rows", call = call)
}

#' @noRd
dense_bytes <- function(rows) {
  8 * as.double(rows$n) * rows$p
}

#' @noRd
can_be_dense <- function(rows) {
  isTRUE(rows$near) && dense_bytes(rows) <= DENSE_BYTES
}

#' @noRd
dense_size_hint <- function(rows) {
  if (isTRUE(rows$near) && !can_be_dense(rows)) {
    size <- format(dense_bytes(rows) / 1e9, digits = 3L)
    limit <- DENSE_BYTES / 1e9
    cli::format_inline("As one it would take {size} GB; up to {limit} GB one is made. Use fewer ",
                       "features, such as those that vary most, or fewer rows.")
  }
}

#' Rows of a source as one double matrix
#' @noRd
dense_rows <- function(rows) {
  parts <- lapply(seq_len(nrow(rows$blocks)), function(k) dense_block(read_block(rows, k)))
  x <- if (length(parts) == 1L) parts[[1L]] else do.call(rbind, parts)
  features <- rows$feature_names
  if (!is.null(rows$kept)) features <- features[rows$kept]
  dimnames(x) <- if (!is.null(rows$row_names) || !is.null(features)) list(rows$row_names, features)
  x
}
