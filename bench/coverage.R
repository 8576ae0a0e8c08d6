# What it measures: the share of true latents inside their 90 % posterior intervals, over rows and
# latents, with A and sigma2 known (oracle) and with A found by init = "interventional" and held
# (learned), beside the intervals of the Bayes optimum (normal, from its exact two moments); chain
# of d = 4, p = 100, sigma2 = 2, 200 and 2000 rows a domain, three mechanisms.
# How to run: Rscript bench/coverage.R [--seeds=20] [--cores=2] [--quick]; about 20 s a seed.
# Results: coverage.csv (a row a data set and setting): coverage in all, lowest and highest over
# latents and over target states, share of floored variances, length relative to the Bayes optimum.
#
# Aim: 86 to 94 % in both settings.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "common.R"))
suppressPackageStartupMessages(library(ebcrl))

seeds <- seq_len(argument("seeds", if (quick) 2 else 20))
cores <- argument("cores", 1)
level <- 0.9

# Intervals of a fit (or of the optimum) in the order and with the signs of the truth.
aligned <- function(fit, sim) {
  matched <- align_latents(if (is.null(fit$mixing)) sim$mixing else fit$mixing, sim$mixing)
  list(mean = fit$latents[, matched$permutation] * rep(matched$signs, each = nrow(sim$z)),
       sd = fit$latents_sd[, matched$permutation])
}

coverage <- function(fit, sim, bayes) {
  intervals <- aligned(fit, sim)
  inside <- abs(intervals$mean - sim$z) <= stats::qnorm(0.5 + level / 2) * intervals$sd
  state <- sim$targets[as.character(sim$env), ]
  data.frame(coverage = mean(inside), lowest_latent = min(colMeans(inside)),
             highest_latent = max(colMeans(inside)), targeted = mean(inside[state == 1]),
             not_targeted = mean(inside[state == 0]), floored = mean(intervals$sd == 0),
             length = mean(intervals$sd) / mean(bayes$latents_sd))
}

one_data_set <- function(nonlinearity, n, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = n, p = 100, nonlinearity = nonlinearity)
  # the strong mechanism is hard on importance sampling: more draws
  bayes <- bayes_latents(sim, draws = if (nonlinearity == "strong") 8000 else 2000)
  held <- crl_control(mixing = "fixed")
  fits <- list(
    oracle = fit_crl(sim, init = list(mixing = sim$mixing, sigma2 = sim$sigma2), control = held),
    learned = fit_crl(sim, init = "interventional", control = held),
    bayes = bayes
  )
  rows <- lapply(fits, coverage, sim = sim, bayes = bayes)
  cbind(nonlinearity = nonlinearity, n = n, seed = seed, setting = names(fits),
        do.call(rbind, c(rows, make.row.names = FALSE)))
}

grid <- expand.grid(seed = seeds, n = c(200, 2000), nonlinearity = c("bounded", "linear", "strong"),
                    stringsAsFactors = FALSE)
runs <- parallel::mcmapply(one_data_set, grid$nonlinearity, grid$n, grid$seed, SIMPLIFY = FALSE,
                           mc.cores = cores, mc.preschedule = FALSE)
result <- do.call(rbind, runs)

cat(machine(), "\n\nCoverage of 90 % intervals: mean over", length(seeds), "data sets, lowest and",
    "highest of them;\nmeans of the other columns (length: relative to the Bayes optimum's)\n")
parts <- split(result, result[c("setting", "n", "nonlinearity")])
table <- do.call(rbind, lapply(parts, function(part) {
  means <- colMeans(part[c("lowest_latent", "targeted", "not_targeted", "floored", "length")])
  data.frame(part[1, c("nonlinearity", "n", "setting")], coverage = mean(part$coverage),
             lowest = min(part$coverage), highest = max(part$coverage), t(means))
}))
options(width = 120)
print(table, digits = 3, row.names = FALSE)
write_result(result, paste0("coverage", if (quick) "-quick" else "", ".csv"))
