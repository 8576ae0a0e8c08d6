# What it measures: what mixing = "auto" and intervention = "auto", the defaults, choose on data where
# the answer is known: perfect interventions and orthonormal columns of A, perfect ones and correlated
# columns (condition number 5, psd.R), imperfect ones (half of the parents' effect stays) and orthonormal
# columns; chains and random graphs, three mechanisms, learned setting, d = 4, p = 100, sigma2 = 2. The
# choice comes before the start, so that fits stop at the start for lines.
# How to run: Rscript bench/choices.R [--quick] [--seeds=40] [--first=3001] [--n=200,2000] [--cores=1]; half a second
# a fit.
# Results: choices.csv (a row a data set), choices-table.csv (how many are right).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

seeds <- argument("seeds", if (quick) 2 else 40)
grid <- expand.grid(
  n = argument("n", c(200, 2000)), graph = c("chain", "random"),
  nonlinearity = c("bounded", "linear", "strong"), case = c("plain", "correlated", "imperfect"),
  seed = argument("first", 3001) - 1 + seq_len(seeds), stringsAsFactors = FALSE
)

one_data_set <- function(k) {
  g <- grid[k, ]
  set.seed(g$seed)
  dag <- if (g$graph == "chain") chain_dag(4) else random_dag(4, 1.5, max_parents = 2)
  mixing <- if (g$case == "correlated") correlated_mixing(100, 4)
  sim <- sim_crl(dag, n = g$n, p = 100, sigma2 = 2, nonlinearity = g$nonlinearity, mixing = mixing,
                 intervention = if (g$case == "imperfect") "imperfect" else "perfect")
  lines <- crl_control(start = start_search(mechanisms = "linear"), max_iter = 0)
  fit <- suppressMessages(fit_crl(sim, control = lines))
  edges <- fit$intervention$edges
  if (edges == 0 && g$case == "imperfect") {
    return(NULL) # no difference from perfect ones
  }
  chosen <- if (isTRUE(fit$columns$correlated)) "correlated" else
    if (fit$intervention$perfect || edges == 0) "plain" else "imperfect"
  data.frame(g, edges = edges, chosen = chosen, right = chosen == g$case,
             gain = c(fit$columns$loglik, NA)[1], curves = c(fit$columns$curves, NA)[1],
             loss = fit$intervention$loss, allowed = fit$intervention$allowed)
}

found <- parallel::mclapply(seq_len(nrow(grid)), one_data_set, mc.preschedule = FALSE,
                            mc.cores = argument("cores", 1))
broken <- vapply(found, inherits, NA, "try-error")
if (any(broken)) print(found[broken])
rows <- do.call(rbind, found[!broken])
table <- aggregate(cbind(right, of = 1) ~ case + graph + nonlinearity + n, rows, sum)
name <- paste0("choices", if (quick) "-quick" else "")
write_result(rows, paste0(name, ".csv"))
write_result(table, paste0(name, "-table.csv"))
print(table, row.names = FALSE)
