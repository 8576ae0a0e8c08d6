# Sparse matrices of package Matrix, never made dense. Classes go by name and slots are read as they
# are, so that the package is needed only by those who have such a matrix.

#' @export
crl_rows.dgCMatrix <- function(x, ..., call = rlang::caller_env()) {
  block <- sparse_block(x@i, x@p, x@x, dim(x), FALSE)
  sparse_source(block, dimnames(x))
}

#' @export
crl_rows.dgRMatrix <- function(x, ..., call = rlang::caller_env()) {
  sparse_source(sparse_block(x@j, x@p, x@x, dim(x), TRUE), dimnames(x))
}

#' The transpose of a dgCMatrix (features in rows), whose numbers it shares
#' @noRd
turned_sparse <- function(x) {
  sparse_source(sparse_block(x@i, x@p, x@x, rev(dim(x)), TRUE), rev(dimnames(x)))
}

#' @noRd
sparse_source <- function(block, names) {
  new_rows("a sparse matrix in memory", block$n, block$p, names[[1L]], names[[2L]],
           read = function(k) block)
}

#' Rows as the C core takes them: entries by column, or by row
#' @noRd
sparse_block <- function(index, start, value, dim, by_row) {
  structure(list(n = dim[1L], p = dim[2L], by_row = by_row, start = start, index = index,
                 value = value), class = "sparse_block")
}

#' Some columns of a block
#' @noRd
some_columns <- function(block, kept) {
  if (!is_sparse(block)) {
    return(block[, kept, drop = FALSE])
  }
  if (block$by_row) {
    place <- match(seq_len(block$p), kept)[block$index + 1L]
    stays <- !is.na(place)
    row <- rep.int(seq_len(block$n), diff(block$start))[stays]
    return(sparse_block(place[stays] - 1L, as.integer(c(0L, cumsum(tabulate(row, block$n)))),
                        block$value[stays], c(block$n, length(kept)), TRUE))
  }
  size <- diff(block$start)[kept]
  at <- rep.int(block$start[kept], size) + sequence(size)
  sparse_block(block$index[at], as.integer(c(0L, cumsum(size))), block$value[at],
               c(block$n, length(kept)), FALSE)
}
