# Passes on clusters.

few <- withr::with_seed(3, sim_crl(chain_dag(2), n = 60, p = 8,
                                   targets = rbind(none = 0L, a = 1:0, b = 0:1)))
quick <- crl_control(threads = 1, start = start_search(mechanisms = "linear", starts = 2),
                     max_iter = 5)

fit_few <- function(x, ...) {
  suppressMessages(fit_crl(x, targets = few$targets, dag = few$dag, control = quick, ...))
}

workers <- function(n, env = parent.frame()) {
  cl <- parallel::makePSOCKcluster(n)
  withr::defer(try(suppressWarnings(parallel::stopCluster(cl)), silent = TRUE), envir = env)
  parallel::clusterCall(cl, .libPaths, .libPaths())
  cl
}

same_bits <- function(a, b) {
  expect_identical(a[c("latents", "latents_sd", "mixing", "sigma2")],
                   b[c("latents", "latents_sd", "mixing", "sigma2")])
}

test_that("results have the same bits for any number of workers, of PSOCK and mirai", {
  skip_on_cran()
  local_block_size(25)
  folder <- withr::local_tempdir()
  one <- fit_few(few$x, env = few$env, checkpoint = folder)
  for (n in 1:3) {
    same_bits(fit_few(few$x, env = few$env, cl = workers(n)), one)
  }
  skip_if_not_installed("mirai")
  cl <- mirai::make_cluster(2)
  withr::defer(parallel::stopCluster(cl))
  same_bits(fit_few(few$x, env = few$env, cl = cl), one)
})

test_that("shards are loaded by the workers", {
  skip_on_cran()
  x <- few$x
  env <- few$env
  load <- function(shard) {
    rows <- (shard - 1) * 45 + 1:45
    list(x = x[rows, ], env = env[rows])
  }
  fits <- lapply(1:2, function(n) fit_few(crl_shards(workers(n), load, shards = 4)))
  same_bits(fits[[1]], fits[[2]])
  expect_close(fits[[1]]$mixing, fit_few(few$x, env = few$env)$mixing, 1e-6)
  expect_error(crl_shards(NULL, load), class = "ebcrl_error_type")
  expect_error(crl_shards(workers(1), 3), class = "ebcrl_error_type")
})

test_that("the blocks of a worker that dies are done again, once", {
  skip_on_cran()
  local_block_size(25)
  folder <- withr::local_tempdir()
  calm <- fit_few(few$x, env = few$env, checkpoint = folder)
  paths <- file.path(folder, paste0("part", 1:4, ".rds"))
  for (k in 1:4) saveRDS(few$x[(k - 1) * 45 + 1:45, ], paths[k])
  for (at in 1:3) { # the pass in which the second file ends the first worker to read it
    counter <- file.path(folder, paste0("count", at))
    read <- eval(bquote(function(path) {
      if (basename(path) == "part2.rds") {
        cat("x", file = .(counter), append = TRUE)
        if (file.size(.(counter)) == .(at)) tools::pskill(Sys.getpid(), tools::SIGKILL)
      }
      readRDS(path)
    }))
    cl <- workers(2)
    warned <- character()
    fit <- withCallingHandlers({
      fit_few(crl_files(paths, read = read, cl = cl), env = few$env)
    }, ebcrl_warning_worker = function(w) {
      warned <<- c(warned, conditionMessage(w))
      invokeRestart("muffleWarning")
    })
    expect_match(warned, "block 2 is done again")
    expect_close(fit$mixing, calm$mixing, 1e-6)
  }
  always <- function(path) {
    if (basename(path) == "part2.rds") tools::pskill(Sys.getpid(), tools::SIGKILL)
    readRDS(path)
  }
  error <- expect_error(suppressWarnings(crl_files(paths, read = always, cl = workers(3))),
                        class = "ebcrl_error_worker")
  expect_length(error$worker, 2L)
  expect_identical(error$block, 2L)
})

test_that("a fit that was killed goes on with the same bits", {
  skip_on_cran()
  skip_on_os("windows")
  folder <- withr::local_tempdir()
  paths <- file.path(folder, paste0("part", 1:4, ".rds"))
  for (k in 1:4) saveRDS(few$x[(k - 1) * 45 + 1:45, ], paths[k])
  saveRDS(few, file.path(folder, "few.rds"))
  script <- file.path(folder, "script.R")
  writeLines(c(
    ".libPaths(commandArgs(TRUE)[2])", "library(ebcrl)", "folder <- commandArgs(TRUE)[1]",
    "few <- readRDS(file.path(folder, 'few.rds'))",
    "assignInNamespace('CHECKPOINT', list(seconds = 0, times = 0), 'ebcrl')",
    "reads <- 0",
    "read <- function(path) {",
    "  reads <<- reads + 1",
    "  if (reads == 10) tools::pskill(Sys.getpid(), tools::SIGKILL)", # in the projection
    "  readRDS(path)", "}",
    "rows <- crl_files(file.path(folder, paste0('part', 1:4, '.rds')), read = read)",
    "fit_crl(rows, env = few$env, targets = few$targets, dag = few$dag, control = crl_control(",
    "  threads = 1, start = start_search(mechanisms = 'linear', starts = 2), max_iter = 5),",
    "  checkpoint = file.path(folder, 'kept'))"
  ), script)
  status <- suppressWarnings(system2(file.path(R.home("bin"), "Rscript"),
                                     c(shQuote(script), shQuote(folder),
                                       shQuote(dirname(find.package("ebcrl")))),
                                     stdout = FALSE, stderr = FALSE))
  expect_false(status == 0)
  kept <- readRDS(file.path(folder, "kept", "projection.rds"))
  expect_identical(kept$done, 1L)
  files <- crl_files(paths)
  resumed <- fit_few(files, env = few$env, checkpoint = file.path(folder, "kept"))
  same_bits(resumed, fit_few(files, env = few$env))
})

test_that("baselines and comparisons are the same on a cluster", {
  skip_on_cran()
  local_block_size(60)
  cl <- workers(2)
  run <- function(...) {
    suppressMessages(crl_baselines(few$x, env = few$env, targets = few$targets, dag = few$dag,
                                   methods = c("true", "empty"), control = quick, ...))
  }
  here <- run()
  there <- run(cl = cl)
  expect_close(there$true$latents, here$true$latents, 1e-6)
  expect_close(there$empty$sigma2, here$empty$sigma2, 1e-8)
  expect_null(there$true$data$rows$cl)
  expect_error(run(cl = 2), class = "ebcrl_error_cluster")
  compared <- crl_compare(here, folds = 3)
  expect_identical(crl_compare(here, folds = 3, cl = cl), compared)
  expect_error(crl_compare(here, folds = 3, cl = 2), class = "ebcrl_error_cluster")
})

test_that("a worker keeps the reader that it was sent last, and says when it lacks one", {
  job <- list(task = function(block, argument) sum(block) + argument, argument = 1, k = 2L,
              reader = "of a test", read = NULL)
  expect_true(run_job(job)$lacks)
  sent <- utils::modifyList(job, list(read = function(k) matrix(k, 2L, 2L)))
  expect_identical(run_job(sent)$value, 9)
  expect_identical(run_job(job)$value, 9)
  run_job(utils::modifyList(sent, list(reader = "of another")))
  expect_true(run_job(job)$lacks)
  rm(list = ls(readers), envir = readers)
})

test_that("a reader goes to a worker once, not with every block", {
  sent <- list()
  worker <- function(name) {
    list(sendCall = function(node, run, args) sent <<- c(sent, args),
         recvResult = function(node) run_job(sent[[length(sent)]]))[[name]]
  }
  rows <- new_rows("of a test", 8, 2, read = function(k) matrix(k, 2L, 2L),
                   blocks = row_blocks(8, 2), remote = TRUE)
  rows$cl <- list("a worker")
  total <- with_internal("parallel_function", worker, {
    pass_on_cluster(rows, function(block, argument) sum(block), function(place) NULL, add_up, "test",
                    function(...) NULL)
  })
  expect_equal(total, 4 * sum(1:4))
  expect_identical(vapply(sent, function(job) is.null(job$read), NA), c(TRUE, FALSE, TRUE, TRUE, TRUE))
  rm(list = ls(readers), envir = readers)
})
