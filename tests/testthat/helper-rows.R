# Blocks of so many rows, for the length of a test.
local_block_size <- function(rows, env = parent.frame()) {
  size <- ebcrl:::block_size
  utils::assignInNamespace("block_size", function(p) rows, "ebcrl")
  withr::defer(utils::assignInNamespace("block_size", size, "ebcrl"), envir = env)
}

# A small bound for matrices that are made of sparse rows.
local_dense_bytes <- function(bytes, env = parent.frame()) {
  size <- ebcrl:::DENSE_BYTES
  utils::assignInNamespace("DENSE_BYTES", bytes, "ebcrl")
  withr::defer(utils::assignInNamespace("DENSE_BYTES", size, "ebcrl"), envir = env)
}
