# A process that forks after OpenMP has been in use.

test_that("a fit in a forked process ends, with the same bits, after one with two threads", {
  skip_on_os("windows")
  skip_on_cran()
  found <- in_fresh_process(c(
    "library(ebcrl)",
    "options(ebcrl.threads = 2L)",
    "set.seed(1)",
    "s <- sim_crl(chain_dag(2), n = 2100, p = 4)", # two shards of rows: two threads are used
    "fit <- function() {",
    "  fit_crl(s, control = crl_control(start = list(mechanisms = 'linear'), max_iter = 3))$sigma2",
    "}",
    "parent <- fit()",
    "job <- parallel::mcparallel(fit())",
    "child <- parallel::mccollect(job, wait = FALSE, timeout = 60)",
    "if (is.null(child)) tools::pskill(job$pid, tools::SIGKILL)",
    "cat(if (is.null(child)) 'never ends' else identical(child[[1]], parent))"
  ), seconds = 300)
  expect_identical(utils::tail(found, 1L), "TRUE")
})
