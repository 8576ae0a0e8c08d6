# Run by tools/valgrind.sh: small calls of every routine of the C core, and the tests of the kernels.

source("tools/exercise.R")
invisible(exercise(n = 60))
testthat::test_dir("tests/testthat", package = "ebcrl", load_package = "installed",
                   filter = "^(kernels|rng)$", reporter = "summary")
