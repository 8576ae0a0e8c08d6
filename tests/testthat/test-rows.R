# Sources of rows: each gives the fit of the same rows in memory.

# With a domain without targets two latents of a chain are told apart.
small <- withr::with_seed(3, sim_crl(chain_dag(2), n = 60, p = 8,
                                     targets = rbind(none = 0L, a = 1:0, b = 0:1)))
rownames(small$x) <- paste0("cell", seq_len(nrow(small$x)))
colnames(small$x) <- paste0("gene", 1:8)
quick <- crl_control(threads = 1, start = start_search(mechanisms = "linear", starts = 2),
                     max_iter = 5)

fit_rows_of <- function(x, env = small$env, ...) {
  suppressMessages(fit_crl(x, env = env, targets = small$targets, dag = small$dag,
                           control = quick, ...))
}
in_memory <- fit_rows_of(small$x)

# The search for the rotation ends within 1e-8 of its optimum, wherever rounding starts it.
expect_same_fit <- function(fit, other = in_memory, tolerance = 1e-6) {
  expect_close(fit$mixing, other$mixing, tolerance)
  expect_close(fit$latents, other$latents, tolerance)
  expect_close(fit$sigma2, other$sigma2, tolerance)
  expect_identical(dimnames(fit$latents), dimnames(other$latents))
  expect_identical(dimnames(fit$mixing), dimnames(other$mixing))
}

# What a fit needs of rows: the scan, the moments and the projection.
expect_same_passes <- function(x, dense = small$x, weights = NULL) {
  data <- list(of = crl_data(crl_rows(x), small$env, small$targets, small$dag, weights),
               dense = crl_data(dense, small$env, small$targets, small$dag, weights))
  for (part in c("mean_square", "means", "spreads", "variance")) {
    expect_close(data$of[[part]], data$dense[[part]], 1e-12)
  }
  both <- lapply(data, moments_about_mean, 1L)
  v <- matrix(cos(1:16), 8)
  expect_close(both$of$second, both$dense$second, 1e-10)
  expect_close(second_moments_times(data$of, row_weights(data$of), both$of$mean, 1L)(v),
               both$dense$second %*% v, 1e-10)
  parts <- lapply(data, coordinates, v, c(1, 2), 1L)
  expect_close(parts$of$x, parts$dense$x, 1e-10)
  expect_close(parts$of$square, parts$dense$square, 1e-10)
}

sparse_x <- function() {
  x <- small$x
  x[abs(x) < 1.5] <- 0
  x
}

test_that("sparse matrices are those rows, and are never made dense", {
  skip_if_not_installed("Matrix")
  x <- sparse_x()
  by_column <- Matrix::Matrix(x, sparse = TRUE)
  by_row <- methods::as(by_column, "RsparseMatrix")
  for (weights in list(NULL, c(0.3, 0.5, 0.2))) {
    expect_same_passes(by_column, x, weights)
    expect_same_passes(by_row, x, weights)
  }
  dense <- fit_rows_of(x)
  expect_same_fit(fit_rows_of(by_column), dense)
  expect_same_fit(fit_rows_of(by_row), dense)
  expect_same_fit(fit_rows_of(by_column, center = TRUE, noise = "by_feature"),
                  fit_rows_of(x, center = TRUE, noise = "by_feature"), 1e-4)
  for (constant in c(0, 7)) {
    without <- replace(x, cbind(seq_len(nrow(x)), 3L), constant)
    sparse <- Matrix::Matrix(without, sparse = TRUE)
    expect_same_fit(fit_rows_of(sparse), fit_rows_of(without))
    expect_same_fit(fit_rows_of(methods::as(sparse, "RsparseMatrix")), fit_rows_of(without))
  }
  by_column@x[5] <- NaN
  expect_error(fit_rows_of(by_column), class = "ebcrl_error_missing")
  by_row@x[which(by_row@j == 2L)[4]] <- Inf
  row <- which(is.infinite(as.matrix(by_row)[, 3]))
  error <- expect_error(fit_rows_of(by_row), class = "ebcrl_error_missing")
  expect_match(cli::ansi_strip(paste(conditionMessage(error), collapse = " ")),
               paste0("[Rr]ow.*", row, ".*is Inf"))
})

test_that("eigenvectors come from passes where moments are not held", {
  skip_if_not_installed("Matrix")
  x <- sparse_x()
  data <- crl_data(crl_rows(Matrix::Matrix(x, sparse = TRUE)), small$env, small$targets, small$dag)
  held <- moments_about_mean(data, 1L)
  about <- function(mean) second_moments_times(data, rep(1, 3), mean, 1L)
  passes <- c(held[c("n", "p", "threads", "mean", "square")],
              list(times = about(held$mean), about = about))
  for (pair in list(list(held, passes), list(about_zero(held), about_zero(passes)))) {
    found <- lapply(pair, leading_components, 2L, NULL)
    expect_close(found[[2]]$values, found[[1]]$values, 1e-8)
    expect_close(abs(crossprod(found[[2]]$vectors, found[[1]]$vectors)), diag(2), 1e-6)
    factors <- lapply(pair, factor_analysis, 2L, FALSE, call = NULL)
    expect_close(factors[[2]]$psi, factors[[1]]$psi, 1e-3)
  }
})

test_that("a matrix is reduced in blocks as it is at once, and a checkpoint is gone on from", {
  folder <- withr::local_tempdir()
  local_block_size(50)
  fit <- fit_rows_of(small$x, checkpoint = folder)
  expect_same_fit(fit)
  expect_setequal(list.files(folder), c("scan.rds", "second-moments.rds", "projection.rds"))
  again <- fit_rows_of(small$x, checkpoint = folder)
  expect_identical(again$latents, fit$latents)
  other <- fit_rows_of(2 * small$x, checkpoint = folder) # other rows: nothing is taken from it
  expect_close(other$mixing, fit$mixing, 1e-5)
  expect_error(fit_rows_of(small$x, checkpoint = 3), class = "ebcrl_error_type")
})

test_that("files of every kind are those rows", {
  folder <- withr::local_tempdir()
  parts <- list(1:70, 71:110, 111:180)
  write_parts <- function(ending, write) {
    paths <- file.path(folder, paste0("part", 1:3, ".", ending))
    for (k in 1:3) write(small$x[parts[[k]], ], small$env[parts[[k]]], paths[k])
    paths
  }
  unnamed <- small$x
  rownames(unnamed) <- NULL
  dense <- fit_rows_of(unnamed)
  rds <- write_parts("rds", function(x, env, path) saveRDS(x, path))
  expect_same_fit(fit_rows_of(crl_files(rds)), dense)
  csv <- write_parts("csv", function(x, env, path) {
    utils::write.csv(data.frame(x, domain = env), path, row.names = FALSE)
  })
  rows <- crl_files(csv, env = "domain")
  expect_identical(dim(rows), c(180, 8L))
  expect_same_fit(suppressMessages(fit_crl(rows, targets = small$targets, dag = small$dag,
                                           control = quick)), dense)
  expect_output(print(rows), "3 files of rows, 180 rows of 8 features, in 3 blocks")
  if (requireNamespace("nanoparquet", quietly = TRUE)) {
    parquet <- write_parts("parquet", function(x, env, path) {
      nanoparquet::write_parquet(as.data.frame(x), path)
    })
    expect_same_fit(fit_rows_of(crl_files(parquet)), dense)
  }
  own <- crl_files(rds, read = function(path) readRDS(path) * 1)
  expect_same_fit(fit_rows_of(own), dense)
  expect_error(crl_files(rds, read = "sas"), class = "ebcrl_error_type")
})

test_that("faults of files are named", {
  folder <- withr::local_tempdir()
  paths <- file.path(folder, c("a.rds", "b.rds"))
  save <- function(a = small$x[1:90, ], b = small$x[91:180, ]) {
    saveRDS(a, paths[1])
    saveRDS(b, paths[2])
  }
  expect_fault <- function(code, class, says) {
    error <- expect_error(code, class = class)
    expect_match(cli::ansi_strip(paste(conditionMessage(error), collapse = " ")), says)
  }
  save()
  expect_fault(crl_files(c(paths, file.path(folder, "c.rds"))), "ebcrl_error_source", "c.rds")
  save(b = small$x[91:180, -1])
  expect_fault(crl_files(paths), "ebcrl_error_source", "b.rds.*7 columns")
  save(b = small$x[91:180, 8:1])
  expect_fault(crl_files(paths), "ebcrl_error_source", "b.rds.*columns are not those")
  bad <- small$x[91:180, ]
  bad[7, 3] <- NaN
  save(b = bad)
  expect_fault(crl_files(paths), "ebcrl_error_missing", "Row 7, column 3 of .*b.rds.* is NaN")
  save()
  rows <- crl_files(paths)
  saveRDS(small$x[1:89, ], paths[1])
  expect_fault(fit_rows_of(rows), "ebcrl_error_source", "a.rds.*changed")
  unlink(paths[1])
  expect_fault(fit_rows_of(rows), "ebcrl_error_source", "a.rds.*not there")
  writeLines("nothing", paths[1])
  expect_fault(crl_files(paths), "ebcrl_error_source", "a.rds.*cannot be read")
})

test_that("containers of other packages are those rows", {
  if (requireNamespace("DelayedArray", quietly = TRUE)) {
    local_block_size(50)
    delayed <- DelayedArray::DelayedArray(small$x)
    expect_same_passes(delayed)
    expect_same_fit(fit_rows_of(delayed))
  }
  if (requireNamespace("HDF5Array", quietly = TRUE)) {
    file <- withr::local_tempfile(fileext = ".h5")
    stored <- HDF5Array::writeHDF5Array(unname(small$x), file, "x")
    expect_close(fit_rows_of(stored)$mixing, in_memory$mixing, 1e-6)
  }
  if (requireNamespace("bigmemory", quietly = TRUE)) {
    expect_close(fit_rows_of(bigmemory::as.big.matrix(unname(small$x)))$mixing, in_memory$mixing,
                 1e-6)
  }
  skip_if_not_installed("SingleCellExperiment")
  cells <- SingleCellExperiment::SingleCellExperiment(
    list(counts = 0 * t(small$x), logcounts = t(small$x)),
    colData = data.frame(condition = small$env)
  )
  fit <- suppressMessages(fit_crl(cells, assay = "logcounts", env = "condition",
                                  targets = small$targets, dag = small$dag, control = quick))
  expect_same_fit(fit)
  expect_identical(crl_rows(cells)$matrix, crl_rows(cells, assay = "logcounts")$matrix)
  expect_message(crl_rows(cells, assay = "counts"), class = "ebcrl_message_counts")
  expect_identical(crl_rank(cells, d = 2)$factors, crl_rank(small$x)$factors)
  searched <- function(x, env) {
    crl_discover(x, env = env, d = ncol(small$z), mechanisms = "linear", targets = small$targets)
  }
  expect_identical(searched(cells, "condition")$hypotheses$bic,
                   searched(unname(small$x), small$env)$hypotheses$bic)
  expect_error(crl_rank(cells, asay = 1), class = "ebcrl_error_type")
  expect_error(fit_crl(cells, assay = "none", env = "condition", targets = small$targets,
                       dag = small$dag), class = "ebcrl_error_range")
  expect_error(fit_crl(cells, assay = "logcounts", env = "batch", targets = small$targets,
                       dag = small$dag), class = "ebcrl_error_domain")
  # new cells are read as those of the fit, with covariates, too
  expect_equal(predict(fit, cells[, 1:4], targets = "none"),
               predict(fit, small$x[1:4, ], targets = "none"), ignore_attr = TRUE)
  size <- as.numeric(seq_len(ncol(cells)))
  taken <- suppressMessages(fit_crl(cells, env = "condition", targets = small$targets,
                                    dag = small$dag, covariates = size, control = quick))
  expect_equal(predict(taken, cells, env = small$env, covariates = size), fitted(taken),
               ignore_attr = TRUE, tolerance = 1e-6)
  # columns of the colData
  cells$size <- log(size)
  taken <- suppressMessages(fit_crl(cells, env = "condition", targets = small$targets,
                                    dag = small$dag, covariates = ~ size, control = quick))
  again <- predict(taken, cells[8:1, 5:1], env = "condition")
  expect_equal(again, fitted(taken)[5:1, ], tolerance = 1e-6)
  expect_identical(predict(taken, cells[, 1:3], env = "condition", covariates = ~ size),
                   predict(taken, cells[, 1:3], env = "condition",
                           covariates = data.frame(size = cells$size[1:3])))
  fresh <- augment(taken, newdata = cells[, 1:3], env = "condition")
  expect_identical(unname(SingleCellExperiment::reducedDim(fresh, "ebcrl")),
                   unname(predict(taken, cells[, 1:3], env = "condition")))
  by_name <- function(covariates) {
    suppressMessages(fit_crl(cells, env = "condition", targets = small$targets, dag = small$dag,
                             covariates = covariates, control = quick))
  }
  expect_identical(fitted(by_name("size")), fitted(taken))
  expect_identical(fitted(by_name(SummarizedExperiment::colData(cells)["size"])), fitted(taken))
  expect_error(by_name("sise"), "Did you mean \"size\"", class = "ebcrl_error_covariates")
  expect_error(by_name(~ sise), "Did you mean \"size\"", class = "ebcrl_error_covariates")
  expect_identical(names(augment(fit, data = SummarizedExperiment::colData(cells)))[1:2],
                   c("condition", "size"))
  augmented <- augment(fit, data = cells)
  expect_identical(SingleCellExperiment::reducedDim(augmented, "ebcrl"), fit$latents)
  expect_identical(SingleCellExperiment::reducedDim(augmented, "ebcrl_sd"), fit$latents_sd)
})

test_that("rows need not be kept", {
  fit <- fit_rows_of(small$x, keep_x = FALSE)
  expect_null(fit$data$x)
  expect_same_fit(fit)
  expect_printed(fit, "180 rows, 8 features")
  expect_identical(predict(fit), fit$latents)
  expect_close(predict(fit, type = "score"), predict(fit, small$x, env = small$env, type = "score"),
               1e-10)
  expect_close(predict(fit, small$x, env = small$env), fit$latents, 1e-10)
  expect_s3_class(autoplot(fit), "ggplot")
  expect_s3_class(update(fit, max_iter = 3), "crl_fit")
  expect_error(residuals(fit), class = "ebcrl_error_rows")
  expect_error(autoplot(fit, "check"), class = "ebcrl_error_rows")
  expect_lt(object.size(fit$data), object.size(in_memory$data) - object.size(unname(small$x)) / 2)
})

test_that("what goes back to x makes a matrix of rows that are near, if they are few", {
  skip_if_not_installed("Matrix")
  x <- sparse_x()
  sparse <- Matrix::Matrix(x, sparse = TRUE)
  fit <- fit_rows_of(sparse)
  dense <- fit_rows_of(x)
  expect_null(fit$data$x)
  expect_identical(dense_rows(fit$data$rows), x)
  expect_identical(dense_rows(crl_rows(methods::as(sparse, "RsparseMatrix"))), x)
  expect_close(residuals(fit), residuals(dense), 1e-6)
  checked <- function(fit) withr::with_seed(1, crl_check(fit, held_out = FALSE)$checks$statistic)
  expect_close(checked(fit), checked(dense), 1e-3)
  edges <- function(fit) crl_boot(fit, times = 2, seed = 1)$replicates[[1L]]$mixing
  expect_close(edges(fit), edges(dense), 1e-3)
  expect_identical(crl_rank(sparse)$values, crl_rank(x)$values)
  found <- function(x) crl_discover(x, env = small$env, d = 2, mechanisms = "linear")$dag
  expect_identical(found(sparse), found(x))
  # genes in another order
  expect_close(predict(fit, sparse[3:9, 8:1], targets = "none"),
               predict(fit, x[3:9, ], targets = "none"), 1e-10)
  local_dense_bytes(1000)
  expect_error(crl_rank(sparse), "it would take 1.15e-05 GB", class = "ebcrl_error_rows")
  expect_error(residuals(fit), "Use fewer\\s+features", class = "ebcrl_error_rows")
})

test_that("other matrices of package Matrix are read", {
  skip_if_not_installed("Matrix")
  x <- sparse_x()
  sparse <- Matrix::Matrix(x, sparse = TRUE)
  triplets <- crl_rows(methods::as(sparse, "TsparseMatrix"))
  expect_identical(triplets$kind, "a sparse matrix in memory")
  expect_identical(dense_rows(triplets), x)
  full <- methods::as(sparse, "unpackedMatrix")
  expect_identical(crl_rows(full)$matrix, x)
  expect_close(predict(in_memory, full, env = small$env), predict(in_memory, x, env = small$env),
               1e-10)
  pattern <- crl_rows(sparse != 0)
  expect_identical(unname(dense_rows(pattern)), unname((x != 0) + 0))
})

test_that("env may be the name of a column of a data frame", {
  frame <- data.frame(small$x, condition = small$env)
  expect_same_fit(fit_rows_of(frame, env = "condition"))
  expect_error(fit_rows_of(frame, env = "conditoin"), "Did you mean \"condition\"",
               class = "ebcrl_error_domain")
  expect_error(fit_rows_of(frame), "must be numeric", class = "ebcrl_error_type")
  expect_identical(predict(in_memory, frame, env = "condition"),
                   predict(in_memory, small$x, env = small$env))
})

test_that("what updates A beyond its space needs a matrix", {
  skip_if_not_installed("Matrix")
  sparse <- Matrix::Matrix(sparse_x(), sparse = TRUE)
  expect_error(fit_crl(sparse, env = small$env, targets = small$targets, dag = small$dag,
                       init = "pca"), "hold A", class = "ebcrl_error_rows")
})

test_that("predict() goes through the rows of a source by blocks", {
  skip_if_not_installed("Matrix")
  x <- sparse_x()
  sparse <- Matrix::Matrix(x, sparse = TRUE)
  expect_close(predict(in_memory, sparse, env = small$env),
               predict(in_memory, x, env = small$env), 1e-10)
  folder <- withr::local_tempdir()
  paths <- file.path(folder, c("a.rds", "b.rds"))
  saveRDS(x[1:90, ], paths[1])
  saveRDS(x[91:180, ], paths[2])
  files <- crl_files(paths)
  to <- file.path(folder, "latents")
  written <- predict(in_memory, files, env = small$env, to = to)
  expect_identical(basename(written), c("block-000001.rds", "block-000002.rds"))
  parts <- do.call(rbind, lapply(written, readRDS))
  expect_close(unname(parts), unname(predict(in_memory, x, env = small$env)), 1e-10)
  times <- file.mtime(written)
  Sys.sleep(0.05)
  predict(in_memory, files, env = small$env, to = to) # goes on: nothing is left to do
  expect_identical(file.mtime(written), times)
})

test_that("what will not fit in memory is refused before the rows are read again", {
  folder <- withr::local_tempdir()
  paths <- file.path(folder, c("a.rds", "b.rds"))
  saveRDS(small$x[1:90, ], paths[1])
  saveRDS(small$x[91:180, ], paths[2])
  reads <- 0
  files <- crl_files(paths, read = function(path) {
    reads <<- reads + 1
    readRDS(path)
  })
  expect_identical(reads, 2)
  refuse <- function(x, ...) {
    error <- expect_error(fit_crl(x, env = small$env, targets = small$targets, dag = small$dag, ...,
                                  control = crl_control(max_memory = 1e-5)),
                          class = "ebcrl_error_memory")
    cli::ansi_strip(paste(conditionMessage(error), collapse = " "))
  }
  said <- refuse(files)
  expect_identical(reads, 2)
  expect_match(said, "needs about [0-9.e-]+ GB beside `x`; 1e-05 GB may be taken")
  expect_match(said, "180 rows.*predict\\(fit, rows, to = \\).*max_memory")
  expect_match(refuse(files, method = "g"), "GB beside")
  local_block_size(50)
  expect_match(refuse(small$x, checkpoint = folder), "GB beside")
  expect_false(file.exists(file.path(folder, "scan.rds")))
})

test_that("a Seurat object goes in, and comes back with the latents", {
  skip_if_not_installed("SeuratObject")
  skip_if_not_installed("Matrix")
  x <- sparse_x()
  counts <- Matrix::Matrix(t(x), sparse = TRUE)
  cells <- suppressWarnings(SeuratObject::CreateSeuratObject(
    counts, meta.data = data.frame(condition = small$env, row.names = rownames(x))
  ))
  fit_cells <- function(...) {
    suppressMessages(fit_crl(cells, targets = small$targets, dag = small$dag, control = quick, ...))
  }
  fit <- fit_cells(layer = "counts", env = "condition")
  expect_same_fit(fit, fit_rows_of(x))
  expect_identical(unname(suppressMessages(predict(fit, cells[8:1, 1:3], env = "condition",
                                                   layer = "counts"))),
                   unname(predict(fit, x[1:3, ], env = small$env[1:3])))
  expect_error(predict(fit, cells, env = "condition", laier = "counts"), class = "ebcrl_error_type")
  augmented <- augment(fit, data = cells)
  expect_identical(unname(SeuratObject::Embeddings(augmented, "ebcrl")), unname(fit$latents))
  expect_identical(rownames(SeuratObject::Embeddings(augmented, "ebcrl")), rownames(x))
  expect_equal(unname(SeuratObject::Loadings(augmented, "ebcrl")), unname(fit$mixing))
  expect_identical(SeuratObject::Misc(augmented[["ebcrl"]], "latents_sd"), fit$latents_sd)
  expect_identical(augmented$condition, cells$condition)
  expect_error(fit_cells(layer = "counts", env = "batch"), class = "ebcrl_error_domain")
  expect_error(augment(fit, data = cells[, 1:20]), class = "ebcrl_error_shape")
})

# Two files, and a fit of their rows.
two_files <- function(env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  paths <- file.path(folder, c("a.rds", "b.rds"))
  saveRDS(small$x[1:90, ], paths[1])
  saveRDS(small$x[91:180, ], paths[2])
  paths
}

test_that("where the disk is full what is done stays, and is gone on from", {
  files <- crl_files(two_files())
  to <- withr::local_tempdir()
  stream <- function() predict(in_memory, files, env = small$env, to = to)
  blocked <- file.path(to, "block-000002.rds.part") # it cannot be written
  dir.create(blocked)
  error <- expect_error(stream(), class = "ebcrl_error_write")
  expect_match(cli::ansi_strip(paste(conditionMessage(error), collapse = " ")),
               "block-000002.rds.*disk full.*gone on")
  expect_identical(list.files(to, "rds$"), "block-000001.rds")
  time <- file.mtime(file.path(to, "block-000001.rds"))
  unlink(blocked, recursive = TRUE)
  written <- stream()
  expect_identical(file.mtime(written[1]), time)
  expect_close(unname(do.call(rbind, lapply(written, readRDS))), unname(in_memory$latents), 1e-6)
})

test_that("a file system that fills up is such a disk", {
  skip_on_cran()
  skip_on_os(c("windows", "mac", "solaris"))
  skip_if_not(identical(Sys.info()[["effective_user"]], "root"))
  to <- withr::local_tempdir()
  mounted <- suppressWarnings(system2("mount", c("-t", "tmpfs", "-o", "size=8k", "none", shQuote(to)),
                                      stdout = FALSE, stderr = FALSE))
  skip_if_not(mounted == 0, "a file system cannot be mounted")
  withr::defer(system2("umount", shQuote(to)))
  files <- crl_files(two_files())
  stream <- function() predict(in_memory, files, env = small$env, to = to)
  ballast <- file.path(to, "ballast")
  writeBin(raw(4096), ballast) # of two pages: room for one block, and not for another
  expect_error(stream(), class = "ebcrl_error_write")
  expect_identical(list.files(to, "rds$"), "block-000001.rds")
  expect_length(list.files(to, "part$"), 0L)
  unlink(ballast)
  written <- stream()
  expect_close(unname(do.call(rbind, lapply(written, readRDS))), unname(in_memory$latents), 1e-6)
})

test_that("a file that changes between two passes of a fit is named", {
  paths <- two_files()
  for (at in 2:5) { # the reading after which the second file is another
    saveRDS(small$x[91:180, ], paths[2])
    reads <- 0
    files <- crl_files(paths, read = function(path) {
      reads <<- reads + 1
      found <- readRDS(path)
      if (reads == at) saveRDS(small$x[90:180, ], paths[2])
      found
    })
    error <- expect_error(fit_rows_of(files), class = "ebcrl_error_source")
    expect_identical(error$path, paths[2])
  }
})

test_that("counts are told of, whatever they are called", {
  counts <- withr::with_seed(1, matrix(rpois(400, 5), 50))
  told <- function(x) expect_message(crl_rows(x), "looks like counts", class = "ebcrl_message_counts")
  told(counts)
  expect_silent(crl_rows(log(counts + 1)))
  expect_silent(crl_rows(pmin(counts, 7))) # answers on a scale
  expect_silent(crl_rows(counts - 3))
  skip_if_not_installed("Matrix")
  told(Matrix::Matrix(counts, sparse = TRUE))
  skip_if_not_installed("SingleCellExperiment")
  told(SingleCellExperiment::SingleCellExperiment(list(X = t(counts))))
  named <- SingleCellExperiment::SingleCellExperiment(list(counts = t(counts)))
  expect_message(expect_message(crl_rows(named), "read as \"counts\""), NA)
})

test_that("a view of some columns of sparse rows is these columns as a matrix", {
  skip_if_not_installed("Matrix")
  x <- sparse_x()
  by_column <- Matrix::Matrix(x, sparse = TRUE)
  for (source in list(by_column, methods::as(by_column, "RsparseMatrix"))) {
    view <- some_columns(some_columns(crl_rows(source)$read(1L), c(1L, 3:6)), c(2L, 4L))
    expect_equal(dense_block(view), unname(x[, c(3L, 5L)]), ignore_attr = TRUE)
  }
})
