# What it measures: a published method on the same x as bench/discover.R, chain and random graph. GIES
# (Hauser and Buehlmann 2012; package pcalg) takes variables and the targets of each domain, so it gets
# what crl_discover() is not told: latents of another method (principal components turned by varimax,
# or by independent component analysis) named by the true A, and the true targets; and, as a
# bound, the true latents. Right and exact as in bench/discover.R.
# How to run: Rscript bench/discover_gies.R [--seeds=10]; needs pcalg (CRAN) and fastICA.
# Results: discover-gies.csv (by design, mechanisms and latents).

library(ebcrl)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source(file.path(here, "common.R"))
source_lines <- readLines(file.path(here, "discover.R")) # designs, drawn()
defined <- grep("^(option <- |permutations <- )", source_lines)
eval(parse(text = source_lines[defined[1]:(defined[2] - 1)]))
seeds <- 600L + seq_len(as.integer(option("seeds", 10)))

turned_components <- function(x, d, by) {
  space <- svd(scale(x, scale = FALSE), nu = 0, nv = d)$v
  if (by == "ICA") {
    set.seed(1)
    mixing <- t(fastICA::fastICA(x %*% space, d)$A)
  } else {
    mixing <- space %*% varimax(space, normalize = FALSE)$rotmat
    return(mixing)
  }
  mixing <- space %*% mixing
  mixing / rep(sqrt(colSums(mixing^2)), each = nrow(mixing))
}

gies_graph <- function(z, sim) {
  sets <- lapply(seq_len(nrow(sim$targets)), function(e) which(unclass(sim$targets)[e, ] == 1))
  score <- methods::new("GaussL0penIntScore", data = z, targets = lapply(sets, as.integer),
                        target.index = as.integer(sim$env))
  unname(methods::as(pcalg::gies(score)$repr, "matrix") * 1)
}

judged <- function(dag, sim) {
  truth <- unname(unclass(sim$dag))
  differ <- dag != truth | t(dag != truth)
  missed <- sum(dag == 0 & truth == 1 & abs(sim$scm$edge_weights) >= 0.2)
  false <- sum(dag == 1 & truth == 0)
  data.frame(right = false == 0 && missed == 0, exact = all(dag == truth),
             shd = sum(differ[upper.tri(differ)]))
}

suppressMessages(library(pcalg))
runs <- do.call(rbind, lapply(c("chain", "random"), function(cell) {
  do.call(rbind, lapply(c("linear", "bounded"), function(kind) {
    do.call(rbind, lapply(seeds, function(seed) {
      sim <- drawn(designs[[cell]], kind, seed)
      do.call(rbind, lapply(c("varimax", "ICA", "true latents"), function(by) {
        z <- sim$z
        if (by != "true latents") {
          mixing <- turned_components(sim$x, 4, by)
          place <- align_latents(mixing, sim$mixing)$permutation
          z <- (sim$x %*% mixing %*% solve(crossprod(mixing)))[, place]
        }
        cbind(design = cell, mechanisms = kind, latents = by, judged(gies_graph(unname(z), sim), sim))
      }))
    }))
  }))
}))
table <- do.call(rbind, lapply(split(runs, runs[c("latents", "mechanisms", "design")], drop = TRUE),
                               function(part) {
  data.frame(part[1, c("design", "mechanisms", "latents")], runs = nrow(part),
             right = sum(part$right), exact = sum(part$exact), shd = median(part$shd))
}))
utils::write.csv(table, file.path(here, "results", "discover-gies.csv"), row.names = FALSE)
print(table, row.names = FALSE)
