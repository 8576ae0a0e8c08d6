# What it measures: graph and targets found by crl_discover() where both are hidden, on simulated
# data of several designs and mechanisms (p = 100, noise variance 2, weights U[-1, 1]). A run is
# right if, up to relabelling, all targets are, no edge is false, and every edge with |w| >= 0.2 is
# there; exact if graph and targets are. Ceiling: the graph of least BIC, A, targets and order known,
# from regressions on moments at the true A (linear mechanisms: errors in variables taken off, as
# the search has them at worst) or by additive splines on the true latents (others). Also the
# latents of fit_crl(found) against the Bayes optimum (the first 8 right runs of a cell), noise
# without latents or without interventions, unequal noise with feature means, and how often edges
# with evidence above 95 % are true. How to run: Rscript bench/discover.R [--quick] [--seeds=10]
#   [--first=1601] [--cells=chain,random,...] [--mechanisms=linear,bounded,strong]; some ten seconds
#   a run. Goes on where discover.csv ends.
# Results: discover.csv (a row a run), discover-table.csv (by cell), discover-edges.csv (edges).

library(ebcrl)
options(ebcrl.threads = 1L)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))

option <- function(name, default) {
  given <- grep(paste0("^--", name, "="), commandArgs(), value = TRUE)
  if (length(given) == 0L) default else strsplit(sub("^[^=]*=", "", given[1]), ",")[[1]]
}
seeds <- as.integer(option("first", 1601)) - 1L + seq_len(as.integer(option("seeds", if (quick) 2 else 10)))
mechanisms <- option("mechanisms", c("linear", "bounded", "strong"))

one_hot <- rbind(0, diag(4))
designs <- list(
  chain = list(targets = one_hot),
  random = list(targets = one_hot, random = TRUE),
  "chain of 500 rows" = list(targets = one_hot, n = 500),
  "no observational" = list(targets = diag(4)),
  "several targets" = list(targets = rbind(0, c(1, 0, 0, 0), c(1, 1, 0, 0), c(0, 1, 1, 0),
                                           c(0, 0, 1, 1)), most = 2),
  "two domains a target" = list(targets = rbind(0, diag(4)[c(1, 1, 2, 2, 3, 3, 4, 4), ])),
  "one never hit" = list(targets = one_hot[-3, ]),
  "weak shifts" = list(targets = one_hot, mean = 1.5),
  "unequal noise and means" = list(targets = one_hot, measured = TRUE),
  "d = 8" = list(targets = rbind(0, diag(8)), random = TRUE, edges = 10)
)
cells <- option("cells", c(names(designs), "empty"))

random_graph <- function(d, edges) {
  order <- sample(d)
  pairs <- utils::combn(d, 2)
  kept <- if (is.null(edges)) runif(ncol(pairs)) < 0.5 else seq_len(ncol(pairs)) %in%
    sample(ncol(pairs), edges)
  nodes <- paste0("z", seq_len(d))
  if (!any(kept)) return(empty_dag(d))
  as_dag(data.frame(from = nodes[order[pairs[1, kept]]], to = nodes[order[pairs[2, kept]]]),
         nodes = nodes)
}

drawn <- function(design, nonlinearity, seed) {
  set.seed(seed)
  d <- ncol(design$targets)
  targets <- design$targets
  dimnames(targets) <- list(paste0("e", seq_len(nrow(targets))), paste0("z", seq_len(d)))
  dag <- if (isTRUE(design$random)) random_graph(d, design$edges) else chain_dag(d)
  measured <- isTRUE(design$measured)
  sim_crl(dag, n = if (is.null(design$n)) 2000 else design$n, p = 100, targets = targets,
          nonlinearity = nonlinearity,
          intervention_mean = if (is.null(design$mean)) 10 else design$mean,
          center = if (measured) rnorm(100, sd = 3),
          noise_sd = if (measured) sqrt(2 * exp(rnorm(100))))
}

permutations <- function(d) {
  if (d == 1) return(list(1))
  unlist(lapply(permutations(d - 1), function(p) {
    lapply(seq_len(d), function(at) append(p, d, at - 1))
  }), recursive = FALSE)
}

# The relabelling under which most is right: found latents in the places of the true ones, by A.
placed <- function(found, sim) {
  place <- align_latents(found$mixing, sim$mixing)$permutation
  list(dag = unclass(found$dag)[place, place], targets = unclass(found$targets)[, place], place = place)
}

verdict <- function(found, sim) {
  own <- placed(found, sim)
  truth <- unclass(sim$dag)
  targets <- all(own$targets == unclass(sim$targets))
  false <- sum(own$dag == 1 & truth == 0)
  missed <- sum(own$dag == 0 & truth == 1 & abs(sim$scm$edge_weights) >= 0.2)
  pairs <- upper.tri(truth)
  differ <- (own$dag != truth) | t(own$dag != truth)
  data.frame(targets = targets, false = false, missed = missed,
             exact = targets && all(own$dag == truth), right = targets && false == 0 && missed == 0,
             shd = sum(differ[pairs]))
}

# Least BIC of one latent over its possible parents, given order and targets.
best_parents <- function(before, bic_of) {
  sets <- unlist(lapply(0:length(before), function(k) {
    utils::combn(length(before), k, function(at) before[at], simplify = FALSE)
  }), recursive = FALSE)
  sets[[which.min(vapply(sets, bic_of, 0))]]
}

# BIC of a latent by its parents, from lines at the true A, or from additive splines on the latents.
bic_by_lines <- function(j, y, rows, sigma2, n) {
  function(set) {
    s <- cov(y[rows, c(j, set), drop = FALSE]) - diag(sigma2, 1 + length(set))
    v <- s[1, 1]
    if (length(set)) v <- v - s[1, -1] %*% solve(s[-1, -1], s[-1, 1])
    sum(rows) * log(max(v, 0.05 * sigma2)) + length(set) * log(n)
  }
}

bic_by_splines <- function(j, before, z, rows, n) {
  z <- z[rows, , drop = FALSE]
  basis <- cbind(1, do.call(cbind, lapply(before, function(k) splines::bs(z[, k], df = 7))))
  gram <- crossprod(basis)
  rhs <- crossprod(basis, z[, j])
  square <- sum(z[, j]^2)
  function(set) {
    at <- c(1, 1 + unlist(lapply(match(set, before), function(k) (k - 1) * 7 + 1:7)))
    left <- square - sum(rhs[at] * qr.coef(qr(gram[at, at]), rhs[at]))
    nrow(z) * log(left / nrow(z)) + (length(at) - 1) * log(n)
  }
}

ceiling_graph <- function(sim, linear) {
  d <- ncol(sim$z)
  idle <- unclass(sim$targets)[as.integer(sim$env), ] == 0
  order <- order(vapply(seq_len(d), function(j) depth_of(sim$dag, j), 0))
  y <- if (linear) sim$x %*% sim$mixing
  dag <- matrix(0L, d, d)
  for (at in seq_len(d)) {
    j <- order[at]
    before <- order[seq_len(at - 1)]
    bic_of <- if (linear) bic_by_lines(j, y, idle[, j], sim$sigma2, nrow(sim$z)) else
      bic_by_splines(j, before, sim$z, idle[, j], nrow(sim$z))
    dag[best_parents(before, bic_of), j] <- 1L
  }
  dag
}

depth_of <- function(dag, j) {
  parents <- which(unclass(dag)[, j] == 1)
  if (length(parents) == 0) 0 else 1 + max(vapply(parents, depth_of, 0, dag = dag))
}

ceiling_verdict <- function(dag, sim) {
  truth <- unclass(sim$dag)
  strong <- truth == 1 & abs(sim$scm$edge_weights) >= 0.2
  c(ceiling = all(dag == truth), ceiling_right = all(dag[truth == 0] == 0) && all(dag[strong] == 1),
    ceiling_shd = sum(dag != truth))
}

# Error of the latents of a fit of what was found over the Bayes optimum, less 1; NA where that
# cannot be had.
regret_of <- function(found, sim) {
  fit <- fit_crl(found)
  own <- placed(found, sim)
  latents <- fit$latents[, own$place] * rep(align_latents(fit$mixing, sim$mixing)$signs,
                                            each = nrow(sim$z))
  centred <- function(m) sum(scale(m - sim$z, scale = FALSE)^2)
  bayes <- tryCatch(suppressWarnings(bayes_latents(sim, draws = 1000)),
                    ebcrl_error = function(e) NULL)
  if (is.null(bayes)) NA else centred(latents) / centred(bayes$latents) - 1
}

one_run <- function(cell, nonlinearity, seed, fitted) {
  design <- designs[[cell]]
  sim <- drawn(design, nonlinearity, seed)
  known <- if (all(design$targets[1, ] == 0)) "e1"
  seconds <- cpu_seconds({
    found <- crl_discover(sim, d = ncol(sim$z), observational = known,
                          max_targets = if (is.null(design$most)) 1 else design$most)
  })
  lines <- if (seed > 601) NA else cpu_seconds({
    crl_discover(sim, d = ncol(sim$z), observational = known, mechanisms = "linear",
                 max_targets = if (is.null(design$most)) 1 else design$most)
  })
  ceiling <- if (isTRUE(design$measured)) c(ceiling = NA, ceiling_right = NA, ceiling_shd = NA) else
    ceiling_verdict(ceiling_graph(sim, nonlinearity == "linear"), sim)
  result <- verdict(found, sim)
  regret <- if (result$right && fitted) regret_of(found, sim) else NA
  edges <- found$edges
  if (nrow(edges) > 0) {
    own <- placed(found, sim)
    truth <- unclass(sim$dag)
    name <- match(colnames(found$dag), colnames(found$dag)[own$place])
    from <- name[match(edges$from, colnames(found$dag))]
    to <- name[match(edges$to, colnames(found$dag))]
    edges <- data.frame(cell = cell, mechanisms = nonlinearity, seed = seed,
                        evidence = edges$evidence, present = edges$present,
                        true = truth[cbind(from, to)] == 1)
  }
  list(run = data.frame(cell = cell, mechanisms = nonlinearity, seed = seed, result,
                        t(ceiling), judged = found$judged, seconds = seconds,
                        seconds_lines = lines, regret = regret),
       edges = if (nrow(found$edges) > 0) edges)
}

empty_runs <- function(seed) {
  set.seed(seed)
  env <- rep(paste0("e", 1:5), each = 500)
  noise <- matrix(rnorm(2500 * 100, sd = sqrt(2)), 2500)
  z <- matrix(rnorm(2500 * 4, sd = 2:5), 2500, byrow = TRUE)
  a <- qr.Q(qr(matrix(rnorm(400), 100)))
  one <- function(cell, x) {
    found <- crl_discover(x, env = env, d = 4)
    data.frame(cell = cell, seed = seed, false = sum(found$dag), targets = sum(found$targets))
  }
  rbind(one("noise alone", noise), one("no intervention", noise + z %*% t(a)))
}

results <- file.path(here, "results")
path <- file.path(results, "discover.csv")
edge_path <- file.path(results, "discover-edges.csv")
append_csv <- function(table, path) {
  utils::write.table(table, path, append = file.exists(path), col.names = !file.exists(path),
                     row.names = FALSE, sep = ",", qmethod = "double")
}
done <- if (file.exists(path)) utils::read.csv(path) else data.frame()
for (seed in seeds) for (cell in setdiff(cells, "empty")) for (kind in mechanisms) {
  if (nrow(done) && any(done$cell == cell & done$mechanisms == kind & done$seed == seed)) next
  before <- if (nrow(done)) sum(done$cell == cell & done$mechanisms == kind & done$right) else 0
  one <- one_run(cell, kind, seed, fitted = before < 8)
  done <- rbind(done, one$run)
  append_csv(one$run, path)
  if (!is.null(one$edges)) append_csv(one$edges, edge_path)
}
empty_path <- file.path(results, "discover-empty.csv")
done <- if (file.exists(empty_path)) utils::read.csv(empty_path) else data.frame()
for (seed in setdiff(if ("empty" %in% cells) seeds, done$seed)) append_csv(empty_runs(seed), empty_path)

all <- utils::read.csv(path)
table <- do.call(rbind, lapply(split(all, list(all$cell, all$mechanisms), drop = TRUE), function(part) {
  data.frame(cell = part$cell[1], mechanisms = part$mechanisms[1], runs = nrow(part),
             right = sum(part$right), right_ceiling = sum(part$ceiling_right),
             exact = sum(part$exact), ceiling = sum(part$ceiling), targets = sum(part$targets),
             shd = median(part$shd), shd_ceiling = median(part$ceiling_shd), false = sum(part$false),
             seconds = round(median(part$seconds), 1),
             seconds_lines = round(median(part$seconds_lines, na.rm = TRUE), 1),
             regret = round(median(part$regret, na.rm = TRUE), 3),
             fitted = sum(!is.na(part$regret)))
}))
table <- table[order(match(table$cell, names(designs)), match(table$mechanisms, mechanisms)), ]
utils::write.csv(table, file.path(results, "discover-table.csv"), row.names = FALSE)
print(table, row.names = FALSE)
edges <- utils::read.csv(edge_path)
sure <- edges[edges$present & edges$evidence > 0.95, ]
cat(sprintf("Of %d edges with evidence above 95 %%, %.1f %% are true.\n", nrow(sure),
            100 * mean(sure$true)))
