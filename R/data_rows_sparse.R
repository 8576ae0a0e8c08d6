# Sparse matrices of package Matrix, never made dense. Classes go by name and slots are read as they
# are, so that the package is needed only by those who have such a matrix.

#' @export
crl_rows.dgCMatrix <- function(x, ..., call = rlang::caller_env()) {
  block <- sparse_block(x@i, x@p, x@x, dim(x), FALSE)
  tell_counts(sparse_source(block, dimnames(x)))
}

#' @export
crl_rows.dgRMatrix <- function(x, ..., call = rlang::caller_env()) {
  tell_counts(sparse_source(sparse_block(x@j, x@p, x@x, dim(x), TRUE), dimnames(x)))
}

#' The transpose of a dgCMatrix (features in rows), whose numbers it shares
#' @noRd
turned_sparse <- function(x) {
  sparse_source(sparse_block(x@i, x@p, x@x, rev(dim(x)), TRUE), rev(dimnames(x)))
}

# Other matrices of package Matrix: sparse ones by column, dense ones as ordinary matrices.
#' @export
crl_rows.Matrix <- function(x, ..., call = rlang::caller_env()) {
  known <- known_matrix(x)
  if (is.null(known)) {
    return(crl_rows.default(x, ..., call = call)) # says what it is
  }
  crl_rows(known, ..., call = call)
}

#' A matrix of package Matrix as a `dgCMatrix`, or an ordinary one if it is dense; NULL: it is none
#' @noRd
known_matrix <- function(x) {
  tryCatch(if (methods::is(x, "sparseMatrix")) {
    methods::as(methods::as(methods::as(x, "dMatrix"), "generalMatrix"), "CsparseMatrix")
  } else {
    numbers <- Matrix::as.matrix(x) + 0
    if (is.matrix(numbers)) numbers
  }, error = function(e) NULL)
}

#' @noRd
sparse_source <- function(block, names) {
  new_rows("a sparse matrix in memory", block$n, block$p, names[[1L]], names[[2L]],
           read = function(k) block, near = TRUE)
}

#' A block of rows as an ordinary matrix
#' @noRd
dense_block <- function(block) {
  if (!is_sparse(block)) {
    return(block)
  }
  x <- matrix(0, block$n, block$p)
  outer <- rep.int(seq_along(block$start[-1L]), diff(block$start))
  x[if (block$by_row) cbind(outer, block$index + 1L) else cbind(block$index + 1L, outer)] <-
    block$value
  if (is.null(block$kept)) x else x[, block$kept, drop = FALSE]
}

#' Rows as the C core takes them: entries by column, or by row
#' @noRd
sparse_block <- function(index, start, value, dim, by_row) {
  structure(list(n = dim[1L], p = dim[2L], by_row = by_row, start = start, index = index,
                 value = value), class = "sparse_block")
}

#' Some columns of a block; of a sparse one a view, since a copy would be as large
#' @noRd
some_columns <- function(block, kept) {
  if (!is_sparse(block)) {
    return(block[, kept, drop = FALSE])
  }
  block$kept <- (block$kept %||% seq_len(block$p))[kept]
  block
}

#' Rows of a matrix or entries of a vector, one for each column that a sparse block is looked at in: 0
#' for the others
#' @noRd
for_all_columns <- function(v, block) {
  if (is.null(block$kept) || is.null(v)) {
    return(v)
  }
  if (!is.matrix(v)) {
    return(replace(numeric(block$p), block$kept, v))
  }
  wide <- matrix(0, block$p, ncol(v))
  wide[block$kept, ] <- v
  wide
}

#' The way back
#' @noRd
for_kept_columns <- function(v, block) {
  if (is.null(block$kept)) {
    return(v)
  }
  if (is.matrix(v)) v[block$kept, , drop = FALSE] else v[block$kept]
}
