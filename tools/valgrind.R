# Run by tools/valgrind.sh: small calls of every routine of the C core, then the kernels' tests.

source("tools/exercise.R")
invisible(exercise(n = 60))
testthat::test_dir("tests/testthat", package = "ebcrl", load_package = "installed",
                   filter = "^(kernels|rng)$", reporter = "summary")
