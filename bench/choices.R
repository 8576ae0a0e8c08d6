# What it measures: what mixing = "auto" and intervention = "auto" choose, on data where the answer
# is known: correlated columns of A (condition number 5, psd.R) against orthonormal ones, perfect
# against imperfect interventions (half of the parents' effect stays), chains and random graphs,
# three mechanisms, learned setting, d = 4, p = 100, sigma2 = 2. The choice comes before the start,
# so that fits stop at the start for lines.
# How to run: Rscript bench/choices.R [--quick] [--seeds=40] [--first=3001] [--n=200,2000] [--cores=1]; half a second
# a fit.
# Results: choices.csv (a row a data set and question), choices-table.csv (how many are right).

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
  lines <- start_search(mechanisms = "linear")
  fit <- function(...) suppressMessages(fit_crl(sim, control = crl_control(start = lines, ...)))
  # A general A is told under perfect interventions only.
  columns <- if (g$case != "imperfect") fit(intervention = "perfect")$columns
  perfect <- if (g$case != "correlated") fit(intervention = "auto")$intervention
  rbind(
    if (!is.null(columns)) {
      data.frame(g, asked = "mixing", chosen = if (columns$correlated) "correlated" else "orthonormal",
                 right = columns$correlated == (g$case == "correlated"), gain = columns$loglik)
    },
    if (!is.null(perfect) && perfect$edges > 0) {
      data.frame(g, asked = "intervention", chosen = if (perfect$perfect) "perfect" else "imperfect",
                 right = perfect$perfect == (g$case == "plain"), gain = perfect$loss / perfect$edges)
    }
  )
}

found <- parallel::mclapply(seq_len(nrow(grid)), one_data_set, mc.preschedule = FALSE,
                            mc.cores = argument("cores", 1))
broken <- vapply(found, inherits, NA, "try-error")
if (any(broken)) print(found[broken])
rows <- do.call(rbind, found[!broken])
table <- aggregate(cbind(right, of = 1) ~ asked + case + graph + nonlinearity + n, rows, sum)
name <- paste0("choices", if (quick) "-quick" else "")
write_result(rows, paste0(name, ".csv"))
write_result(table, paste0(name, "-table.csv"))
print(table, row.names = FALSE)
