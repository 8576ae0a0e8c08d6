# DelayedArray's matrices, whatever holds them (HDF5 files by HDF5Array), and those of bigmemory:
# read in blocks of rows.

#' @export
crl_rows.DelayedMatrix <- function(x, ..., call = rlang::caller_env()) {
  check_package("DelayedArray", "reading a DelayedMatrix", call)
  size <- dim(x)
  names <- dimnames(x)
  blocks <- row_blocks(size[1L], block_size(size[2L]))
  new_rows(paste0("a ", class(x)[1L]), size[1L], size[2L], names[[1L]], names[[2L]],
           read = delayed_reader(x, blocks), blocks = blocks, remote = TRUE, near = TRUE)
}

#' @noRd
delayed_reader <- function(x, blocks) {
  force(x)
  function(k) {
    rows <- blocks$from[k] - 1 + seq_len(blocks$rows[k])
    block <- as.matrix(x[rows, , drop = FALSE])
    as_doubles(block)
  }
}

#' @noRd
as_doubles <- function(block) {
  if (!is.double(block)) storage.mode(block) <- "double"
  block
}

#' @export
crl_rows.big.matrix <- function(x, ..., call = rlang::caller_env()) {
  check_package("bigmemory", "reading a big.matrix", call)
  size <- dim(x)
  names <- dimnames(x)
  blocks <- row_blocks(size[1L], block_size(size[2L]))
  shared <- bigmemory::is.shared(x)
  new_rows("a big.matrix", size[1L], size[2L], names[[1L]], names[[2L]],
           read = if (shared) shared_reader(bigmemory::describe(x), blocks) else
             delayed_reader(x, blocks),
           blocks = blocks, remote = shared, near = TRUE)
}

#' Workers on the same machine attach the memory themselves
#' @noRd
shared_reader <- function(description, blocks) {
  force(description)
  function(k) {
    x <- bigmemory::attach.big.matrix(description)
    rows <- blocks$from[k] - 1 + seq_len(blocks$rows[k])
    as_doubles(x[rows, , drop = FALSE])
  }
}
