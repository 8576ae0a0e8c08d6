# Numbers of small fits over every method, prior, score, mixing, start and preset, as recorded. A
# change that is meant to move one writes recording.csv anew (tools/record.R) and says why.

recording <- new.env()
sys.source(test_path("recording.R"), recording)

test_that("recorded fits are what they were", {
  skip_on_cran()
  withr::local_seed(1)
  found <- recording$compare_records(recording$read_record(test_path("recording.csv")),
                                     recording$run_cases())
  same_blas <- identical(readLines(test_path("recording.csv"), 1L), recording$blas())
  most <- if (same_blas) recording$TOLERANCE else recording$TOLERANCE_ELSEWHERE
  moved <- found[found$off > most, ]
  expect_identical(sprintf("%s %s %.0e", moved$case, moved$part, moved$off), character())
  expect_gt(length(unique(found$case)), 50L)
})

test_that("a record tells numbers apart that differ by 1e-9 of their size", {
  case <- function(x) list(a = list(call = quote(x), env = list2env(list(x = x))))
  off <- function(x, y) {
    recording$compare_records(recording$run_cases(case(x)), recording$run_cases(case(y)))$off
  }
  x <- cos(1:50)
  expect_identical(off(x, x), 0)
  expect_gt(off(x, x * (1 + 1e-9)), recording$TOLERANCE)
  expect_gt(off(x, x[c(2:1, 3:50)]), recording$TOLERANCE)
  expect_identical(off(x, x[-1]), Inf)
})
