# What it measures: fits of data as people have them: feature means, noise variances that differ by
# feature, nuisance factors. Squared error of the latents, free of their location, over that of the
# Bayes optimum of the same rows (A, noise and means known; nuisance factors are normal noise), with
# the default fit, f and g; coverage of 90 % intervals; what "auto" chose; median relative error of
# the noise variances. Chain d = 4, p = 100, mean noise variance near 2.
# How to run: Rscript bench/measurement.R [--quick] [--seeds=10] [--n=500,2000]
#   [--mechanisms=bounded,linear,strong] [--data=<kind>,...] [--cores=1] [--resume]: other cells keep
#   their rows; --resume leaves out those that are there. Forty seconds a seed at n = 500.
# Results: measurement.csv (a row a fit), measurement-table.csv (medians and worst).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

option <- function(name, default) {
  given <- grep(paste0("^--", name, "="), commandArgs(), value = TRUE)
  if (length(given) == 0L) default else strsplit(sub("^[^=]*=", "", given[1]), ",")[[1]]
}
seeds <- seq_len(as.integer(option("seeds", if (quick) 2 else 10)))
rows <- as.integer(option("n", c(500, 2000)))
mechanisms <- option("mechanisms", c("bounded", "linear"))
resume <- "--resume" %in% commandArgs()

# Means' sd, sd of log noise variances, features with 100 times the noise, nuisance factors.
kinds <- data.frame(
  data = c("as in the paper", "means N(0, 0.3^2)", "means N(0, 3^2)", "log psi sd 0.5",
           "log psi sd 1", "log psi sd 1.5", "one noisy feature", "means, log psi sd 1, nuisance",
           "20 % missing", "20 % missing, means, log psi sd 1"),
  means = c(0, 0.3, 3, 0, 0, 0, 0, 3, 0, 3), log_sd = c(0, 0, 0, 0.5, 1, 1.5, 0, 1, 0, 1),
  noisy = c(0, 0, 0, 0, 0, 0, 1, 0, 0, 0), nuisance = c(0, 0, 0, 0, 0, 0, 0, 2, 0, 0),
  missing = c(0, 0, 0, 0, 0, 0, 0, 0, 0.2, 0.2)
)
kinds <- kinds[kinds$data %in% option("data", kinds$data), ]

drawn <- function(kind, n, nonlinearity, seed) {
  set.seed(400 + seed)
  p <- 100
  psi <- 2 * exp(rnorm(p, sd = kind$log_sd))
  psi[seq_len(kind$noisy)] <- 200
  equal <- kind$log_sd == 0 && kind$noisy == 0
  sim_crl(chain_dag(4), n = n, p = p, nonlinearity = nonlinearity,
          center = if (kind$means > 0) rnorm(p, sd = kind$means),
          noise_sd = if (!equal) sqrt(psi), nuisance = kind$nuisance, missing = kind$missing)
}

`%||%` <- function(a, b) if (is.null(a)) b else a

# Free of location, after the signed permutation that matches A best.
free_error <- function(latents, sim) {
  off <- latents - sim$z
  sum(scale(off, scale = FALSE)^2)
}

aligned <- function(fit, sim) {
  by <- align_latents(fit$mixing, sim$mixing)
  signs <- rep(by$signs, each = nrow(sim$z))
  list(latents = fit$latents[, by$permutation] * signs, sd = fit$latents_sd[, by$permutation])
}

covered <- function(own, sim) {
  off <- scale(own$latents - sim$z, scale = FALSE)
  mean(abs(off) <= qnorm(0.95) * own$sd)
}

one_fit <- function(kind, n, nonlinearity, seed) {
  sim <- drawn(kind, n, nonlinearity, seed)
  best <- free_error(bayes_latents(sim, draws = 4000)$latents, sim)
  settings <- list(f = list(method = "f"), g = list(method = "g", control = crl_control(seed = 1)))
  do.call(rbind, lapply(names(settings), function(method) {
    seconds <- system.time(fit <- suppressMessages(do.call(fit_crl, c(
      list(sim, nuisance = if (kind$nuisance > 0) "auto" else 0), settings[[method]]
    ))))[["user.self"]]
    own <- aligned(fit, sim)
    psi <- if (!is.null(fit$noise_var)) median(abs(fit$noise_var / (sim$noise_var %||% 2) - 1))
    data.frame(
      data = kind$data, n = n, nonlinearity = nonlinearity, seed = seed, method = method,
      ratio = free_error(own$latents, sim) / best, coverage = covered(own, sim),
      centered = !is.null(fit$center), noise = fit$measurement$noise %||% "equal",
      nuisance = fit$measurement$nuisance %||% 0L, psi = psi %||% NA, seconds = seconds
    )
  }))
}

grid <- expand.grid(kind = seq_len(nrow(kinds)), nonlinearity = mechanisms, n = rows, seed = seeds,
                    stringsAsFactors = FALSE)
cell_of <- function(at) paste(at$data, at$n, at$nonlinearity, at$seed)
grid$data <- kinds$data[grid$kind]
kept <- file.path(here, "results", "measurement.csv") # other cells; those begun by a run that was cut
found <- if (file.exists(kept)) read.csv(kept)
if (resume) {
  grid <- grid[!cell_of(grid) %in% cell_of(found), ]
} else if (!is.null(found)) {
  found <- found[!cell_of(found) %in% cell_of(grid), ]
}
for (block in split(seq_len(nrow(grid)), (seq_len(nrow(grid)) - 1) %/% 20)) {
  found <- rbind(found, do.call(rbind, parallel::mclapply(block, function(k) {
    at <- grid[k, ]
    one_fit(kinds[at$kind, ], at$n, at$nonlinearity, at$seed)
  }, mc.cores = as.integer(option("cores", 1)), mc.preschedule = FALSE)))
  write_result(found, "measurement.csv")
}

table <- aggregate(cbind(ratio, coverage, psi, seconds) ~ data + nonlinearity + n + method, found,
                   median, na.action = na.pass)
worst <- aggregate(cbind(worst = ratio) ~ data + nonlinearity + n + method, found, max)
share <- aggregate(cbind(centered, by_feature = noise == "by_feature",
                         nuisance_right = nuisance == 2 * grepl("nuisance", data)) ~
                     data + nonlinearity + n + method, found, mean)
table <- merge(merge(table, worst), share)
table <- table[order(table$n, table$nonlinearity, table$method, match(table$data, unique(found$data))), ]
write_result(format(table, digits = 3), "measurement-table.csv")
print(format(table, digits = 3), row.names = FALSE)
