# What it measures: real latents. The 11 molecules of Sachs et al. (2005), 7466 cells in 9
# experiments, mixed by a random A with orthonormal columns into 100 features with noise of variance
# 0.5 (the latents have variance 1): f and g with the consensus graph of 17 arcs (and of 20), the
# graphs of the baselines, principal components and ICA, with A and sigma2 known and learned; then
# the graph with an arc missing, an arc too many or an arc turned, and with a target misplaced or
# missing.
# How to run: Rscript bench/sachs.R [--mixings=10] [--quick]; about 17 minutes (quick: one mixing).
# Results: sachs.csv (a row a mixing, setting and method), sachs-latents.csv (a row a latent too),
# sachs-changes.csv (a row a mixing and change of the graph or the targets).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))
source(file.path(here, "..", "tools", "sachs_data.R"))

mixings <- argument("mixings", if (quick) 1 else 10)
cores <- min(2L, parallel::detectCores())
sigma2 <- 0.5

simulate_mixing <- function(seed) {
  set.seed(seed)
  mixing <- qr.Q(qr(matrix(rnorm(100 * ncol(z)), 100)))
  list(x = z %*% t(mixing) + matrix(rnorm(100 * nrow(z), sd = sqrt(sigma2)), nrow(z)), env = env,
       z = z, mixing = mixing)
}

# Latents of a fit, or of list(latents, mixing), in the order and signs of the truth.
matched <- function(fit, truth) {
  alignment <- align_latents(fit$mixing, truth$mixing)
  list(latents = fit$latents[, alignment$permutation] * rep(alignment$signs, each = nrow(truth$z)),
       cosine = alignment$agreement)
}

# Independent components of the principal subspace, scaled to columns of A of length 1.
ica <- function(truth) {
  set.seed(1)
  found <- fastICA::fastICA(truth$x, ncol(z))
  mixing <- t(found$A)
  size <- sqrt(colSums(mixing^2))
  list(latents = truth$x %*% mixing %*% solve(crossprod(mixing)) * rep(size, each = nrow(z)),
       mixing = mixing / rep(size, each = nrow(mixing)))
}

true_start <- function(truth) list(mixing = truth$mixing, sigma2 = sigma2)

# With three parents of Mek, four knots: tensors of 6^4 coefficients for some 800 cells; and sums of
# tensors of pairs with eight knots.
f <- function(truth, ..., graph = dag, hit = targets, known = FALSE) {
  init <- if (known) true_start(truth)
  fit_crl(truth$x, env = env, targets = hit, dag = graph, init = init,
          control = crl_control(knots = 4, ...))
}
g <- function(truth, ..., graph = dag, hit = targets, known = FALSE,
              init = if (known) true_start(truth)) {
  fit_crl(truth$x, env = env, targets = hit, dag = graph, method = "g", init = init,
          control = crl_control(seed = 1, ...))
}
none <- empty_dag(ncol(z))
dimnames(none) <- dimnames(dag)
# With the three arcs from the literature that Sachs et al. did not find in the data: Akt, too, has
# three parents.
twenty <- dag
twenty[cbind(c("Plcg", "PIP2", "PIP3"), c("PKC", "PKC", "Akt"))] <- 1L

methods <- list(
  "f" = f,
  "f, pairwise, 8 knots" = function(truth, known) {
    init <- if (known) true_start(truth)
    fit_crl(truth$x, env = env, targets = targets, dag = dag, init = init,
            control = crl_control(spline = spline_control(interaction = "pairwise")))
  },
  "f, no reference" = function(truth, known) {
    f(truth, spline = spline_control(reference = "none"), known = known)
  },
  "f, linear start" = function(truth, known) {
    if (!known) f(truth, start = start_search(mechanisms = "linear"))
  },
  "f, 20 arcs" = function(truth, known) f(truth, graph = twenty, known = known),
  "f, empty graph" = function(truth, known) f(truth, graph = none, known = known),
  "f, empty graph, no reference" = function(truth, known) {
    f(truth, graph = none, spline = spline_control(reference = "none"), known = known)
  },
  "f, pooled" = function(truth, known) {
    if (known) f(truth, hit = targets * 0, known = TRUE)
  },
  "g" = g,
  # where the likelihood leads from the truth
  "g, from the true A" = function(truth, known) {
    if (!known) g(truth, mixing = "orthonormal", init = true_start(truth))
  },
  "g, linear" = function(truth, known) g(truth, prior = "linear", known = known),
  "g, linear, empty graph" = function(truth, known) {
    g(truth, prior = "linear", graph = none, known = known)
  },
  "no shrinkage" = function(truth, known) f(truth, eta = 0, known = known),
  "PCA" = function(truth, known) {
    if (!known) {
      fit_crl(truth$x, env = env, targets = targets, dag = dag, init = "pca",
              control = crl_control(knots = 4, max_iter = 0, eta = 0))
    }
  },
  "ICA" = function(truth, known) {
    if (!known) ica(truth)
  }
)
# One row a method, and one a method and latent.
measure <- function(fit, truth) {
  found <- matched(fit, truth)
  error <- colSums((found$latents - truth$z)^2) / colSums(truth$z^2)
  list(all = data.frame(rel_mse = rel_mse(found$latents, truth),
                        pooled = rel_mse(found$latents, truth, ratio = "pooled"),
                        frobenius = frobenius_error(fit$mixing, truth),
                        seconds = if (is.null(fit$elapsed)) NA else fit$elapsed),
       latents = data.frame(latent = colnames(z), targeted = colSums(targets) > 0, error = error,
                            cosine = found$cosine))
}

one_mixing <- function(seed) {
  truth <- simulate_mixing(seed)
  rows <- latents <- NULL
  for (known in c(TRUE, FALSE)) {
    for (name in names(methods)) {
      fit <- methods[[name]](truth, known = known)
      if (is.null(fit)) next
      found <- measure(fit, truth)
      what <- data.frame(seed = seed, setting = if (known) "A known" else "A learned",
                         method = name)
      rows <- rbind(rows, cbind(what, found$all))
      latents <- rbind(latents, cbind(what, found$latents, row.names = NULL))
    }
  }
  list(rows = rows, latents = latents)
}

# The graph with one arc less, more or turned (where that leaves no cycle), the targets with one
# moved or left out.
edges <- which(dag == 1, arr.ind = TRUE)
changed <- function(matrix, from, to) {
  matrix[rbind(from)] <- 0L
  if (!is.null(to)) matrix[rbind(to)] <- 1L
  matrix
}
arrow <- function(edge) paste(colnames(z)[edge], collapse = " -> ")
acyclic <- function(graph) !inherits(try(as_dag(graph), silent = TRUE), "try-error")
changes <- list()
for (k in seq_len(nrow(edges))) {
  edge <- edges[k, ]
  changes[[paste("without", arrow(edge))]] <-
    list(kind = "arc missing", graph = changed(dag, edge, NULL), hit = targets)
  turned <- changed(dag, edge, rev(edge))
  if (acyclic(turned)) {
    changes[[paste("turned", arrow(edge))]] <- list(kind = "arc turned", graph = turned,
                                                    hit = targets)
  }
}
absent <- which(dag == 0 & t(dag) == 0 & row(dag) != col(dag), arr.ind = TRUE)
set.seed(1)
for (k in sample(nrow(absent))) {
  more <- dag
  more[rbind(absent[k, ])] <- 1L
  if (acyclic(more) && sum(vapply(changes, `[[`, "", "kind") == "arc added") < 12) {
    changes[[paste("with", arrow(absent[k, ]))]] <- list(kind = "arc added", graph = more,
                                                         hit = targets)
  }
}
hits <- which(targets == 1, arr.ind = TRUE)
for (k in seq_len(nrow(hits))) {
  at <- hits[k, ]
  label <- paste0(rownames(targets)[at[1]], " (", colnames(z)[at[2]], ")")
  changes[[paste("no target in", label)]] <- list(
    kind = "target missing", graph = dag, hit = changed(targets, at, NULL)
  )
  for (other in setdiff(seq_len(ncol(z)), at[2])[c(2, 6)]) {
    changes[[paste(label, "moved to", colnames(z)[other])]] <- list(
      kind = "target moved", graph = dag, hit = changed(targets, at, c(at[1], other))
    )
  }
}

one_change <- function(name, seed, known) {
  change <- changes[[name]]
  truth <- simulate_mixing(seed)
  fit <- tryCatch(f(truth, graph = change$graph, hit = change$hit, known = known),
                  ebcrl_error = function(e) NULL)
  if (is.null(fit)) return(NULL)
  found <- measure(fit, truth)
  data.frame(seed = seed, setting = if (known) "A known" else "A learned", kind = change$kind,
             change = name, found$all)
}

found <- parallel::mclapply(seq_len(mixings), one_mixing, mc.cores = cores, mc.preschedule = FALSE)
rows <- do.call(rbind, lapply(found, `[[`, "rows"))
latents <- do.call(rbind, lapply(found, `[[`, "latents"))
# the start is what takes long: fewer mixings where A is learned
grid <- rbind(expand.grid(name = names(changes), seed = seq_len(if (quick) 1 else 3), known = TRUE,
                          stringsAsFactors = FALSE),
              expand.grid(name = names(changes), seed = 1, known = FALSE,
                          stringsAsFactors = FALSE))
altered <- do.call(rbind, parallel::mclapply(seq_len(nrow(grid)), function(k) {
  one_change(grid$name[k], grid$seed[k], grid$known[k])
}, mc.cores = cores, mc.preschedule = FALSE))

cat(machine(), "\n\nRelMSE, medians over mixings:\n")
print(aggregate(cbind(rel_mse, pooled, frobenius, seconds) ~ method + setting, rows,
                stats::median, na.action = stats::na.pass), digits = 3, row.names = FALSE)
cat("\nChanged graphs and targets, f, medians:\n")
print(aggregate(cbind(rel_mse, pooled) ~ kind + setting, altered, stats::median), digits = 3,
      row.names = FALSE)
suffix <- if (quick) "-quick.csv" else ".csv"
write_result(rows, paste0("sachs", suffix))
write_result(latents, paste0("sachs-latents", suffix))
write_result(altered, paste0("sachs-changes", suffix))
