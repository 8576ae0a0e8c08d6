# What it measures: crl_check() on data for which the model holds (share of data sets with any alarm,
# which should be at most 5 %) and on data that break one assumption each (share with an alarm of the
# check for it, and of any), with sizes: alarms are significant and of a size of at least 0.05.
# Chain d = 3 and an observational domain, 500 rows a domain, p = 50.
# How to run: Rscript bench/check.R [--sets=20]; it goes on from what is there.
# Results: check.csv (a row a data set), check-table.csv.

suppressMessages(library(ebcrl))
options(ebcrl.threads = 1L)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
given <- grep("^--sets=", commandArgs(), value = TRUE)
sets <- if (length(given) == 0L) 20L else as.integer(sub("^--sets=", "", given[1]))
file <- file.path(here, "results", "check.csv")

targets <- list(none = character(), a = "z1", b = "z2", c = "z3")
weights <- matrix(0, 3, 3)
weights[1, 2] <- 0.8
weights[2, 3] <- -0.8

draw <- function(..., dag = chain_dag(3), edge_weights = weights, nonlinearity = "linear",
                 domains = targets) {
  sim_crl(dag, n = 500, p = 50, targets = domains, nonlinearity = nonlinearity, kappa = 1,
          edge_weights = edge_weights, ...)
}
linear <- function(sim, dag = sim$dag, ...) {
  fit_crl(sim$x, sim$env, sim$targets, dag, method = "g",
          control = crl_control(prior = "linear", intervention = "perfect"), ...)
}
curved <- function(sim, method) {
  fit_crl(sim, method = method, control = crl_control(intervention = "perfect", seed = 1))
}
changed <- function(sim, x) {
  sim$x <- x
  sim
}
residual <- function(sim) sim$x - tcrossprod(sim$z, sim$mixing)

# Each: a function of nothing that draws data and fits; and the check that it is for.
cases <- list(
  "none: linear" = list("", function() linear(draw())),
  "none: measured" = list("", function() {
    linear(draw(center = rnorm(50), noise_sd = exp(rnorm(50, 0.3, 0.4))))
  }),
  "none: curves, g" = list("", function() curved(draw(nonlinearity = "bounded"), "g")),
  "none: curves, f" = list("", function() curved(draw(nonlinearity = "bounded"), "f")),
  "unequal noise" = list("noise", function() {
    linear(draw(noise_sd = exp(rnorm(50, 0.3, 0.15))), noise = "equal")
  }),
  "noise of t, 5 df" = list("tails", function() {
    sim <- draw()
    linear(changed(sim, sim$x - residual(sim) + sqrt(2 * 3 / 5) * matrix(rt(2000 * 50, 5), 2000)))
  }),
  "a nuisance factor" = list("factors", function() linear(draw(nuisance = 1, nuisance_sd = 1.5))),
  "means left out" = list("means", function() linear(draw(center = rnorm(50, 0, 0.3)), center = FALSE)),
  "a domain moves 5 features" = list("means", function() {
    # beside another domain of the same targets: in one alone, it is a loading of the target
    sim <- draw(domains = c(targets, list(a2 = "z1")))
    sim$x[sim$env == "a2", 1:5] <- sim$x[sim$env == "a2", 1:5] + 0.5
    linear(sim)
  }),
  "noise 1.15 times in a domain" = list("domains", function() {
    sim <- draw()
    linear(changed(sim, sim$x + residual(sim) * 0.15 * (sim$env == "c")))
  }),
  "features square in z1" = list("mixing", function() {
    sim <- draw()
    linear(changed(sim, sim$x + 0.02 * outer(sim$z[, 1]^2, rnorm(50))), center = TRUE)
  }),
  "rows in series" = list("rows", function() {
    sim <- draw()
    e <- residual(sim)
    for (i in 2:2000) e[i, ] <- 0.1 * e[i - 1, ] + sqrt(1 - 0.01) * e[i, ]
    linear(changed(sim, sim$x - residual(sim) + e))
  }),
  "a target not given" = list("targets", function() {
    # beside another domain of the same targets: in one alone, a turn of A makes up for most of it
    sim <- draw(domains = c(targets, list(a2 = "z1")))
    linear(changed(sim, sim$x + 1.5 * outer(as.numeric(sim$env == "a2"), sim$mixing[, 3])))
  }),
  "an edge not given" = list("graph", function() {
    more <- weights
    more[1, 3] <- 0.8
    linear(draw(dag = (more != 0) + 0L, edge_weights = more), dag = chain_dag(3))
  }),
  "curves under lines" = list("shape", function() {
    linear(draw(nonlinearity = function(z) 3 * tanh(z)))
  }),
  "skewed latents" = list("latent_noise", function() linear(draw(noise = "skewed")))
)

run <- function(name, seed) {
  set.seed(seed)
  fit <- suppressMessages(cases[[name]][[2]]())
  check <- crl_check(fit, held_out = FALSE)
  checks <- tidy(check)
  alarms <- checks$check[checks$alarm]
  significant <- !is.na(checks$p.adjusted) & checks$p.adjusted < 0.05
  own <- checks$check == cases[[name]][[1]]
  data.frame(case = name, seed, check = cases[[name]][[1]], found = cases[[name]][[1]] %in% alarms,
             significant = any(own & significant), any = length(alarms) > 0,
             any_significant = any(significant), size = if (any(own)) checks$size[own] else NA,
             alarms = paste(alarms, collapse = " "),
             largest = max(abs(checks$statistic), na.rm = TRUE))
}

plan <- expand.grid(seed = 8000 + seq_len(sets), case = names(cases), stringsAsFactors = FALSE)
null <- startsWith(plan$case, "none")
plan <- rbind(plan, transform(plan[null, ], seed = seed + 500), transform(plan[null, ], seed = seed + 900))
plan <- plan[order(plan$seed %% 100), ]
done <- if (file.exists(file)) with(read.csv(file), paste(seed, case)) else character()
for (k in which(!paste(plan$seed, plan$case) %in% done)) {
  write.table(run(plan$case[k], plan$seed[k]), file, sep = ",", row.names = FALSE,
              col.names = !file.exists(file), append = file.exists(file))
}
all <- read.csv(file)
table <- do.call(rbind, lapply(names(cases), function(name) {
  of <- all[all$case == name, ]
  data.frame(case = name, check = of$check[1], sets = nrow(of), found = round(mean(of$found), 3),
             significant = round(mean(of$significant), 3), any = round(mean(of$any), 3),
             any_significant = round(mean(of$any_significant), 3),
             size = round(stats::median(of$size), 3),
             others = paste(unique(unlist(strsplit(of$alarms, " "))), collapse = " "))
}))
write.csv(table, file.path(here, "results", "check-table.csv"), row.names = FALSE)
print(table)
