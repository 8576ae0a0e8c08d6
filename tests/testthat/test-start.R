# The interventional start: objective and moments against plain R, optima, recovery.

start_sim <- function(seed, d = 3, n = 500, p = 20, nonlinearity = "linear") {
  withr::with_seed(seed, sim_crl(chain_dag(d), n = n, p = p, nonlinearity = nonlinearity))
}

start_data <- function(sim, dag = sim$dag) {
  crl_data(sim$x, sim$env, sim$targets, dag)
}

# Minus the profile log-likelihood from the rows themselves: residual variances of regressions with
# an intercept, less the noise in node and parents.
ref_rotation_objective <- function(data, y, rotation, sigma2) {
  z <- y %*% rotation
  total <- 0
  for (j in seq_len(data$d)) {
    for (state in 0:1) {
      rows <- data$targets[data$env, j] == state
      if (!any(rows)) next
      pa <- which(data$dag[, j] == 1)
      cov <- stats::cov(z[rows, c(j, pa), drop = FALSE]) * (sum(rows) - 1) / sum(rows) -
        diag(sigma2, 1 + length(pa))
      v <- if (length(pa) == 0) cov[1, 1] else
        cov[1, 1] - cov[1, -1] %*% solve(cov[-1, -1], cov[-1, 1])
      total <- total + sum(rows) / 2 * log(max(v, 0.05 * sigma2))
    }
  }
  drop(total)
}

descend <- function(data, start, starts = 6L, seed = 1L) {
  cells <- rotation_cells(data, start)
  .Call(C_rotation_starts, cells$cov, cells$weight, cells$coord, 0.05 * start$sigma2, starts, seed,
        UNTOLD$turn)
}

test_that("moments by domain are those of the rows", {
  data <- start_data(start_sim(1))
  y <- data$x[, 1:3]
  moments <- .Call(C_domain_moments, y, data$env, data$n_domains)
  for (e in 1:3) {
    rows <- y[data$env == e, ]
    expect_equal(moments$n[e], nrow(rows))
    expect_equal(moments$mean[, e], unname(colMeans(rows)))
    expect_equal(moments$second[, , e], unname(crossprod(rows)) / nrow(rows))
  }
})

test_that("the objective is that of regressions on the rows, for chains and colliders", {
  sim <- start_sim(2)
  collider <- as_dag(matrix(c(0, 0, 0, 0, 0, 0, 1, 1, 0), 3), direction = "from_row")
  for (dag in list(sim$dag, collider, complete_dag(3))) {
    data <- start_data(sim, dag)
    start <- pca_start(data)
    found <- descend(data, start, starts = 3L)
    for (s in 1:3) {
      rotation <- found$rotation[, , s]
      expect_equal(crossprod(rotation), diag(3), tolerance = 1e-12)
      reference <- ref_rotation_objective(data, data$x %*% start$orthonormal, rotation,
                                          start$sigma2)
      expect_equal(found$objective[s], reference, tolerance = 1e-10)
    }
  }
})

test_that("no small turn improves on an optimum", {
  data <- start_data(start_sim(3))
  start <- pca_start(data)
  found <- descend(data, start, starts = 1L)
  y <- data$x %*% start$orthonormal
  for (plane in list(c(1, 2), c(1, 3), c(2, 3))) {
    for (angle in c(-0.02, 0.02)) {
      turn <- diag(3)
      turn[plane, plane] <- c(cos(angle), sin(angle), -sin(angle), cos(angle))
      moved <- ref_rotation_objective(data, y, found$rotation[, , 1] %*% turn, start$sigma2)
      expect_gt(moved, found$objective[1])
    }
  }
})

# The principal subspace bounds what a rotation within it can do.
expect_near_floor <- function(sim) {
  fit <- fit_crl(sim, init = "interventional",
                 control = crl_control(start = start_search(mechanisms = "linear")))
  expect_lt(over_floor(fit, sim), 2)
}

test_that("a linear SCM's mixing is found as well as the principal subspace allows", {
  skip_on_cran()
  for (seed in 1:4) {
    sim <- start_sim(seed, d = 4, n = 1000, p = 100)
    expect_near_floor(sim)
  }
})

test_that("spline mechanisms mend the rotation of a nonlinear SCM", {
  skip_on_cran()
  for (seed in 1:2) {
    sim <- start_sim(seed, d = 3, n = 1000, nonlinearity = "strong")
    error <- vapply(c("linear", "spline"), function(mechanisms) {
      control <- crl_control(mixing = "fixed", start = start_search(mechanisms = mechanisms))
      frobenius_error(fit_crl(sim, init = "interventional", control = control), sim)
    }, 0)
    expect_lt(error[["spline"]], 0.6 * error[["linear"]])
  }
})

test_that("the start: the same bits for every thread count, R's random numbers left alone", {
  skip_on_cran()
  sim <- start_sim(5)
  set.seed(1)
  before <- .Random.seed
  fits <- lapply(1:2, function(threads) {
    fit_crl(sim, init = "interventional",
            control = crl_control(mixing = "fixed", threads = threads))
  })
  expect_identical(.Random.seed, before)
  expect_identical(fits[[1]]$mixing, fits[[2]]$mixing)
  expect_identical(fits[[1]]$latents, fits[[2]]$latents)
})

test_that("optima are distinct, sorted, and count every start", {
  fit <- fit_crl(start_sim(6, d = 4), init = "interventional",
                 control = crl_control(mixing = "fixed",
                                       start = start_search(mechanisms = "linear", starts = 15)))
  expect_identical(sum(fit$optima$starts), 15L)
  expect_false(is.unsorted(fit$optima$objective))
  expect_lt(fit$optima$distance[1], 1e-12)
  expect_true(all(fit$optima$distance[-1] > 0.05))
})

# The spline stage's objective from dense bases: in all sums over rows, h(y) of a noisy parent y_k
# is replaced by h(y) - N_kk / 2 h''(y), and the products of h(y_k) with another y or g(y_l) lose
# N_kl times the product of slopes. noise: N of z (d x d); least: the floor of variances.
ref_refined_objective <- function(data, z, noise, set, perfect = FALSE, least = 0.05 * noise[1]) {
  total <- 0
  for (j in seq_len(data$d)) {
    for (state in 0:1) {
      rows <- data$targets[data$env, j] == state
      if (!any(rows)) next
      own <- z[rows, j]
      parents <- if (!(perfect && state == 1)) which(data$dag[, j] == 1)
      rss <- sum((own - mean(own))^2)
      if (length(parents) > 0) {
        basis <- lapply(0:2, function(deriv) {
          lapply(parents, function(k) ref_basis(z[rows, k], range(z[, k]), set$knots, deriv))
        })
        clean <- Map(function(h, curve, k) h - noise[k, k] / 2 * curve, basis[[1]], basis[[3]],
                     parents)
        slopes <- Map(function(h, k) h * noise[j, k], basis[[2]], parents)
        gram <- crossprod(do.call(cbind, clean)) - crossprod(do.call(cbind, basis[[2]])) *
          (noise[parents, parents, drop = FALSE] %x% matrix(1, set$knots + 2, set$knots + 2))
        for (k in seq_along(parents)) {
          at <- (k - 1) * (set$knots + 2) + seq_len(set$knots + 2)
          h <- basis[[1]][[k]]
          mixed <- crossprod(h, basis[[3]][[k]])
          gram[at, at] <- crossprod(h) -
            noise[parents[k], parents[k]] / 2 *
            (mixed + t(mixed) + 2 * crossprod(basis[[2]][[k]]))
        }
        rhs <- colSums(do.call(cbind, clean) * own) - colSums(do.call(cbind, slopes))
        penalty <- diag(length(parents)) %x% ref_penalty(1, set$knots, "difference", set$lambda)
        penalised <- gram + penalty + 1e-6 * sum(rows) * diag(nrow(gram))
        rss <- sum(own^2) - sum(rhs * solve(penalised, rhs))
      }
      total <- total + sum(rows) / 2 * log(max(rss / sum(rows) - noise[j, j], least))
    }
  }
  total
}

test_that("the spline stage's objective is that of corrected regressions; sweeps lower it", {
  sim <- start_sim(9, nonlinearity = "bounded")
  collider <- as_dag(matrix(c(0, 0, 0, 0, 0, 0, 1, 1, 0), 3), direction = "from_row")
  rotation <- qr.Q(qr(matrix(c(3, 1, 0, -1, 2, 1, 0, 1, 4), 3)))
  for (dag in list(sim$dag, collider)) {
    for (perfect in c(FALSE, TRUE)) {
      data <- start_data(sim, dag)
      start <- pca_start(data)
      refined <- function(sweeps, noise = start$sigma2) {
        set <- replace(REFINEMENT, "max_sweeps", sweeps)
        .Call(C_rotation_refine, data$x %*% start$orthonormal, rotation, data$env, data$targets,
              row_weights(data), parent_list(dag),
              c(set, first_sweep = 0L, noise = list(noise),
                variance_floor = 0.05 * start$sigma2, threads = 1L,
                perfect = perfect))
      }
      for (sweeps in c(0L, 2L)) {
        found <- refined(sweeps)
        expect_equal(crossprod(found$rotation), diag(3), tolerance = 1e-12)
        z <- data$x %*% start$orthonormal %*% found$rotation
        reference <- ref_refined_objective(data, z, diag(start$sigma2, 3), REFINEMENT, perfect)
        expect_equal(found$objective, reference, tolerance = 1e-9)
        # noise of any covariance, which turns with the coordinates
        noise <- start$sigma2 * (diag(c(1, 0.5, 0.8)) + 0.1)
        found_too <- refined(sweeps, noise)
        turned <- crossprod(found_too$rotation, noise %*% found_too$rotation)
        z <- data$x %*% start$orthonormal %*% found_too$rotation
        expect_equal(found_too$objective,
                     ref_refined_objective(data, z, turned, REFINEMENT, perfect,
                                           0.05 * start$sigma2), tolerance = 1e-9)
      }
      expect_lt(found$objective, refined(0L)$objective)
      expect_identical(found$indefinite, 0L)
      expect_gt(found$fitted, 0L)
    }
  }
})

test_that("with perfect interventions the start's targeted nodes have no parents", {
  data <- start_data(start_sim(2))
  start <- pca_start(data)
  soft <- rotation_cells(data, start)
  perfect <- rotation_cells(data, start, perfect = TRUE)
  expect_identical(lengths(soft$coord), c(1L, 1L, 2L, 2L, 2L, 2L))
  expect_identical(lengths(perfect$coord), c(1L, 1L, 2L, 1L, 2L, 1L))
  expect_identical(soft$cov, perfect$cov)
})

test_that("latents that no intervention tells apart are named", {
  sim <- start_sim(7)
  expect_identical(untold_latents(start_data(sim)), list())
  both <- sim$targets
  both[1, ] <- c(1L, 1L, 0L)
  both[2, ] <- 0L
  data <- crl_data(sim$x, sim$env, both, sim$dag)
  expect_identical(untold_latents(data), list(c("z1", "z2")))
  never <- sim$targets
  never[3, ] <- 0L
  expect_identical(untold_latents(crl_data(sim$x, sim$env, never, sim$dag)), list("z3"))
})

test_that("so are latents that are targeted one just where the other is not", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 150, p = 8))
  expect_identical(untold_latents(start_data(sim)), list(c("z1", "z2")))
  targets <- rbind(c(1, 1, 0), c(0, 1, 0), c(0, 0, 1), c(1, 0, 1))
  sim <- withr::with_seed(1, sim_crl(chain_dag(3), n = 150, p = 8, targets = targets))
  expect_identical(untold_latents(start_data(sim)), list(c("z2", "z3")))
  both <- cbind(z1 = c(0L, 0L), z2 = c(1L, 1L))
  expect_identical(target_words(both), "no domain or in every domain")
  expect_identical(target_words(both[, 1, drop = FALSE]), "no domain")
  expect_identical(target_words(both[, 2, drop = FALSE]), "every domain")
})

test_that("the rise over a turn is that of regressions on the rows; flat pairs are named", {
  data <- start_data(start_sim(4))
  start <- pca_start(data)
  found <- descend(data, start, starts = 2L)
  y <- data$x %*% start$orthonormal
  for (s in 1:2) {
    for (plane in list(c(1, 2), c(1, 3), c(2, 3))) {
      moved <- vapply(c(-0.2, 0.2), function(angle) {
        turn <- diag(3)
        turn[plane, plane] <- c(cos(angle), sin(angle), -sin(angle), cos(angle))
        ref_rotation_objective(data, y, found$rotation[, , s] %*% turn, start$sigma2)
      }, 0)
      expect_equal(found$rise[plane[1], plane[2], s], min(moved) - found$objective[s],
                   tolerance = 1e-7)
    }
    expect_true(all(found$rise[, , s][lower.tri(diag(3), TRUE)] == 0))
  }
  expect_gt(min(found$rise[, , 1][upper.tri(diag(3))]), 6)

  linear <- crl_control(start = start_search(mechanisms = "linear"), max_iter = 0)
  told <- fit_crl(start_sim(1, d = 4, n = 100), control = linear)
  expect_identical(told$optima$untold[[1]], character())
  expect_null(flat_note(told$optima$untold[[1]]))
  alike <- update(linear, intervention = "imperfect")
  open <- fit_crl(start_sim(1, d = 2), control = alike)
  expect_identical(open$optima$untold[[1]], "z1 and z2")
  expect_match(start_notes(open)[2], "^Hardly told apart: z1 and z2. Each with.*intervention = \"auto\"")
  expect_match(flat_note(paste("a and", letters[1:7])), "a and e; 2 other pairs of latents.",
               fixed = TRUE)
})

# For 2 latents with states 0 and 1 exchanged between them, spline mechanisms alone may tell: the
# stage that decides is not the one that sorts.
test_that("the optimum that is used comes first, and is the one that print() counts", {
  sim <- start_sim(5, d = 2, nonlinearity = "bounded")
  fit <- fit_crl(sim, control = crl_control(start = start_search(mechanisms = "spline"),
                                            intervention = "imperfect"))
  optima <- fit$optima
  tried <- !is.na(optima$refined)
  expect_identical(which.min(optima$refined), 1L)
  expect_gte(sum(tried), 3L)
  expect_false(is.unsorted(optima$objective[-1]))
  expect_lt(optima$distance[1], 1e-12)
  # the two optima tie but for rounding: either may be used, also one that no search ended in
  ended <- if (optima$starts[1] > 0) paste0("(", optima$starts[1], " of 20 searches ended in") else
    "(the best optimum is one of the search under perfect interventions"
  expect_printed(fit, ended, fixed = TRUE)
  later <- list(objective = c(2, 1), starts = c(3L, 17L), refined = c(1, 2))
  expect_identical(describe_search(later), paste("3 of 20 searches ended in the best optimum,",
                                                 "chosen by spline mechanisms"))
})

test_that("each optimum keeps its A, from which a fit may start", {
  skip_on_cran()
  sim <- start_sim(3, d = 4, n = 200)
  for (mechanisms in c("linear", "spline", "sampled")) {
    fit <- fit_crl(sim, control = crl_control(start = start_search(mechanisms = mechanisms)))
    expect_identical(dimnames(fit$optima$mixing[[1]]), dimnames(fit$mixing))
    expect_equal(fit$optima$mixing[[1]], fit$mixing, tolerance = 1e-12)
  }
  expect_gt(nrow(fit$optima), 1)
  second <- fit$optima$mixing[[2]]
  expect_equal(crossprod(second), diag(4), tolerance = 1e-12, ignore_attr = TRUE)
  again <- fit_crl(sim, init = list(mixing = second, sigma2 = fit$sigma2))
  expect_equal(again$mixing, second, tolerance = 1e-12)
})

test_that("refined objectives are of all rows, though some are thinned out", {
  skip_on_cran()
  sim <- start_sim(1, n = 1500, p = 8)
  refined <- vapply(c("spline", "sampled"), function(mechanisms) {
    fit_crl(sim, control = crl_control(start = start_search(mechanisms = mechanisms),
                                       max_iter = 0))$optima$refined[1]
  }, 0)
  expect_equal(refined[["sampled"]], refined[["spline"]], tolerance = 0.05)
})

test_that("A is found with a domain without targets beside single targets", {
  skip_on_cran()
  for (seed in 1:3) {
    expect_near_floor(withr::with_seed(seed, sim_crl(
      chain_dag(4), n = 600, p = 100, nonlinearity = "linear", targets = rbind(0, diag(4))
    )))
  }
})

test_that("A is found from domains with several targets at once", {
  skip_on_cran()
  targets <- rbind(c(1, 1, 0, 0), c(0, 1, 1, 0), c(0, 0, 1, 1), c(1, 0, 0, 0), c(0, 1, 0, 1))
  for (seed in 1:3) {
    expect_near_floor(withr::with_seed(seed, sim_crl(
      chain_dag(4), n = 600, p = 100, nonlinearity = "linear", targets = targets
    )))
  }
})

test_that("A is updated from a PCA start and held from every other, unless told otherwise", {
  skip_on_cran()
  sim <- start_sim(3)
  known <- list(mixing = sim$mixing, sigma2 = sim$sigma2)
  kind <- function(init, ...) {
    fit_crl(sim, init = init, control = crl_control(max_iter = 1, start = start_search(starts = 2),
                                                    ...))
  }
  expect_identical(kind("pca")$control$mixing, "orthonormal")
  expect_identical(kind(NULL)$init, "interventional")
  expect_identical(kind(NULL)$control$mixing, "fixed")
  expect_identical(kind(known)$control$mixing, "fixed")
  expect_equal(unname(kind(known)$mixing), unname(sim$mixing), tolerance = 1e-14)
  expect_identical(kind(known)$sigma2, sim$sigma2)
  expect_identical(kind(kind("pca"))$control$mixing, "fixed")
  expect_identical(kind(known, mixing = "orthonormal")$control$mixing, "orthonormal")
  paper <- kind(NULL, preset = "paper")
  expect_identical(c(paper$init, paper$control$mixing), c("pca", "orthonormal"))
})

test_that("a given A is matched by the names of features and latents", {
  sim <- withr::with_seed(1, sim_crl(chain_dag(c("raf", "mek")), n = 60, p = 5))
  x <- `colnames<-`(sim$x, letters[1:5])
  start <- function(x, init, dag = sim$dag) {
    fit_crl(x, sim$env, sim$targets, dag, init = init, control = crl_control(max_iter = 0))
  }
  mixing <- `dimnames<-`(sim$mixing, list(letters[1:5], c("raf", "mek")))
  fit <- start(x, list(mixing = mixing, sigma2 = 2))
  turned <- start(x, list(mixing = mixing[5:1, 2:1], sigma2 = 2))
  expect_identical(turned[c("mixing", "latents")], fit[c("mixing", "latents")])
  other_order <- start(x[, c(3, 1, 2, 5, 4)], fit)
  expect_equal(other_order$latents, fit$latents)
  expect_identical(rownames(other_order$mixing), letters[c(3, 1, 2, 5, 4)])
  # by position where a side has no names, or the default ones
  axes <- `colnames<-`(unname(mixing), c("z1", "z2"))
  expect_identical(start(x, list(mixing = axes, sigma2 = 2))$mixing, fit$mixing)
  axes <- `colnames<-`(unname(mixing), c("PC1", "PC2"))
  expect_error(start(x, list(mixing = axes, sigma2 = 2)), class = "ebcrl_error_init")
  expect_equal(unname(start(unname(x), fit)$mixing), unname(fit$mixing))
})

# Steep mechanisms gain most after the first sweep: the optimum near the truth is behind until then.
test_that("the spline stage decides between contenders at its end", {
  skip_on_cran()
  for (seed in c(8, 20)) {
    withr::local_seed(seed)
    sim <- sim_crl(random_dag(4, 1.5, max_parents = 2), n = 200, p = 100, sigma2 = 0.5,
                   nonlinearity = "strong")
    control <- crl_control(start = start_search(mechanisms = "spline"), max_iter = 0, seed = 1)
    expect_lt(frobenius_error(fit_crl(sim, control = control), sim), 0.15)
  }
})

# Lines through steep mechanisms leave no optimum near the truth, but where the parents of
# intervened latents are left out they do.
test_that("optima of the search under perfect interventions are tried, too", {
  skip_on_cran()
  spline <- crl_control(start = start_search(mechanisms = "spline"), max_iter = 0, seed = 1)
  for (setting in list(c(seed = 15, n = 1000, sigma2 = 0.5), c(seed = 18, n = 200, sigma2 = 2))) {
    withr::local_seed(setting[["seed"]])
    sim <- sim_crl(random_dag(4, 1.5, max_parents = 2), n = setting[["n"]], p = 100,
                   sigma2 = setting[["sigma2"]], nonlinearity = "strong")
    fit <- fit_crl(sim, control = spline)
    expect_lt(frobenius_error(fit, sim), 0.15)
    expect_identical(sum(fit$optima$starts), 20L)
    if (setting[["seed"]] == 15) { # which the other search misses
      expect_identical(fit$optima$starts[1], 0L)
      expect_printed(fit, paste("best optimum is one of the search under perfect interventions,",
                                "chosen by spline mechanisms"))
    }
  }
  linear <- fit_crl(sim, control = crl_control(start = start_search(mechanisms = "linear"),
                                               max_iter = 0))
  expect_true(all(linear$optima$starts > 0))
})

# Noise twenty times as large as the latents' own: corrected regressions are indefinite.
test_that("where the correction for noise breaks down, the stage of splines is left out", {
  skip_on_cran()
  sim <- withr::with_seed(1, sim_crl(chain_dag(3), n = 200, p = 20, sigma2 = 20,
                                     nonlinearity = "linear"))
  fits <- lapply(c(linear = "linear", spline = "spline"), function(mechanisms) {
    fit_crl(sim, control = crl_control(start = start_search(mechanisms = mechanisms), max_iter = 0,
                                       seed = 1, intervention = "imperfect"))
  })
  expect_true(all(is.na(fits$spline$optima$refined)))
  expect_identical(fits$spline$mixing, fits$linear$mixing)
  expect_gt(fits$spline$counts[["start_indefinite"]], 0)
  expect_printed(fits$spline, "stage of spline mechanisms was left out, and A goes on from")
  # a few are no harm
  fine <- list(rotation = diag(2), objective = 1, fitted = 100L, indefinite = 1L)
  expect_identical(trusted_objectives(list(fine, replace(fine, "indefinite", 2L))), c(1, NA))
  expect_identical(distinct_contenders(list(replace(fine, "indefinite", 2L), fine, fine), 1), 2L)
})

test_that("an optimum that is added is measured as those that are found; none is added twice", {
  skip_on_cran()
  sim <- start_sim(2, d = 4, n = 200, nonlinearity = "bounded")
  data <- fit_crl(sim, control = crl_control(max_iter = 0))$data
  control <- crl_control(seed = 1)
  start <- pca_start(data)
  floor <- 0.05 * start$sigma2
  cells <- rotation_cells(data, start)
  found <- rotation_search(cells, floor, control)
  at <- .Call(C_rotation_at, cells$cov, cells$weight, cells$coord, floor, found$rotation, 0.2)
  expect_equal(at, found[c("objective", "rise")], tolerance = 1e-12)

  optima <- distinct_optima(found)
  joined <- join_cut_optima(found, optima, cells, floor, control)
  expect_identical(anyDuplicated(joined$tried), 0L)
  expect_true(all(joined$tried %in% joined$optima$which))
  expect_false(is.unsorted(joined$optima$objective))
  added <- joined$optima$starts == 0
  expect_identical(joined$optima$which[!added], optima$which)
  for (s in joined$optima$which) {
    others <- setdiff(joined$optima$which, s)
    expect_gt(min(Inf, squared_distances(joined$found$rotation, others, s)), SAME_OPTIMUM)
  }
  # where nothing is cut there is nothing to add
  cells$state[] <- 0L
  expect_identical(join_cut_optima(found, optima, cells, floor, control),
                   list(found = found, optima = optima, tried = head(optima$which, 3)))
})
