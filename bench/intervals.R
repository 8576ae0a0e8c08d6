# What it measures: coverage of 90 % intervals: slopes, loadings, mechanisms (pointwise), effects of
# do(z1 = 1) against do(z1 = -1) on the latents, and latents, by crl_boot(), by the posterior alone
# and, for linear mechanisms, in closed form. Chain d = 4, an observational domain, p = 100, perfect
# interventions.
# How to run: Rscript bench/intervals.R [--sets=40] [--times=60]; it goes on from what is there.
# Results: intervals.csv (a row a data set and quantity).

suppressMessages(library(ebcrl))
options(ebcrl.threads = 1L)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))

option <- function(name, default) {
  given <- grep(paste0("^--", name, "="), commandArgs(), value = TRUE)
  if (length(given) == 0L) default else as.integer(sub("^[^=]*=", "", given[1]))
}
sets <- option("sets", 40L)
times <- option("times", 60L)
file <- file.path(here, "results", "intervals.csv")
level <- 0.9

# Signs of latents are those of the truth, in which interventions raise their targets, as in fits.
truth_of <- function(sim, curve) {
  w <- sim$scm$edge_weights
  g <- if (curve == "linear") function(z) z else function(z) tanh(3 * z) + tanh(3 * z)^3
  draw <- function(set, n = 2e5) {
    z <- matrix(0, n, 4)
    for (j in 1:4) {
      z[, j] <- if (j %in% names(set)) set[[as.character(j)]] else
        drop(g(z) %*% w[, j]) + 2 * rnorm(n)
    }
    z
  }
  before <- withr::with_seed(1, draw(list("1" = -1)))
  after <- withr::with_seed(1, draw(list("1" = 1)))
  list(slope = w[cbind(1:3, 2:4)], do = colMeans(after - before)[2:4], g = g, w = w)
}

inside <- function(truth, low, high) mean(truth >= low & truth <= high)

one <- function(seed, n, curve, method) {
  set.seed(seed)
  sim <- sim_crl(chain_dag(4), n = n, p = 100,
                 targets = list(none = character(), a = "z1", b = "z2", c = "z3", d = "z4"),
                 nonlinearity = curve, kappa = if (curve == "linear") 1 else 3)
  truth <- truth_of(sim, curve)
  control <- crl_control(intervention = "perfect", seed = seed,
                         prior = if (method == "linear") "linear" else "spline")
  fit <- suppressMessages(fit_crl(sim, method = if (method == "f") "f" else "g", control = control))
  before <- proc.time()[[3]]
  boot <- crl_boot(fit, times = times, seed = seed)
  seconds <- (proc.time()[[3]] - before) / times
  rows <- list()
  add <- function(what, truth, table, by = "bootstrap") {
    rows[[length(rows) + 1L]] <<- data.frame(
      seed, n, curve, method, what, by, coverage = inside(truth, table$conf.low, table$conf.high),
      many = length(truth), width = mean(table$conf.high - table$conf.low),
      error = sqrt(mean((table$estimate - truth)^2)), se = mean(table$std.error),
      swapped = sum(boot$swapped), seconds
    )
  }
  if (curve == "linear") add("slopes", truth$slope, tidy(boot, conf.level = level))
  add("loadings", as.vector(sim$mixing), tidy(boot, "mixing", level))
  curves <- tidy(boot, "mechanisms", level)
  of <- match(curves$parent, paste0("z", 1:4))
  at <- truth$g(curves$z) * truth$w[cbind(of, of + 1L)]
  add("curves", at, curves)
  change <- suppressWarnings(withr::with_seed(1, effects(
    fit, do = list(z1 = 1), versus = list(z1 = -1), boot = boot, level = level
  )))
  add("do", truth$do, change[2:4, ])
  if (method == "linear") {
    closed <- tidy(fit, "mechanisms", conf.int = TRUE, conf.level = level)
    closed <- closed[closed$term != "(Intercept)" & closed$state == 0, ]
    add("slopes", truth$slope, closed, "closed form")
  }
  joint <- augment(fit, interval = "credible", boot = boot)
  alone <- augment(fit, interval = "credible")
  for (kind in c("posterior and A", "posterior")) {
    table <- if (kind == "posterior") alone else joint
    low <- as.matrix(table[paste0(".lower_z", 1:4)])
    high <- as.matrix(table[paste0(".upper_z", 1:4)])
    rows[[length(rows) + 1L]] <- data.frame(
      seed, n, curve, method, what = "latents", by = kind, coverage = inside(sim$z, low, high),
      many = length(sim$z), width = mean(high - low),
      error = sqrt(mean((fit$latents - sim$z)^2)), se = NA, swapped = sum(boot$swapped), seconds
    )
  }
  do.call(rbind, rows)
}

cases <- rbind(
  expand.grid(seed = 7000 + seq_len(sets), n = c(500, 2000), curve = "linear", method = "linear"),
  expand.grid(seed = 7000 + seq_len(sets), n = c(500, 2000), curve = "bounded", method = c("g", "f"))
)
cases <- cases[order(cases$seed), ]
done <- if (file.exists(file)) unique(read.csv(file)[1:4]) else NULL
key <- function(table) do.call(paste, unname(as.list(table[c("seed", "n", "curve", "method")])))
for (k in which(!key(cases) %in% (if (is.null(done)) character() else key(done)))) {
  result <- one(cases$seed[k], cases$n[k], as.character(cases$curve[k]), as.character(cases$method[k]))
  write.table(result, file, sep = ",", row.names = FALSE, col.names = !file.exists(file),
              append = file.exists(file))
}
