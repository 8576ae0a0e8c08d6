# Seconds per EM iteration of ebcrl and of a good dense NumPy version of the same algorithm, in one
# run, with OpenBLAS for both: n = 8000 (four domains of 2000 rows), p = 100, d = 4, paper preset,
# for the chain and for the complete graph (10,000 features for the last node and state). Also the
# agreement of sigma2, of the mixing and of the latents, and the peak memory of each process. Two
# shortcuts that a careful NumPy user might take are timed beside it (see peers/em_numpy.py).
#
# Run:   Rscript bench/speed.R [--quick]      (ebcrl installed; python3 with numpy and scipy)
# Takes: about 6 minutes, 600 MB to 1 GB for NumPy. --quick leaves out the complete graph.
# Gives: bench/results/speed.csv and speed-agreement.csv, and printed tables. Aims: the chain 10
#        times and the complete graph 100 times faster than NumPy dense, the latter under 300 MB.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "common.R"))
suppressPackageStartupMessages(library(ebcrl))

agree_after <- c(chain = 40, complete = 3) # iterations after which the two are compared

time_ebcrl <- function(sim, dag, iterations, threads) {
  suppressPackageStartupMessages(library(ebcrl))
  fit <- function(k) {
    fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = dag,
            control = crl_control(preset = "paper", max_iter = k, tol = 0, threads = threads,
                                  progress = FALSE))
  }
  compared <- fit(iterations)
  peak_mb <- process_memory("VmHWM")
  list(seconds = seconds_per_iteration(fit, repeats = 3)[["iteration"]], peak_mb = peak_mb,
       mixing = compared$mixing, sigma2 = compared$sigma2, solver = unique(compared$cells$solver),
       blas = sessionInfo()$BLAS)
}

# Latents of one E-step at the PCA start, for a comparison that no iteration blurs.
first_latents <- function(sim, dag) {
  moments <- eigen(crossprod(sim$x) / nrow(sim$x), symmetric = TRUE)
  d <- ncol(sim$targets)
  axes <- moments$vectors[, seq_len(d)]
  largest <- axes[cbind(apply(abs(axes), 2, which.max), seq_len(d))]
  axes <- axes * rep(sign(largest), each = nrow(axes))
  fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = dag,
          init = list(mixing = axes, sigma2 = mean(moments$values[-seq_len(d)])),
          control = crl_control(preset = "paper", mixing = "fixed", sigma2 = "fixed", max_iter = 1,
                                progress = FALSE))$latents
}

# Largest difference relative to the largest entry, after turning columns to the same sign.
difference <- function(a, b) {
  a <- a * rep(sign(colSums(a * b)), each = nrow(a))
  max(abs(a - b)) / max(abs(b))
}

rounds <- function(graph) if (quick || graph == "complete") 1 else 5

# the peer's way to the normal equations, its BLAS threads and the iterations of a run
peer_runs <- list(
  chain = data.frame(gram = rep(c("dense", "pairs"), each = 2), blas_threads = 1:2,
                     iterations = 40),
  complete = data.frame(gram = rep(c("dense", "kernel"), each = 2), blas_threads = 1:2,
                        iterations = c(2, 3, 3, 3))
)

run_graph <- function(graph, sim) {
  dag <- if (graph == "chain") chain_dag(4) else complete_dag(4)
  dir <- tempfile("peer")
  on.exit(unlink(dir, recursive = TRUE))
  write_peer_data(sim$x, sim$env, sim$targets, unclass(dag), dir)
  rows <- list()
  keep <- function(program, blas_threads, threads, seconds, peak_mb) {
    rows[[length(rows) + 1]] <<- data.frame(graph, program, blas_threads, threads, seconds, peak_mb)
    cat(sprintf("%-8s %-12s %.4g s an iteration\n", graph, program, seconds))
  }
  ours <- peer <- NULL
  for (round in seq_len(rounds(graph))) { # interleaved: a busy spell of the machine hits both
    for (threads in 1:2) for (blas_threads in 1:2) {
      ours <- in_child(time_ebcrl, sim, dag, agree_after[[graph]], threads,
                       blas_threads = blas_threads)
      keep("ebcrl", blas_threads, threads, ours$seconds, ours$peak_mb)
    }
    for (i in seq_len(nrow(peer_runs[[graph]]))) {
      run <- peer_runs[[graph]][i, ]
      result <- run_peer(dir, ncol(sim$x), 4, run$iterations, run$gram, run$blas_threads)
      if (run$gram == "dense" && run$iterations == agree_after[[graph]]) peer <- result
      keep(paste("NumPy", run$gram), run$blas_threads, NA, stats::median(result$trace$seconds[-1]),
           result$peak_mb)
    }
  }
  first <- run_peer(dir, ncol(sim$x), 4, 1, "dense", 2)
  agreement <- data.frame(
    graph, iterations = agree_after[[graph]], solver = paste(ours$solver, collapse = " + "),
    sigma2 = abs(ours$sigma2 / utils::tail(peer$trace$sigma2, 1) - 1),
    mixing = difference(ours$mixing, peer$mixing),
    latents_at_start = difference(first_latents(sim, dag), first$latents)
  )
  cat("ebcrl: BLAS", ours$blas, "\nNumPy:", peer$numpy, peer$blas, "\n")
  list(times = do.call(rbind, rows), agreement = agreement)
}

set.seed(1)
sim <- sim_crl(dag = chain_dag(4), n = 2000, p = 100)
graphs <- if (quick) "chain" else c("chain", "complete")
cat(machine(), "\n")
runs <- lapply(graphs, run_graph, sim = sim)

times <- do.call(rbind, lapply(runs, `[[`, "times"))
table <- stats::aggregate(cbind(seconds, peak_mb) ~ graph + program + blas_threads + threads,
                          transform(times, threads = ifelse(is.na(threads), blas_threads, threads)),
                          stats::median)
best <- function(graph, program) {
  min(table$seconds[table$graph == graph & startsWith(table$program, program)])
}
table$times_ebcrl <- table$seconds / vapply(table$graph, best, 0, program = "ebcrl")
table <- table[order(table$graph, table$program, table$blas_threads, table$threads), ]

agreement <- do.call(rbind, lapply(runs, `[[`, "agreement"))

cat("\nSeconds per iteration (median of the rounds) and peak memory of the process; times_ebcrl:",
    "seconds\nrelative to the fastest ebcrl setting of that graph\n")
print(table, row.names = FALSE, digits = 3)
cat("\nRelative difference, ebcrl against NumPy dense (aim: at most 1e-6)\n")
print(agreement, row.names = FALSE, digits = 2)
cat("\n")
for (graph in graphs) {
  for (program in setdiff(unique(table$program[table$graph == graph]), "ebcrl")) {
    cat(sprintf("%s: %s / ebcrl, each at its fastest setting: %.1f\n", graph, program,
                best(graph, program) / best(graph, "ebcrl")))
  }
}
suffix <- if (quick) "-quick" else ""
write_result(table, paste0("speed", suffix, ".csv"))
write_result(agreement, paste0("speed-agreement", suffix, ".csv"))
