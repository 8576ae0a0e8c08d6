# Blocks of so many rows, for the length of a test.
local_block_size <- function(rows, env = parent.frame()) {
  size <- ebcrl:::block_size
  utils::assignInNamespace("block_size", function(p) rows, "ebcrl")
  withr::defer(utils::assignInNamespace("block_size", size, "ebcrl"), envir = env)
}
