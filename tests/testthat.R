library(testthat)
library(ebcrl)

test_check("ebcrl")
