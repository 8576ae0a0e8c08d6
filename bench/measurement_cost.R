# What it measures: what noise by feature costs: processor seconds of the default fit and peak
# memory beyond x, with noise = "equal" and "by_feature" on the same data (log psi sd 1), n = 8000,
# chain d = 4, p = 100 and 5000; three runs of each in turn, the least of each.
# How to run: Rscript bench/measurement_cost.R [--quick]; five minutes, 2 GB.
# Results: measurement-cost.csv.

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

one_fit <- function(p, noise) {
  library(ebcrl)
  set.seed(1)
  sim <- sim_crl(chain_dag(4), n = 2000, p = p, nonlinearity = "bounded",
                 noise_sd = sqrt(2 * exp(rnorm(p))))
  x <- sim$x
  env <- sim$env
  dag <- sim$dag
  targets <- sim$targets
  rm(sim)
  gc()
  reset_peak_memory()
  before <- process_memory("VmRSS")
  seconds <- cpu_seconds(suppressMessages(
    fit_crl(x, env = env, dag = dag, targets = targets, noise = noise, center = FALSE)
  ))
  data.frame(p = p, noise = noise, seconds = seconds,
             memory = process_memory("VmHWM") - before, x = 8 * length(x) / 2^20)
}

runs <- expand.grid(noise = c("equal", "by_feature"), run = seq_len(if (quick) 1 else 3),
                    p = if (quick) 100 else c(100, 5000), stringsAsFactors = FALSE)
found <- do.call(rbind, Map(function(p, noise) in_child(one_fit, p, noise), runs$p, runs$noise))
table <- aggregate(cbind(seconds, memory, x) ~ noise + p, found, min)
table$ratio <- table$seconds / ave(table$seconds * (table$noise == "equal"), table$p, FUN = max)
write_result(table, paste0("measurement-cost", if (quick) "-quick" else "", ".csv"))
cat(machine(), "\n")
print(table, digits = 3, row.names = FALSE)
