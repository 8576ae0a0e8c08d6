# What it measures: graph and targets of real latents, both hidden. Five of the molecules of Sachs et
# al. (2005; Mek, Erk, Akt, PKA, PKC), 7466 cells in 9 experiments, mixed by a random A with
# orthonormal columns into 100 features with noise of variance 0.5 (the molecules have variance 1),
# against the consensus graph over these five: Raf, left out, has parents PKA and PKC and no child but
# Mek, so that the graph over the others has PKA -> Mek and PKC -> Mek, which are there anyhow, and
# nothing else. Experiment CD3/CD28 is known to be without targets.
# How to run: Rscript bench/discover_sachs.R; about a minute on an idle core.
# Results: discover-sachs.csv (a row an edge that is found or in the consensus graph, and a row a
# target), by kind of intervention.

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))
source(file.path(here, "..", "tools", "sachs_data.R"))

kept <- c("PKC", "PKA", "Mek", "Erk", "Akt")
z <- z[, kept]
truth <- unclass(dag)[kept, kept]
aims <- unclass(targets)[, kept]

rows_of <- function(table, reference, evidence, what, kind) {
  at <- which(table == 1 | reference == 1, arr.ind = TRUE)
  first <- rownames(reference)[at[, 1]]
  second <- colnames(reference)[at[, 2]]
  data.frame(intervention = kind, what = what, from = first, to = second, found = table[at] == 1,
             consensus = reference[at] == 1, evidence = evidence[at])
}

discovered <- function(kind) {
  set.seed(1)
  mixing <- qr.Q(qr(matrix(rnorm(100 * ncol(z)), 100)))
  x <- z %*% t(mixing) + matrix(rnorm(100 * nrow(z), sd = sqrt(0.5)), nrow(z))
  seconds <- cpu_seconds(found <- crl_discover(x, env = env, d = ncol(z), observational = "CD3/CD28",
                                               intervention = kind))
  print(found)
  cat("CPU seconds:", seconds, "\n")
  place <- align_latents(found$mixing, mixing)$permutation
  print(align_latents(found$mixing, mixing)$agreement)
  share <- function(table, rows, columns, row_names, column_names) {
    out <- matrix(NA, length(row_names), length(column_names))
    out[cbind(match(rows, row_names), match(columns, column_names))] <- table$evidence
    out
  }
  names <- colnames(found$dag)
  edges <- share(found$edges, found$edges$from, found$edges$to, names, names)[place, place]
  hits <- share(found$hits, found$hits$domain, found$hits$latent, rownames(found$targets), names)
  own <- match(rownames(aims), rownames(found$targets))
  rbind(rows_of(unclass(found$dag)[place, place], truth, edges, "edge", kind),
        rows_of(unclass(found$targets)[own, place], aims, hits[own, place], "target", kind))
}

table <- do.call(rbind, lapply(c("perfect", "imperfect"), discovered))
utils::write.csv(table, file.path(here, "results", "discover-sachs.csv"), row.names = FALSE)
print(table, row.names = FALSE)
