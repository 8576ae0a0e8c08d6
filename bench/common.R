# Shared by the scripts of this folder: child processes, peak memory, the NumPy peer, result files.

# Calls fun(...) in a new R process and returns its value. BLAS threads are fixed when a process
# starts and peak memory belongs to a process, so everything timed or weighed runs in one.
in_child <- function(fun, ..., blas_threads = 1) {
  environment(fun) <- globalenv()
  io <- tempfile(c("call", "value"), fileext = ".rds")
  on.exit(unlink(io))
  saveRDS(list(fun = fun, args = list(...), common = common_path), io[1], compress = FALSE)
  code <- paste0("job <- readRDS('", io[1], "'); source(job$common); ",
                 "saveRDS(do.call(job$fun, job$args), '", io[2], "', compress = FALSE)")
  status <- system2(file.path(R.home("bin"), "Rscript"), c("-e", shQuote(code)),
                    env = c(paste0("OPENBLAS_NUM_THREADS=", blas_threads),
                            paste0("R_LIBS=", paste(.libPaths(), collapse = ":"))))
  if (status != 0) stop("a child process failed with status ", status, call. = FALSE)
  readRDS(io[2])
}

# Memory of this process in MB: field "VmHWM" = peak, "VmRSS" = present (Linux only).
process_memory <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

# Sets the peak back to the present size; FALSE where the kernel does not allow it.
reset_peak_memory <- function() {
  tryCatch({
    writeLines("5", "/proc/self/clear_refs")
    TRUE
  }, error = function(e) FALSE, warning = function(w) FALSE)
}

wall_seconds <- function(expr) {
  start <- Sys.time()
  force(expr)
  as.numeric(difftime(Sys.time(), start, units = "secs"))
}

cpu_seconds <- function(expr) {
  start <- sum(proc.time()[c("user.self", "sys.self")])
  force(expr)
  sum(proc.time()[c("user.self", "sys.self")]) - start
}

# Seconds of one EM iteration: (time of k iterations - time of one) / (k - 1), k doubled until the
# difference takes `at_least` seconds, so that checks, start and packing of the result cancel;
# fit(k) runs k iterations. Returns their median over `repeats`, and the time "around" the loop.
# clock = wall_seconds, or cpu_seconds: the same for one thread on an idle machine, and blind to
# what else the machine does.
seconds_per_iteration <- function(fit, clock = wall_seconds, at_least = 0.3, repeats = 3) {
  one <- clock(fit(1))
  k <- 2
  while (k < 10000) {
    many <- clock(fit(k))
    if (many - one >= at_least) break
    k <- 2 * k
  }
  each <- vapply(seq_len(repeats), function(i) {
    one <<- min(one, clock(fit(1)))
    (clock(fit(k)) - one) / (k - 1)
  }, 0)
  c(iteration = stats::median(each), around = max(0, one - stats::median(each)))
}

# Raw column-major files for peers/em_numpy.py (its head says which).
write_peer_data <- function(x, env, targets, dag, dir) {
  dir.create(dir, showWarnings = FALSE, recursive = TRUE)
  put <- function(v, name) {
    con <- file(file.path(dir, name), "wb")
    on.exit(close(con))
    writeBin(v, con)
  }
  writeLines(paste(nrow(x), ncol(x), ncol(targets), nrow(targets)), file.path(dir, "shape.txt"))
  put(as.vector(x), "x.bin")
  put(as.integer(env), "env.bin")
  put(as.integer(targets), "targets.bin")
  put(as.integer(dag), "dag.bin")
}

# A Python that has numpy and scipy: the one that PYTHON names, or the first python3 on the path.
find_python <- function() {
  found <- Sys.getenv("PYTHON", "")
  if (!nzchar(found)) found <- file.path(strsplit(Sys.getenv("PATH"), ":")[[1]], "python3")
  for (python in found[nzchar(Sys.which(found))]) {
    status <- system2(python, c("-c", shQuote("import numpy, scipy")), stdout = FALSE,
                      stderr = FALSE)
    if (status == 0) return(python)
  }
  stop("no python3 with numpy and scipy found (Debian: python3-numpy, python3-scipy); the ",
       "environment variable PYTHON can name one", call. = FALSE)
}

# Runs the NumPy peer on `dir`.
run_peer <- function(dir, p, d, iterations, gram = "dense", blas_threads = 1) {
  script <- file.path(dirname(common_path), "peers", "em_numpy.py")
  status <- system2(find_python(), c(shQuote(script), shQuote(dir), "--iterations", iterations,
                                     "--gram", gram),
                    env = paste0("OPENBLAS_NUM_THREADS=", blas_threads))
  if (status != 0) stop("the NumPy peer failed with status ", status, call. = FALSE)
  get <- function(name) {
    path <- file.path(dir, name)
    readBin(path, "double", file.size(path) / 8)
  }
  info <- readLines(file.path(dir, "out_info.txt"))
  list(trace = utils::read.csv(file.path(dir, "out_trace.csv")),
       mixing = matrix(get("out_mixing.bin"), p, d),
       latents = matrix(get("out_latents.bin"), ncol = d),
       peak_mb = as.numeric(info[1]) / 1024, blas = info[2], numpy = info[3])
}

# A chain z_1 -> ... -> z_d, linear edges of 0.7, one-hot targets, mixed into p columns with noise
# of variance 2. X is filled one column at a time: beside X only vectors of length n are made.
linear_chain_data <- function(n, p, d) {
  env <- rep(seq_len(d), length.out = n)
  z <- matrix(0, n, d)
  for (j in seq_len(d)) {
    hit <- env == j
    z[, j] <- 2 * rnorm(n) + if (j > 1) 0.7 * z[, j - 1] else 0
    z[hit, j] <- rnorm(sum(hit), 10)
  }
  mixing <- qr.Q(qr(matrix(rnorm(p * d), p)))
  x <- matrix(0, n, p)
  for (k in seq_len(p)) x[, k] <- z %*% mixing[k, ] + sqrt(2) * rnorm(n)
  list(x = x, env = env, targets = diag(1L, d), mixing = mixing)
}

# Squared Frobenius error of the best orthonormal A inside the principal subspace.
subspace_floor <- function(sim) {
  pca <- eigen(crossprod(sim$x), symmetric = TRUE)$vectors[, seq_len(ncol(sim$z))]
  overlap <- svd(crossprod(pca, sim$mixing))
  sum((pca %*% overlap$u %*% t(overlap$v) - sim$mixing)^2)
}

# Share of the latents inside their intervals.
coverage <- function(fit, sim, level = 0.9) {
  matched <- ebcrl::align_latents(fit$mixing, sim$mixing)
  z <- fit$latents[, matched$permutation] * rep(matched$signs, each = nrow(sim$z))
  mean(abs(z - sim$z) <= stats::qnorm(0.5 + level / 2) * fit$latents_sd[, matched$permutation])
}

result_path <- function(name) {
  dir <- file.path(dirname(common_path), "results")
  dir.create(dir, showWarnings = FALSE)
  file.path(dir, name)
}

write_result <- function(table, name) {
  utils::write.csv(table, result_path(name), row.names = FALSE)
  cat("written: bench/results/", name, "\n", sep = "")
}

machine <- function() {
  cpu <- tryCatch(sub(".*: ", "", grep("model name", readLines("/proc/cpuinfo"), value = TRUE)[1]),
                  error = function(e) Sys.info()[["machine"]])
  paste0(cpu, ", ", parallel::detectCores(), " cores, R ", getRversion(), ", BLAS ",
         basename(normalizePath(utils::sessionInfo()$BLAS)), " (",
         basename(dirname(normalizePath(utils::sessionInfo()$BLAS))), ")")
}

# "--quick" on the command line: smaller sizes, for trying a script out.
quick <- "--quick" %in% commandArgs(TRUE)

# The number after "--name=" on the command line.
argument <- function(name, default) {
  given <- grep(paste0("^--", name, "="), commandArgs(TRUE), value = TRUE)
  if (length(given) == 0) return(default)
  as.numeric(strsplit(sub(".*=", "", given[1]), ",", fixed = TRUE)[[1]])
}

common_path <- if (exists("here")) normalizePath(file.path(here, "common.R")) else job$common

# p x d, columns of length 1: U C^(1/2), U uniform with orthonormal columns, C a correlation matrix
# that leans from the identity towards a singular one until A has the condition number.
correlated_mixing <- function(p, d, condition = 5) {
  orthonormal <- qr.Q(qr(matrix(rnorm(p * d), p)))
  singular <- stats::cov2cor(tcrossprod(matrix(rnorm(d * (d - 1)), d)))
  correlation <- function(lean) (1 - lean) * diag(d) + lean * singular
  lean <- stats::uniroot(function(lean) kappa(correlation(lean), exact = TRUE) - condition^2,
                         c(0, 1 - 1e-6), tol = 1e-10)$root
  spectrum <- eigen(correlation(lean), symmetric = TRUE)
  orthonormal %*% spectrum$vectors %*% (sqrt(spectrum$values) * t(spectrum$vectors))
}
