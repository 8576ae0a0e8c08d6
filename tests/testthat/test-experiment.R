# Small data, methods that take no time: what is tested is the grid, the files and the workers.
tiny <- list(dag = chain_dag(2), n = 25, p = 6)
few <- crl_control(max_iter = 2, start = start_search(starts = 2, mechanisms = "linear"))
quick_methods <- list(
  true = list(max_iter = 2, start = few$start),
  empty = list(baseline = "empty", max_iter = 2, start = few$start),
  oracle = list(init = "oracle"),
  g = list(method = "g", saem = saem_control(burn_in = 2, iterations = 2, draws = 4),
           start = few$start),
  projection = function(sim) sim$x %*% sim$mixing
)

# Everything but the clocks
timeless <- function(experiment) {
  table <- tidy(experiment)
  table[!grepl("seconds", names(table))]
}

run <- function(..., settings = tiny, methods = quick_methods, seeds = 1:2, bayes = FALSE) {
  crl_experiment(settings, methods, seeds, bayes = bayes, ...)
}

test_that("a cell is what its parts give by hand", {
  got <- run(seeds = 3, bayes = list(draws = 100), metrics = list(rows = function(fit, sim) {
    nrow(sim$x)
  }))
  expect_identical(as.character(got$method), c(names(quick_methods), "bayes"))
  withr::local_seed(3, .rng_kind = "L'Ecuyer-CMRG", .rng_normal_kind = "Inversion",
                    .rng_sample_kind = "Rejection")
  stream <- parallel::nextRNGStream(.Random.seed)
  sim <- sim_crl(chain_dag(2), n = 25, p = 6)
  by_hand <- list(
    true = fit_crl(sim, control = few), empty = fit_crl(sim, dag = empty_dag(2), control = few),
    oracle = oracle_fit(sim)
  )
  assign(".Random.seed", stream, globalenv())
  by_hand$g <- fit_crl(sim, method = "g",
                       control = crl_control(saem = saem_control(burn_in = 2, iterations = 2,
                                                                 draws = 4),
                                             start = start_search(starts = 2,
                                                                  mechanisms = "linear")))
  assign(".Random.seed", stream, globalenv())
  optimum <- bayes_latents(sim, draws = 100)
  projection <- sim$x %*% sim$mixing
  all <- c(by_hand, list(projection, optimum))
  expect_identical(got$rel_mse, unname(vapply(all, rel_mse, 0, sim)))
  expect_identical(got$rel_mse_pooled, unname(vapply(all, rel_mse, 0, sim, ratio = "pooled")))
  expect_identical(got$frobenius_error,
                   c(unname(vapply(by_hand, frobenius_error, 0, sim)), NA, NA))
  expect_identical(got$ratio, got$rel_mse / rel_mse(optimum, sim))
  expect_identical(got$sigma2_hat, c(unname(vapply(by_hand, `[[`, 0, "sigma2")), NA, NA))
  expect_identical(got$iterations, c(unname(vapply(by_hand, `[[`, 0L, "iterations")), NA, NA))
  expect_identical(got$by_env[[2]]$rel_mse, rel_mse(by_hand$empty, sim, by = "env")$rel_mse)
  expect_identical(got$rows, rep(50, 6))
  fit <- by_hand$oracle
  z <- abs(fit$latents - sim$z) / fit$latents_sd
  expect_equal(got$coverage[3], mean(z <= qnorm(0.95)))
  expect_equal(got$coverage[6],
               mean(abs(optimum$latents - sim$z) <= qnorm(0.95) * optimum$latents_sd))
  expect_true(is.na(got$coverage[5]))
})

test_that("a list with latents and mixing is aligned, intervals too", {
  turned <- function(sim) {
    list(latents = -(sim$x %*% sim$mixing)[, 2:1], mixing = -sim$mixing[, 2:1],
         latents_sd = matrix(c(100, 0), nrow(sim$x), 2, byrow = TRUE))
  }
  got <- run(methods = list(plain = quick_methods$projection, turned = turned), seeds = 1)
  expect_equal(got$rel_mse[2], got$rel_mse[1])
  expect_equal(got$frobenius_error, c(NA, 0))
  # the wide intervals belong to the second latent, after the alignment
  expect_equal(got$coverage[2], 0.5)
})

test_that("one worker and two give the same table, as does any order of methods and seeds", {
  skip_on_cran()
  one <- run(bayes = list(draws = 50), seeds = 1:3)
  two <- run(bayes = list(draws = 50), seeds = 1:3, cl = 2)
  expect_identical(timeless(two), timeless(one))
  turned <- run(bayes = list(draws = 50), seeds = 3:1, methods = rev(quick_methods))
  key <- function(x) order(as.character(x$method), x$seed)
  plain <- function(x) {
    x <- timeless(x)[key(x), ]
    x$method <- as.character(x$method)
    x
  }
  expect_identical(plain(turned), plain(one))
})

test_that("a cluster of the user is used and left running", {
  cl <- parallel::makeCluster(2)
  withr::defer(parallel::stopCluster(cl))
  dir <- withr::local_tempdir()
  methods <- list(pid = function(sim) {
    Sys.sleep(0.05)
    list(latents = sim$z, mixing = sim$mixing, sigma2 = Sys.getpid() + 0)
  })
  got <- run(methods = methods, seeds = 1:8, cl = cl, dir = dir)
  pids <- unlist(parallel::clusterCall(cl, Sys.getpid))
  expect_setequal(got$sigma2_hat, pids)
  expect_length(list.files(dir), 8)
})

test_that("R's generator is left as it was", {
  withr::local_seed(9, .rng_kind = "Wichmann-Hill", .rng_normal_kind = "Box-Muller")
  kind <- RNGkind()
  before <- .Random.seed
  run(seeds = 1)
  expect_identical(RNGkind(), kind)
  expect_identical(.Random.seed, before)
  rm(".Random.seed", envir = globalenv())
  run(methods = quick_methods["projection"], seeds = 1)
  expect_false(exists(".Random.seed", globalenv(), inherits = FALSE))
})

test_that("settings: rows of a data frame, functions for the graph and the targets", {
  table <- expand.grid(d = 2:3, n = c(20, 30), p = 5)
  got <- run(settings = table, methods = quick_methods["projection"], seeds = 1)
  expect_identical(levels(got$setting), c("d = 2, n = 20", "d = 3, n = 20", "d = 2, n = 30",
                                          "d = 3, n = 30"))
  expect_equal(got[c("d", "n", "p")], tibble::as_tibble(table), ignore_attr = TRUE)
  rows <- function(fit, sim) nrow(sim$x) + 1000 * ncol(sim$z)
  settings <- list(
    random = list(dag = function(d) random_dag(d), d = 3, n = 10, p = 5),
    twice = list(d = 2, n = 10, p = 5, targets = function(dag) {
      diag(ncol(dag))[rep(1:2, each = 2), ]
    }),
    plain = list(n = 10, sigma2 = 1)
  )
  got <- run(settings = settings, methods = quick_methods["projection"], seeds = 1,
             metrics = list(size = rows))
  expect_equal(got$size, c(3030, 2040, 4040))
  expect_equal(got$d, c(3, 2, NA))
  expect_equal(got$p, c(5, 5, 100))
  expect_equal(got$sigma2, c(2, 2, 1))
  expect_identical(nrow(got$by_env[[2]]), 4L)
})

test_that("a simulator of the user, with a d of its own", {
  simulate <- function(d, shift = 0) {
    z <- matrix(rnorm(40 * d), 40) + shift
    list(x = z, z = z, mixing = diag(d), env = factor(rep(1:2, 20)),
         targets = matrix(0, 2, d), dag = empty_dag(d))
  }
  got <- crl_experiment(data.frame(d = 2, shift = 0:1), simulate = simulate, seeds = 1:2,
                        methods = list(zero = function(sim) 0 * sim$x,
                                       exact = function(sim) sim$x))
  expect_equal(got$rel_mse, rep(c(1, 1, 0, 0), 2))
})

test_that("results are kept, found again by content, and extended", {
  dir <- withr::local_tempdir()
  projection <- quick_methods["projection"]
  first <- run(dir = dir, methods = quick_methods[c("true", "projection")], seeds = 1:2)
  files <- list.files(dir, full.names = TRUE)
  expect_length(files, 4)
  times <- file.mtime(files)
  counted <- function(sim) stop("not run")
  again <- run(dir = dir, methods = quick_methods[c("true", "projection")], seeds = 1:2)
  # seconds are those of the first run: nothing was run again
  expect_identical(tidy(again), tidy(first))
  expect_identical(file.mtime(files), times)
  # another name, threads and an integer for a number are the same cell
  renamed <- list(other = c(quick_methods$true, threads = 2))
  run(dir = dir, settings = list(a = replace(tiny, "n", 25L)), methods = renamed)
  expect_length(list.files(dir), 4)
  # another setting, seed or method is not
  more <- run(dir = dir, methods = list(true = replace(quick_methods$true, "max_iter", 3)))
  expect_length(list.files(dir), 6)
  run(dir = dir, settings = replace(tiny, "n", 26), methods = projection, seeds = 1)
  run(dir = dir, methods = projection, seeds = 5)
  run(dir = dir, methods = list(projection = function(sim) 2 * sim$x %*% sim$mixing), seeds = 1)
  expect_length(list.files(dir), 9)
  expect_length(list.files(dir, "part"), 0)
})

test_that("a file cut off or edited is an error that names it, and is run again on request", {
  skip_on_cran()
  dir <- withr::local_tempdir()
  projection <- quick_methods["projection"]
  first <- run(dir = dir, methods = projection, seeds = 1:2)
  file <- list.files(dir, full.names = TRUE)[1]
  whole <- readBin(file, "raw", 1e5)
  edited <- readRDS(file)
  result <- unserialize(edited$bytes)
  result$values[["rel_mse"]] <- 0
  edited$bytes <- serialize(result, NULL)
  damage <- list(function() writeBin(whole[1:100], file), function() saveRDS(edited, file),
                 function() saveRDS(result, file), function() file.create(file))
  for (spoil in damage) {
    spoil()
    error <- expect_error(run(dir = dir, methods = projection), class = "ebcrl_error_results")
    expect_match(conditionMessage(error), basename(file), fixed = TRUE)
    expect_identical(basename(error$files), basename(file))
  }
  expect_identical(timeless(run(dir = dir, methods = projection, retry = TRUE)), timeless(first))
  expect_gt(file.size(file), 100)
})

# A disk of `size` bytes, the writer's buffer being lost without a word
local_full_disk <- function(size, env = parent.frame()) {
  before <- getFromNamespace("write_result", "ebcrl")
  left <- size
  utils::assignInNamespace("write_result", function(stored, file) {
    before(stored, file)
    written <- readBin(file, "raw", file.size(file))
    writeBin(written[seq_len(max(0, min(left, length(written))))], file)
    left <<- left - length(written)
  }, "ebcrl")
  withr::defer(utils::assignInNamespace("write_result", before, "ebcrl"), env)
}

test_that("a full disk is an error with the table of what has run, and the call goes on", {
  dir <- withr::local_tempdir()
  projection <- quick_methods["projection"]
  fill <- function() {
    local_full_disk(4000)
    expect_error(run(dir = dir, methods = projection, seeds = 1:9), class = "ebcrl_error_results")
  }
  error <- fill()
  kept <- list.files(dir)
  expect_gt(length(kept), 0)
  expect_identical(nrow(error$experiment), length(kept) + 1L)
  expect_true(all(is.finite(error$experiment$rel_mse)))
  message <- gsub("\\s+", " ", conditionMessage(error))
  expect_match(message, paste0("Of 9 cells ", length(kept), " (is|are) in .* 1 has run and cannot ",
                               "be kept, ", 8 - length(kept), " (has|have) not run"))
  times <- file.mtime(file.path(dir, kept))
  expect_identical(timeless(run(dir = dir, methods = projection, seeds = 1:9)),
                   timeless(run(methods = projection, seeds = 1:9)))
  expect_identical(file.mtime(file.path(dir, kept)), times)
  expect_length(list.files(dir), 9)
})

test_that("a file system of 24 kB holds whole results or none", {
  skip_on_cran()
  dir <- withr::local_tempdir()
  mount <- suppressWarnings(system2("mount", c("-t", "tmpfs", "-o", "size=24k", "tmpfs", dir),
                                    stdout = FALSE, stderr = FALSE))
  skip_if(mount != 0L, "no right to mount a file system")
  withr::defer(system2("umount", dir))
  projection <- quick_methods["projection"]
  error <- expect_error(run(dir = dir, methods = projection, seeds = 1:12),
                        class = "ebcrl_error_results")
  kept <- list.files(dir, full.names = TRUE)
  expect_gt(length(kept), 0)
  expect_identical(nrow(error$experiment), length(kept) + 1L)
  for (file in kept) expect_true(is.raw(readRDS(file)$bytes))
})

test_that("what workers cannot write is written where they are waited for", {
  dir <- withr::local_tempdir()
  results <- list(list(key = "a", unsaved = "no such directory"), NULL)
  cells <- list(list(key = "a"), list(key = "b"))
  kept <- check_kept(cells, results, dir, identity)
  expect_null(kept[[1]]$unsaved)
  expect_identical(read_result(cells[[1]], dir), list(key = "a"))
})

test_that("cells of another version are used with a warning", {
  dir <- withr::local_tempdir()
  run(dir = dir, methods = quick_methods["projection"], seeds = 1)
  file <- list.files(dir, full.names = TRUE)
  keep_result(replace(unserialize(readRDS(file)$bytes), "version", "0.0.1"), file)
  expect_warning(run(dir = dir, methods = quick_methods["projection"], seeds = 1),
                 class = "ebcrl_warning_version")
})

test_that("a cell that fails is recorded, kept, and run again on request", {
  skip_on_cran()
  dir <- withr::local_tempdir()
  flag <- withr::local_tempfile()
  methods <- list(
    fine = quick_methods$projection,
    flaky = rlang::inject(function(sim) {
      if (!file.exists(!!flag)) stop("no luck")
      sim$z
    }),
    wrong = function(sim) "latents",
    loud = function(sim) {
      warning("a first")
      warning("a second")
      sim$z
    }
  )
  expect_warning(got <- run(dir = dir, methods = methods), class = "ebcrl_warning_cells")
  expect_identical(is.na(got$error), rep(c(TRUE, FALSE, FALSE, TRUE), each = 2))
  expect_identical(got$error[3], "no luck")
  expect_match(got$error[5], "must return a fit, a matrix of latents.*returned \"latents\"")
  expect_identical(got$warning[7], "a first")
  expect_identical(got$rel_mse[7], 0)
  expect_true(all(is.na(got$rel_mse[3:6])))
  expect_output(print(got), "flaky: 2 of 2 runs failed: no luck")
  expect_output(print(got), "loud: 2 of 2 runs warned: a first")
  file.create(flag)
  expect_warning(kept <- run(dir = dir, methods = methods), class = "ebcrl_warning_cells")
  expect_identical(tidy(kept), tidy(got))
  expect_warning(retried <- run(dir = dir, methods = methods, retry = TRUE),
                 class = "ebcrl_warning_cells")
  expect_identical(is.na(retried$error), rep(c(TRUE, TRUE, FALSE, TRUE), each = 2))
  expect_identical(retried$rel_mse[3:4], c(0, 0))
})

test_that("refusals of the engine and bad values of settings are recorded", {
  expect_warning(
    got <- run(settings = list(bad = replace(tiny, "n", -1), good = tiny),
               methods = list(cramped = list(max_memory = 1e-6)), seeds = 1),
    class = "ebcrl_warning_cells"
  )
  expect_match(got$error[1], "`n` must be a whole number of at least 1")
  expect_match(got$error[2], "GB may be taken")
})

test_that("a dead worker is an error that says what is kept", {
  skip_on_os("windows")
  dir <- withr::local_tempdir()
  deadly <- list(deadly = function(sim) {
    if (sim$env[1] == "stop") sim$z else tools::pskill(Sys.getpid(), tools::SIGKILL)
  })
  expect_error(run(methods = deadly, cl = 2, dir = dir), class = "ebcrl_error_worker")
  expect_error(run(methods = deadly, cl = 2), "With `dir`", class = "ebcrl_error_worker")
})

test_that("an interrupted run ends the cells of its workers", {
  skip_on_cran()
  skip_on_os("windows")
  dir <- withr::local_tempdir()
  caller <- Sys.getpid()
  endless <- function(sim) {
    file.create(file.path(dir, Sys.getpid()))
    Sys.sleep(300)
  }
  signal <- function(sim) {
    while (length(list.files(dir)) == 0L) Sys.sleep(0.05)
    file.create(file.path(dir, Sys.getpid()))
    tools::pskill(caller, tools::SIGINT)
    Sys.sleep(300)
  }
  ended <- tryCatch(run(methods = list(endless = endless, signal = signal), seeds = 1, cl = 2),
                    interrupt = function(condition) "interrupted")
  expect_identical(ended, "interrupted")
  workers <- as.integer(list.files(dir))
  expect_length(workers, 2)
  alive <- function() tools::pskill(workers, 0L)
  deadline <- Sys.time() + 60
  while (any(alive()) && Sys.time() < deadline) Sys.sleep(0.05)
  expect_identical(alive(), c(FALSE, FALSE))
})

test_that("a run that is killed goes on where it was", {
  skip_on_cran()
  skip_on_os("windows")
  dir <- withr::local_tempdir()
  script <- withr::local_tempfile(fileext = ".R")
  code <- quote({
    slow <- function(sim) {
      Sys.sleep(0.15)
      sim$x %*% sim$mixing
    }
    methods <- list(slow = slow, true = list(max_iter = 2, start = list(mechanisms = "linear")))
    settings <- list(dag = chain_dag(2), n = 25, p = 6)
  })
  writeLines(c("library(ebcrl)", deparse(code), "writeLines(as.character(Sys.getpid()), pidfile)",
               "crl_experiment(settings, methods, 1:20, dir = dir, cl = cores)"), script)
  eval(code)
  whole <- crl_experiment(settings, replace(methods, "slow", list(quick_methods$projection)), 1:20)
  for (cores in 1:2) {
    into <- file.path(dir, cores)
    pidfile <- file.path(dir, paste0("pid", cores))
    assignments <- sprintf("%s <- %s", c("dir", "pidfile", "cores"),
                           c(deparse(into), deparse(pidfile), cores))
    writeLines(c(assignments, readLines(script)), run_script <- paste0(script, cores))
    system2(file.path(R.home("bin"), "Rscript"), run_script, wait = FALSE, stdout = FALSE,
            stderr = FALSE, env = paste0("R_LIBS=", paste(.libPaths(), collapse = ":")))
    deadline <- Sys.time() + 60
    while (length(list.files(into, "rds$")) < 8 && Sys.time() < deadline) Sys.sleep(0.02)
    tools::pskill(as.integer(readLines(pidfile)), tools::SIGKILL)
    Sys.sleep(1)
    done <- list.files(into, "rds$", full.names = TRUE)
    expect_gte(length(done), 8)
    expect_lt(length(done), 40)
    times <- file.mtime(done)
    resumed <- crl_experiment(settings, methods, 1:20, dir = into)
    expect_identical(file.mtime(done), times)
    expect_length(list.files(into, "rds$"), 40)
    expect_identical(timeless(resumed), timeless(whole))
  }
})

test_that("progress shows cells and time left", {
  ticked <- integer()
  queue <- cell_queue(list("a", "b", "c"), function(i) ticked <<- c(ticked, i))
  expect_length(queue, 3)
  expect_identical(queue[[2]], "b")
  expect_identical(ticked, 2)
})

test_that("print, tidy and summary", {
  skip_on_cran()
  got <- run(bayes = list(draws = 50), settings = list(a = tiny, b = replace(tiny, "n", 30)))
  expect_output(print(got), "2 settings, 6 methods, 2 seeds; 24 cells")
  expect_output(print(got), "true graph .*empty graph .*Bayes optimum")
  expect_output(print(got), "oracle")
  expect_s3_class(got, c("crl_experiment", "tbl_df"), exact = FALSE)
  expect_identical(class(tidy(got)), c("tbl_df", "tbl", "data.frame"))
  expect_identical(class(as.data.frame(got)), "data.frame")
  summary <- tidy(got, "summary")
  expect_identical(nrow(summary), 12L)
  expect_equal(summary$rel_mse[1], median(got$rel_mse[1:2]))
  expect_equal(summary$ratio[summary$method == "bayes"], c(1, 1))
  by_env <- tidy(got, "env")
  expect_identical(nrow(by_env), 48L)
  expect_equal(by_env$rel_mse[1:2], got$by_env[[1]]$rel_mse)
  expect_output(print(got["method"]), "tibble")
})

# Plots -------------------------------------------------------------------------------------------

drawn_layers <- function(plot) {
  built <- ggplot2::ggplot_build(plot)
  stats::setNames(built$data, vapply(plot$layers, function(layer) class(layer$geom)[1], ""))
}

swept <- run(settings = data.frame(d = 2, n = c(20, 40, 300), p = 6), seeds = 1:5,
             bayes = list(draws = 50),
             methods = list(true = quick_methods$true, no_shrinkage = quick_methods$projection))

test_that("boxes have the quartiles of the runs, the line the median of the Bayes optimum", {
  drawn <- drawn_layers(autoplot(swept, log = FALSE))
  runs <- swept$rel_mse[swept$method == "true" & swept$n == 40]
  box <- drawn$GeomBoxplot[drawn$GeomBoxplot$PANEL == 2, ]
  expect_equal(box$xmiddle[2], median(runs)) # the first method is on top
  optimum <- drawn[[which(vapply(drawn, function(layer) "xintercept" %in% names(layer), NA))]]
  expect_equal(optimum$xintercept[2],
               median(swept$rel_mse[swept$method == "bayes" & swept$n == 40]))
  expect_setequal(box$colour, okabe_ito(c("blue", "sky")))
  few <- drawn_layers(autoplot(swept[swept$seed < 3, ], metric = "ratio", log = FALSE))
  expect_named(few, c("GeomErrorbar", "GeomPoint"))
  ratios <- swept$ratio[swept$seed < 3 & swept$method == "true" & swept$n == 40]
  expect_equal(few$GeomErrorbar$xmin[few$GeomErrorbar$PANEL == 2][2], median(ratios))
  expect_equal(few$GeomErrorbar$xmin, few$GeomErrorbar$xmax)
  # one run is its own median
  single <- autoplot(swept[swept$seed == 1, ], log = FALSE)
  expect_identical(names(drawn_layers(single))[1], "GeomPoint")
  expect_identical(single$labels$subtitle, "1 run")
})

test_that("ribbons run from quartile to quartile along the variable", {
  plot <- autoplot(swept, "sweep", log = FALSE)
  drawn <- drawn_layers(plot)
  runs <- swept$rel_mse[swept$method == "no_shrinkage" & swept$n == 300]
  ribbon <- drawn$GeomRibbon[drawn$GeomRibbon$group == 2, ]
  expect_equal(ribbon$x, log10(c(20, 40, 300)))
  expect_equal(c(ribbon$ymin[3], ribbon$ymax[3]), quantile(runs, c(0.25, 0.75), names = FALSE))
  expect_equal(drawn[[4]]$y, vapply(c(20, 40, 300), function(n) {
    median(swept$rel_mse[swept$method == "bayes" & swept$n == n])
  }, 0))
  expect_match(plot$labels$title, "rows a domain")
  both <- run(settings = expand.grid(d = 2:3, n = c(20, 30), p = 6), seeds = 1,
              methods = quick_methods["projection"])
  panels <- autoplot(both, "sweep", variable = "n")
  expect_identical(levels(panels$data$panel), c("d = 2", "d = 3"))
  expect_error(autoplot(both, "sweep"), class = "ebcrl_error_range")
})

test_that("domains have a point a method, with quartiles, and a bar for the optimum", {
  skip_on_cran()
  one <- swept[swept$n == 40 & swept$seed == 1, ]
  drawn <- drawn_layers(autoplot(one, "env", log = FALSE))
  expect_length(drawn, 2)
  expect_setequal(drawn[[1]]$x, c(one$by_env[[1]]$rel_mse, one$by_env[[2]]$rel_mse))
  expect_setequal(drawn[[2]]$x, one$by_env[[3]]$rel_mse)
  drawn <- drawn_layers(autoplot(swept, "env", log = TRUE))
  expect_identical(names(drawn)[1:2], c("GeomLinerange", "GeomPoint"))
  errors <- env_rows(swept)
  errors <- errors[errors$setting == "n = 20" & errors$method == "true", ]
  bars <- drawn$GeomLinerange[drawn$GeomLinerange$PANEL == 1, ]
  least <- log10(quantile(errors$rel_mse[errors$env == "do(z1)"], 0.25, names = FALSE))
  expect_lt(min(abs(bars$xmin - least)), 1e-12)
  withr::local_pdf(withr::local_tempfile())
  expect_silent(plot(swept, type = "env"))
})

test_that("failed cells are left out of plots and counted", {
  broken <- swept
  broken$error[1] <- "failed"
  broken$rel_mse[1] <- NA
  expect_match(gsub("\n", " ", autoplot(broken)$labels$subtitle), "1 failed cell left out")
  broken$error[] <- "failed"
  expect_error(autoplot(broken), class = "ebcrl_error_shape")
})

test_that("own methods have a colour and shape each", {
  style <- experiment_style(factor(letters[1:7], rev(letters[1:7])))
  expect_identical(style$label, rev(letters[1:7]))
  expect_identical(anyDuplicated(paste(style$colour, style$shape)), 0L)
  expect_identical(experiment_style(factor(c("pca", "bayes")))$label, "PCA")
  mixed <- experiment_style(factor(c("mine", "empty", "ours"), c("mine", "empty", "ours")))
  expect_identical(mixed$colour, okabe_ito(c("blue", "orange", "green")))
  expect_identical(mixed$colour[2], method_style("empty")$colour)
})
