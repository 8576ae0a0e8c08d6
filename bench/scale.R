# What it measures: fits of many rows against the least that has to be done with the same rows.
#   pca       dense x in memory: default fit against crossprod() and eigen() of the same x
#   g         g-modeling of n rows, with the rows that pay and with all: seconds, error
#   disk      x in shards (RDS) or one HDF5 file: fit against one bare pass that reads and adds up X'X;
#             peak memory beside the n x d results
#   sparse    dgCMatrix: fit against d components by RSpectra, peak memory against x
#   workers   the passes on one worker and two (PSOCK, mirai)
#   blocks    processor seconds of a block of 64 MB: reading, each pass, adding up; bytes it sends
#   growth    rows generated block by block, never stored: seconds and peak memory against rows
#   stop      what A would still move the latents by if the start took all rows (in shares of their
#             posterior variance), and the error of A
# How to run: Rscript bench/scale.R <part> [--rows=,,] [--features=] [--repeats=3]; each part takes
# minutes. The two sides of a ratio run in turn, --repeats times; the least of each counts, since
# what else a machine does can only add. One thread, one BLAS thread.
# Results: scale-<part>.csv, scale-growth.png.

suppressPackageStartupMessages(library(ebcrl))
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))
Sys.setenv(OPENBLAS_NUM_THREADS = 1)

part <- grep("^--", commandArgs(TRUE), invert = TRUE, value = TRUE)[1]
repeats <- argument("repeats", 3)
one_thread <- function(...) crl_control(threads = 1, progress = FALSE, seed = 1, ...)
quietly <- function(...) suppressMessages(fit_crl(..., control = one_thread()))
rss_of <- function(fit) 8 * 2 * length(fit$latents) / 2^20

# Seconds of processor time of several functions, in turn; the least of `repeats`.
least <- function(...) {
  runs <- list(...)
  all <- vapply(seq_len(repeats), function(i) vapply(runs, function(run) cpu_seconds(run()), 0),
                numeric(length(runs)))
  stats::setNames(apply(matrix(all, length(runs)), 1, min), names(runs))
}

# Rows of a chain of d latents with one-hot targets, block by block. Bounded mechanisms as in
# sim_crl(), p features, noise of variance 2, which is taken from a pool of 2^22 numbers, each block
# from a place of its own: normal numbers for every entry would take most of the time.
generator <- function(p, d = 4L) {
  set.seed(7)
  mixing <- qr.Q(qr(matrix(rnorm(p * d), p)))
  weight <- runif(d, 0.5, 1)
  pool <- sqrt(2) * rnorm(2^22)
  function(k, rows) {
    set.seed(1000 + k)
    env <- rep_len(seq_len(d), rows)
    z <- matrix(0, rows, d)
    for (j in seq_len(d)) {
      z[, j] <- 2 * rnorm(rows) +
        if (j > 1) weight[j] * (tanh(3 * z[, j - 1]) + tanh(3 * z[, j - 1])^3) else 0
      z[env == j, j] <- rnorm(sum(env == j), 10)
    }
    noise <- vapply(sample.int(2^22 - rows, p), function(from) pool[from + seq_len(rows)],
                    numeric(rows))
    list(x = z %*% t(mixing) + noise, env = paste0("do(z", env, ")"), mixing = mixing)
  }
}
chain_targets <- function(d) {
  structure(diag(1L, d), dimnames = list(paste0("do(z", seq_len(d), ")"), paste0("z", seq_len(d))))
}
mixing_error <- function(fit, mixing) {
  a <- align_latents(unname(fit$mixing), mixing)
  sum((fit$mixing[, a$permutation] * rep(a$signs, each = nrow(mixing)) - mixing)^2)
}

# ---- parts ---------------------------------------------------------------------------------------

pca_part <- function(n, p) {
  set.seed(1)
  sim <- sim_crl(chain_dag(4), n = n / 4, p = p)
  x <- sim$x
  fit <- NULL
  seconds <- least(pca = function() eigen(crossprod(x) / n, symmetric = TRUE),
                   fit = function() fit <<- quietly(x, env = sim$env, targets = sim$targets,
                                                    dag = sim$dag))
  data.frame(n = n, p = p, pca = seconds[["pca"]], fit = seconds[["fit"]],
             ratio = seconds[["fit"]] / seconds[["pca"]],
             start_rows = max(fit$sampling$rows), frobenius = mixing_error(fit, sim$mixing),
             floor = subspace_floor(sim))
}

g_part <- function(n, p) {
  set.seed(1)
  sim <- sim_crl(chain_dag(4), n = n / 4, p = p)
  fits <- list()
  run <- function(name, ...) {
    function() fits[[name]] <<- suppressMessages(fit_crl(sim, method = "g", control = one_thread(...)))
  }
  seconds <- least(pay = run("pay"), all = run("all", saem = saem_control(rows = Inf)))
  data.frame(n = n, p = p, rows = c("that pay", "all"), saem_rows = vapply(fits, function(fit) {
    as.double(NROW(fit$saem$state[[1]]$latents))
  }, 0)[c("pay", "all")], seconds = unname(seconds[c("pay", "all")]),
             rel_mse = c(rel_mse(fits$pay, sim), rel_mse(fits$all, sim)),
             frobenius = c(mixing_error(fits$pay, sim$mixing), mixing_error(fits$all, sim$mixing)),
             coverage = c(coverage(fits$pay, sim), coverage(fits$all, sim)))
}

# Shards of 100,000 rows, or an HDF5 file of the same rows.
write_rows <- function(folder, n, p, hdf5) {
  make <- generator(p)
  env <- character()
  paths <- character()
  sizes <- rep(1e5, n / 1e5)
  if (hdf5) {
    file <- file.path(folder, "x.h5")
    rhdf5::h5createFile(file)
    rhdf5::h5createDataset(file, "x", c(n, p), chunk = c(20000, p), level = 0,
                           storage.mode = "double")
  }
  for (k in seq_along(sizes)) {
    block <- make(k, sizes[k])
    env <- c(env, block$env)
    if (hdf5) {
      rhdf5::h5write(block$x, file, "x", index = list((k - 1) * 1e5 + 1:1e5, NULL))
    } else {
      paths[k] <- file.path(folder, sprintf("shard%04d.rds", k))
      saveRDS(block$x, paths[k], compress = FALSE)
    }
  }
  list(paths = paths, file = if (hdf5) file, env = env, mixing = block$mixing)
}

disk_side <- function(side, rows, n, p) {
  suppressPackageStartupMessages(library(ebcrl))
  source_of <- function() {
    if (!is.null(rows$file)) HDF5Array::HDF5Array(rows$file, "x") else crl_files(rows$paths)
  }
  if (!is.null(rows$file)) suppressPackageStartupMessages(library(HDF5Array))
  before <- process_memory("VmRSS")
  fit <- NULL
  second <- 0
  seconds <- cpu_seconds(if (side == "fit") {
    fit <- suppressMessages(fit_crl(source_of(), env = rows$env, targets = rows$targets,
                                    dag = chain_dag(4),
                                    control = crl_control(threads = 1, progress = FALSE, seed = 1)))
  } else if (is.null(rows$file)) {
    for (path in rows$paths) second <- second + crossprod(readRDS(path))
  } else {
    x <- source_of()
    size <- 2^23 %/% p
    for (from in seq(1, n, size)) {
      second <- second + crossprod(as.matrix(x[from:min(n, from + size - 1), ]))
    }
  })
  results <- 0
  if (!is.null(fit)) results <- 8 * (length(fit$latents) + length(fit$latents_sd)) / 2^20
  data.frame(side = side, seconds = seconds, peak_mb = process_memory("VmHWM"), before_mb = before,
             results_mb = results,
             frobenius = if (is.null(fit)) NA else {
               a <- align_latents(unname(fit$mixing), rows$mixing)
               sum((fit$mixing[, a$permutation] * rep(a$signs, each = p) - rows$mixing)^2)
             })
}

disk_part <- function(n, p, hdf5) {
  folder <- tempfile("rows")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  rows <- write_rows(folder, n, p, hdf5)
  rows$targets <- chain_targets(4)
  runs <- list()
  for (i in seq_len(repeats)) for (side in c("pass", "fit")) {
    runs <- c(runs, list(in_child(disk_side, side, rows, n, p)))
    print(runs[[length(runs)]])
  }
  runs <- do.call(rbind, runs)
  fit <- runs[runs$side == "fit", ]
  pass <- min(runs$seconds[runs$side == "pass"])
  data.frame(n = n, p = p, source = if (hdf5) "HDF5" else "RDS", pass = pass,
             fit = min(fit$seconds), ratio = min(fit$seconds) / pass, peak_mb = min(fit$peak_mb),
             beside_results_mb = min(fit$peak_mb) - fit$results_mb[1], frobenius = fit$frobenius[1])
}

sparse_x <- function(n, p, share = 0.05) {
  loadNamespace("Matrix")
  set.seed(3)
  d <- 4L
  env <- rep_len(seq_len(d), n)
  z <- matrix(0, n, d)
  for (j in seq_len(d)) {
    z[, j] <- 2 * rnorm(n) + if (j > 1) 0.7 * z[, j - 1] else 0
    z[env == j, j] <- rnorm(sum(env == j), 10)
  }
  mixing <- qr.Q(qr(matrix(rnorm(p * d), p)))
  each <- round(n * share)
  rows <- lapply(seq_len(p), function(k) sort(sample.int(n, each)))
  values <- lapply(seq_len(p), function(k) {
    i <- rows[[k]]
    4 * drop(z[i, ] %*% mixing[k, ]) + rnorm(each) # what is there, depends on the latents
  })
  x <- methods::new("dgCMatrix", i = unlist(rows) - 1L, p = as.integer(each * (0:p)),
                    x = unlist(values), Dim = as.integer(c(n, p)))
  list(x = x, env = paste0("do(z", env, ")"))
}

sparse_side <- function(side, path, by_row = FALSE) {
  suppressPackageStartupMessages(library(ebcrl))
  library(Matrix)
  data <- readRDS(path)
  size <- as.numeric(object.size(data$x)) / 2^20
  invisible(gc())
  writeLines("5", "/proc/self/clear_refs")
  before <- process_memory("VmRSS")
  fit <- NULL
  seconds <- cpu_seconds(if (side == "fit") {
    fit <- suppressMessages(fit_crl(data$x, env = data$env, targets = data$targets,
                                    dag = chain_dag(4), keep_x = FALSE,
                                    control = crl_control(threads = 1, progress = FALSE, seed = 1)))
  } else {
    RSpectra::svds(data$x, 4, nu = 0, nv = 4, opts = list(center = TRUE))
  })
  data.frame(side = side, seconds = seconds, x_mb = size, before_mb = before,
             peak_mb = process_memory("VmHWM"), stages = if (is.null(fit)) "" else
               paste(names(fit$seconds), round(fit$seconds, 1), collapse = "; "))
}

sparse_part <- function(n, p) {
  data <- c(sparse_x(n, p), list(targets = chain_targets(4)))
  path <- tempfile(fileext = ".rds")
  on.exit(unlink(path))
  saveRDS(data, path, compress = FALSE)
  rm(data)
  runs <- list()
  for (i in seq_len(repeats)) for (side in c("pca", "fit")) {
    runs <- c(runs, list(in_child(sparse_side, side, path)))
    print(runs[[length(runs)]])
  }
  runs <- do.call(rbind, runs)
  of <- function(side, name, f = min) f(runs[runs$side == side, name])
  data.frame(n = n, p = p, pca = of("pca", "seconds"), fit = of("fit", "seconds"),
             ratio = of("fit", "seconds") / of("pca", "seconds"), x_mb = runs$x_mb[1],
             above_before_mb = min((runs$peak_mb - runs$before_mb)[runs$side == "fit"]),
             peak_over_x = 1 + min((runs$peak_mb - runs$before_mb)[runs$side == "fit"]) / runs$x_mb[1],
             pca_peak_over_x = 1 + min((runs$peak_mb - runs$before_mb)[runs$side == "pca"]) / runs$x_mb[1])
}

# Wall time of the three passes over shards that the workers hold: what they do there, without
# loading. (Two workers can take half the time only where two cores are free.)
workers_part <- function(n, p) {
  make <- generator(p)
  one <- function(kind, many) {
    cl <- if (kind == "PSOCK") parallel::makePSOCKcluster(many) else mirai::make_cluster(many)
    on.exit(parallel::stopCluster(cl))
    parallel::clusterCall(cl, eval, as.call(list(as.name(".libPaths"), .libPaths())))
    each <- n / 8
    load <- function(shard) make(shard, each)[c("x", "env")]
    environment(load) <- list2env(list(make = make, each = each), parent = globalenv())
    rows <- crl_shards(cl, load, shards = 8)
    data <- ebcrl:::crl_data(rows, rows$brings$env, chain_targets(4), chain_dag(4))
    v <- matrix(cos(seq_len(4 * p)), p)
    passes <- function() {
      ebcrl:::second_moments(data, rep(1, 4), data$means, 1L)
      ebcrl:::coordinates(data, v, rep(0, 4), 1L)
    }
    passes()
    min(vapply(seq_len(repeats), function(i) wall_seconds(passes()), 0))
  }
  do.call(rbind, lapply(c("PSOCK", "mirai"), function(kind) {
    first <- one(kind, 1)
    second <- one(kind, 2)
    data.frame(n = n, p = p, kind = kind, one = min(first, one(kind, 1)),
               two = min(second, one(kind, 2)))
  }))
}

blocks_part <- function(p) {
  rows <- ebcrl:::block_size(p)
  block <- generator(p)(1, rows)
  path <- tempfile(fileext = ".rds")
  on.exit(unlink(path))
  saveRDS(block$x, path, compress = FALSE)
  argument <- list(env = rep_len(1:4, rows), omega = rep(1, 4), mean = rep(0, p), n = rows,
                   n_domains = 4L, v = block$mixing, offset = rep(0, 4), threads = 1L)
  second <- matrix(0, p, p)
  tasks <- list(
    read = function() readRDS(path),
    scan = function() ebcrl:::block_scan(block$x, NULL),
    "second moments" = function() ebcrl:::block_second(block$x, argument),
    projection = function() ebcrl:::block_reduce(block$x, argument),
    "adding up" = function() for (i in 1:100) second + second
  )
  seconds <- do.call(least, tasks)
  seconds["adding up"] <- seconds["adding up"] / 100
  sent <- c(0, 48 * p, 8 * p^2, 8 * 4 * rows, 0)
  data.frame(part = names(tasks), rows = rows, p = p, seconds = unname(seconds), sent_bytes = sent)
}

growth_side <- function(n, p, make) {
  suppressPackageStartupMessages(library(ebcrl))
  each <- 1e5
  blocks <- n / each
  paths <- file.path(tempdir(), sprintf("block%06d", seq_len(blocks)))
  for (path in paths) file.create(path)
  environment(make) <- list2env(as.list(environment(make)), parent = globalenv())
  generated <- 0
  read <- function(path) {
    started <- proc.time()[[1]]
    block <- make(as.integer(sub(".*block", "", path)), each)
    generated <<- generated + proc.time()[[1]] - started
    block$x
  }
  started <- sum(proc.time()[1:2])
  rows <- crl_files(paths, read = read)
  fit <- suppressMessages(fit_crl(
    rows, env = rep(paste0("do(z", 1:4, ")"), n / 4), keep_x = FALSE, dag = chain_dag(4),
    targets = structure(diag(1L, 4), dimnames = list(paste0("do(z", 1:4, ")"), paste0("z", 1:4))),
    control = crl_control(threads = 1, progress = FALSE, seed = 1)
  ))
  all <- sum(proc.time()[1:2]) - started
  mixing <- make(1L, 8)$mixing
  a <- align_latents(unname(fit$mixing), mixing)
  data.frame(n = n, p = p, seconds = all - generated, generating = generated,
             peak_mb = process_memory("VmHWM"), results_mb = 8 * 2 * 4 * n / 2^20,
             frobenius = sum((fit$mixing[, a$permutation] * rep(a$signs, each = p) - mixing)^2),
             stages = paste(names(fit$seconds), signif(fit$seconds, 3), collapse = "; "))
}

growth_part <- function(sizes, p) {
  table <- do.call(rbind, lapply(sizes, function(n) {
    row <- in_child(growth_side, n, p, generator(p))
    print(row)
    row
  }))
  write_result(table, "scale-growth.csv")
  library(ggplot2)
  both <- rbind(data.frame(n = table$n, value = table$seconds, what = "processor seconds, without generating"),
                data.frame(n = table$n, value = table$peak_mb - table$results_mb,
                           what = "peak memory beside latents and sds, MB"))
  plot <- ggplot(both, aes(n, value)) + geom_line() + geom_point() + facet_wrap(~what, scales = "free_y") +
    scale_x_log10() + scale_y_log10() + labs(x = "rows", y = NULL) + theme_minimal()
  ggsave(result_path("scale-growth.png"), plot, width = 8, height = 3.5, dpi = 150)
  table
}

# Latents of the default fit against those of the same fit with A of a start that takes all rows.
stop_part <- function(n, p, seeds) {
  do.call(rbind, lapply(seeds, function(seed) {
    set.seed(seed)
    sim <- sim_crl(chain_dag(4), n = n / 4, p = p)
    run <- function() suppressMessages(fit_crl(sim, control = one_thread()))
    early <- run()
    pays <- ebcrl:::PAYS
    utils::assignInNamespace("PAYS", 0, "ebcrl")
    on.exit(utils::assignInNamespace("PAYS", pays, "ebcrl"))
    all <- run()
    utils::assignInNamespace("PAYS", pays, "ebcrl")
    a <- align_latents(unname(all$mixing), unname(early$mixing))
    moved <- early$latents - all$latents[, a$permutation] * rep(a$signs, each = n)
    row <- data.frame(n = n, p = p, seed = seed, rows = max(early$sampling$rows),
                      moved = max(colMeans(moved^2) / colMeans(early$latents_sd^2)),
                      frobenius = mixing_error(early, sim$mixing),
                      frobenius_all = mixing_error(all, sim$mixing),
                      rel_mse = rel_mse(early, sim), rel_mse_all = rel_mse(all, sim))
    print(row)
    row
  }))
}

# ---- run -----------------------------------------------------------------------------------------

sizes <- argument("rows", switch(part, pca = c(8e3, 8e4, 1e6), g = 8e4, disk = 5e6, sparse = 2e5,
                                 workers = 8e5, blocks = NA,
                                 growth = c(1e5, 1e6, 1e7), stop = 2e5))
p <- argument("features", if (part == "sparse") 5000 else 100)
cat(machine(), "\n")
table <- switch(part,
  pca = do.call(rbind, lapply(sizes, pca_part, p)),
  g = do.call(rbind, lapply(sizes, g_part, p)),
  disk = rbind(disk_part(sizes, p, FALSE), disk_part(sizes, p, TRUE)),
  sparse = sparse_part(sizes, p),
  workers = workers_part(sizes, p),
  blocks = blocks_part(p),
  growth = growth_part(sizes, p),
  stop = stop_part(sizes, p, seq_len(argument("seeds", 6)))
)
print(table, digits = 3, row.names = FALSE)
if (part != "growth") write_result(table, paste0("scale-", part, ".csv"))
