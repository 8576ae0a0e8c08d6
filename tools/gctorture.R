# usage: Rscript tools/gctorture.R [every]
# Small calls of the C core with a garbage collection at every (default: every 10th) allocation and
# freed memory overwritten where R was built for it. A missing PROTECT shows as a crash, or as
# results that differ from those of an undisturbed run.

source("tools/exercise.R")
every <- as.integer(c(commandArgs(trailingOnly = TRUE), 10L)[1L])

undisturbed <- exercise(n = 20, modes = "diagonal", threads = 1L)
invisible(gctorture2(every))
tortured <- exercise(n = 20, modes = "diagonal", threads = 1L)
invisible(gctorture2(0L))

stopifnot(identical(undisturbed, tortured))
cat("gctorture: the same results with a collection every", every, "allocations\n")
