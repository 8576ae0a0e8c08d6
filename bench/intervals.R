# What it measures: coverage of 90 % intervals by crl_boot(): slopes (linear), edges' average
# derivatives, loadings, mechanisms (pointwise), effects of do(z1 = h) against do(z1 = -h), h = 1, 2
# and 4, on the latents, and latents; beside it those by the posterior alone and, for linear
# mechanisms, in closed form; and the relative error of the effect of do() on the means of x.
# Chain d = 4, an observational domain, p = 100, perfect interventions.
# How to run: Rscript bench/intervals.R [--sets=40] [--times=50] [--first=1] [--n=500]
#   [--curve=linear] [--method=g]; it goes on from what is there. --table prints what there is.
# Results: intervals.csv (a row a data set and quantity), intervals-table.csv.

suppressMessages(library(ebcrl))
options(ebcrl.threads = 1L)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))

option <- function(name, default) {
  given <- grep(paste0("^--", name, "="), commandArgs(), value = TRUE)
  if (length(given) == 0L) default else sub("^[^=]*=", "", given[1])
}
sets <- as.integer(option("sets", 40))
times <- as.integer(option("times", 50))
first <- as.integer(option("first", 1))
file <- file.path(here, "results", "intervals.csv")
level <- 0.9
widths <- c(1, 2, 4) # of do(z1 = h) against do(z1 = -h)

# What is true, by draws from the simulated model; noise is the same before and after.
truth_of <- function(sim, curve) {
  w <- sim$scm$edge_weights
  g <- if (curve == "linear") function(z) z else function(z) tanh(3 * z) + tanh(3 * z)^3
  slope <- if (curve == "linear") function(z) rep(1, length(z)) else
    function(z) 3 * (1 - tanh(3 * z)^2) * (1 + 3 * tanh(3 * z)^2)
  u <- withr::with_seed(1, matrix(2 * rnorm(8e5), ncol = 4))
  draw <- function(z1, hit = 1) {
    z <- u
    for (j in 1:4) {
      z[, j] <- if (j == hit) z1 else u[, j] + if (j > 1) g(z[, j - 1]) * w[j - 1, j] else 0
    }
    z
  }
  change <- function(h) colMeans(draw(h) - draw(-h))
  # parents in domains in which the child is not hit
  around <- c(list(draw(u[, 1])), lapply(1:4, function(hit) draw(10 + u[, hit] / 2, hit)))
  edges <- vapply(1:3, function(j) {
    w[j, j + 1] * mean(vapply(around[-(j + 2)], function(z) mean(slope(z[, j])), 0))
  }, 0)
  list(slope = w[cbind(1:3, 2:4)], edges = edges, do = sapply(widths, change), g = g, w = w)
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
  put <- function(what, by, truth, estimate, low, high, se) {
    rows[[length(rows) + 1L]] <<- data.frame(
      seed, n, curve, method, what, by, coverage = inside(truth, low, high), many = length(truth),
      width = mean(high - low), error = sqrt(mean((estimate - truth)^2)),
      size = sqrt(mean(truth^2)), se, swapped = sum(boot$swapped), seconds
    )
  }
  add <- function(what, truth, table, by = "bootstrap") {
    put(what, by, truth, table$estimate, table$conf.low, table$conf.high, mean(table$std.error))
  }
  if (curve == "linear") add("slopes", truth$slope, tidy(boot, conf.level = level))
  edges <- tidy(boot, conf.level = level)
  add("edges", truth$edges[match(edges$from, paste0("z", 1:4))], edges)
  add("loadings", as.vector(sim$mixing), tidy(boot, "mixing", level))
  curves <- tidy(boot, "mechanisms", level)
  of <- match(curves$parent, paste0("z", 1:4))
  at <- truth$g(curves$z) * truth$w[cbind(of, of + 1L)]
  add("curves", at, curves)
  for (k in seq_along(widths)) {
    change <- suppressWarnings(withr::with_seed(1, effects(
      fit, do = list(z1 = widths[k]), versus = list(z1 = -widths[k]), boot = boot, level = level,
      on = c("latents", "features")
    )))
    change <- change[change$quantity == "mean", ]
    add(paste("do", widths[k]), truth$do[2:4, k], change[2:4, ])
    add(paste("do x", widths[k]), drop(sim$mixing %*% truth$do[, k]),
        change[change$on == "feature", ])
  }
  if (method == "linear") {
    closed <- tidy(fit, "mechanisms", conf.int = TRUE, conf.level = level)
    closed <- closed[closed$term != "(Intercept)" & closed$state == 0, ]
    add("slopes", truth$slope, closed, "closed form")
  }
  joint <- augment(fit, interval = "credible", boot = boot)
  alone <- augment(fit, interval = "credible")
  for (kind in c("posterior and A", "posterior")) {
    table <- if (kind == "posterior") alone else joint
    ends <- function(end) as.matrix(table[paste0(".", end, "_z", 1:4)])
    put("latents", kind, sim$z, fit$latents, ends("lower"), ends("upper"), NA)
  }
  do.call(rbind, rows)
}

# Coverage over data sets, with the spread of that of single ones
table_of <- function(results) {
  key <- results[c("n", "curve", "method", "what", "by")]
  do.call(rbind, lapply(split(results, key, drop = TRUE), function(of) {
    data.frame(of[1, names(key)], sets = nrow(of), coverage = round(mean(of$coverage), 3),
               se = round(sd(of$coverage) / sqrt(nrow(of)), 3),
               relative_error = signif(sqrt(mean(of$error^2) / mean(of$size^2)), 3),
               error = signif(sqrt(mean(of$error^2)), 3), width = signif(mean(of$width), 3))
  }))
}

if ("--table" %in% commandArgs()) {
  table <- table_of(read.csv(file))
  table <- table[order(table$curve, table$n, table$method, table$what), ]
  write.csv(table, file.path(here, "results", "intervals-table.csv"), row.names = FALSE)
  print(table, row.names = FALSE)
  quit(save = "no")
}

seeds <- 7000 + seq(first, length.out = sets)
cases <- rbind(
  expand.grid(seed = seeds, n = c(500, 2000), curve = "linear", method = "linear"),
  expand.grid(seed = seeds, n = c(500, 2000), curve = "bounded", method = c("g", "f"))
)
for (name in c("n", "curve", "method")) {
  asked <- option(name, NULL)
  if (!is.null(asked)) cases <- cases[as.character(cases[[name]]) == asked, ]
}
cases <- cases[order(cases$seed), ]
done <- if (file.exists(file)) unique(read.csv(file)[1:4]) else NULL
key <- function(table) do.call(paste, unname(as.list(table[c("seed", "n", "curve", "method")])))
for (k in which(!key(cases) %in% (if (is.null(done)) character() else key(done)))) {
  result <- one(cases$seed[k], cases$n[k], as.character(cases$curve[k]), as.character(cases$method[k]))
  write.table(result, file, sep = ",", row.names = FALSE, col.names = !file.exists(file),
              append = file.exists(file))
}
