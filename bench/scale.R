# How fits grow with the rows: processor time of the default fit against PCA of the same x (crossprod
# and eigen), of x in memory, in files and sparse, with the squared error of A.
#
#   Rscript bench/scale.R [rows,rows,...] [features]

suppressPackageStartupMessages(library(ebcrl))
arguments <- commandArgs(TRUE)
sizes <- if (length(arguments) > 0L) as.numeric(strsplit(arguments[1L], ",")[[1L]]) else
  c(8e3, 8e4, 1e6)
p <- if (length(arguments) > 1L) as.numeric(arguments[2L]) else 100

seconds <- function(code) sum(system.time(code)[1:2])
quietly <- function(...) suppressMessages(fit_crl(..., control = crl_control(threads = 1)))

one_size <- function(n) {
  set.seed(1)
  sim <- sim_crl(chain_dag(4), n = n / 4, p = p)
  pca <- seconds(eigen(crossprod(sim$x) / n, symmetric = TRUE))
  folder <- tempfile()
  dir.create(folder)
  paths <- file.path(folder, paste0(1:4, ".rds"))
  parts <- split(seq_len(n), rep(1:4, each = n / 4))
  for (k in 1:4) saveRDS(sim$x[parts[[k]], ], paths[k], compress = FALSE)
  sources <- list(memory = function() sim$x, files = function() crl_files(paths))
  if (requireNamespace("Matrix", quietly = TRUE)) {
    sources$sparse <- function() Matrix::Matrix(sim$x, sparse = TRUE)
  }
  rows <- lapply(names(sources), function(name) {
    fit <- NULL
    time <- seconds(fit <- quietly(sources[[name]](), env = sim$env, targets = sim$targets,
                                   dag = sim$dag))
    data.frame(n = n, p = p, source = name, seconds = time, of_pca = time / pca,
               frobenius = unlist(frobenius_error(fit, sim))[[1L]])
  })
  unlink(folder, recursive = TRUE)
  do.call(rbind, rows)
}

for (n in sizes) print(one_size(n), digits = 3, row.names = FALSE)
