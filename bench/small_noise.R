# What it measures: whether the default start finds the right optimum as the noise vanishes: squared
# Frobenius error of A, chain d = 3 and 4, 200 rows a domain, p = 20, noise sd 1.4 to 0, seeds 1-5;
# beside it, the start without draws, and with linear mechanisms. Wrong: an error above 0.5.
# How to run: Rscript bench/small_noise.R [--library=DIR of another version]; about 2 minutes.
# Results: small-noise.csv (a row a data set).

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))
given <- sub("^--library=", "", grep("^--library=", commandArgs(TRUE), value = TRUE))
library(ebcrl, lib.loc = if (length(given) > 0) given)

one <- function(sd, d, seed) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(d), n = 200, p = 20, sigma2 = sd^2)
  error <- function(mechanisms) {
    frobenius_error(fit_crl(sim,
                            control = crl_control(start = start_search(mechanisms = mechanisms),
                                                  threads = 1)), sim)
  }
  data.frame(sd = sd, d = d, seed = seed, sampled = error("sampled"), spline = error("spline"),
             linear = error("linear"))
}

grid <- expand.grid(seed = 1:5, d = 3:4, sd = c(1.4, 0.3, 0.05, 0.014, 0.003, 0))
result <- do.call(rbind, Map(one, grid$sd, grid$d, grid$seed))
wrong <- stats::aggregate(cbind(sampled, spline, linear) > 0.5 ~ sd, result, sum)
print(wrong)
cat("wrong of", nrow(result), ":", colSums(result[c("sampled", "spline", "linear")] > 0.5), "\n")
write_result(result, if (length(given) > 0) "small-noise-before.csv" else "small-noise.csv")
