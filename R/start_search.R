# The interventional start: the rotation of the principal subspace under which the latents are most
# likely to follow the graph and the interventions, by src/start/rotation.c and src/start/refine.c.

# Residual variances of latents are not believed below this share of the noise variance.
VARIANCE_FLOOR <- 0.05

# Spline mechanisms: knots and penalty (fewer knots than the score has: the correction for noise in
# the parents wants intervals no shorter than the noise); first width of the search in a plane
# (radians), sweeps; what a row may lose of its log-likelihood against the best optimum after one
# sweep: steep mechanisms gain as much later.
REFINEMENT <- list(knots = 6L, lambda = 20, width = 0.4, max_sweeps = 8L)
CONTENDER <- 0.2

# Share of regressions on noisy parents that the correction for noise may leave indefinite. In
# simulated data it is 0, in real ones where it fails a fifth.
MOST_INDEFINITE <- 0.01

# Optima of the linear stage that the spline stage starts from.
REFINED_OPTIMA <- 3L

# Beside them, optima of the same search with the parents of intervened latents left out, from so
# many starts: lines through steep mechanisms can hide the optimum of the curves, and there are
# fewer lines.
CUT_OPTIMA <- 2L
CUT_STARTS <- 5L

# Two latents are hardly told apart where a turn of the one into the other (radians) costs less
# log-likelihood than `rise`: the standard error of the angle is then above half the turn.
UNTOLD <- list(turn = 0.2, rise = 2)

# Optima closer than this (squared Frobenius distance, signs aside) are the same.
SAME_OPTIMUM <- 0.05

#' Principal components, rotated to the best of several optima
#'
#' @return As pca_start(), and `optima`: tibble of the distinct optima of the linear stage, first
#'   the one that the start went on from, then the best first: `objective` (minus the profile
#'   log-likelihood of the linear-Gaussian model, up to a constant), `starts` (that ended there; 0
#'   of those that join_cut_optima() adds), `distance` (squared Frobenius distance to the first,
#'   signs aside), `refined` (objective after the spline stage, which leaves those that are far
#'   behind after one sweep; NA where it did not go or is not trusted), `risk` (see
#'   chosen_by_draws(); NA where there was no choice), `mixing` (list: A after these stages),
#'   `untold` (list: pairs of latents that linear mechanisms hardly tell apart there,
#'   see hardly_told()); `indefinite`, how many regressions of the spline stage had to do without
#'   their parents; of the stage of draws, `sampling`, `floored`, `stopped` and `mc_error`, see
#'   sampled_mixing()
#' @noRd
interventional_start <- function(data, plan, call = rlang::caller_env()) {
  start <- start_space(data, call)
  own <- canonical_problem(data, start)
  cells <- rotation_cells(own$part, own$start, plan$intervention == "perfect")
  floor <- VARIANCE_FLOOR * own$start$sigma2
  found <- rotation_search(cells, floor, plan)
  optima <- distinct_optima(found)
  start$indefinite <- 0L
  if ("spline" %in% plan$stages) {
    joined <- join_cut_optima(found, optima, cells, floor, plan)
    refined <- refined_optima(joined, own$part, own$start$sigma2, plan)
    if ("choice" %in% plan$stages) {
      refined <- chosen_by_draws(joined, refined, own$part, own$start$sigma2, plan)
    }
    found <- refined$found
    optima <- refined$optima
    start$indefinite <- refined$indefinite
  }
  units <- sum(cells$weight) * log(own$unit)
  optima[c("objective", "refined")] <- lapply(optima[c("objective", "refined")], `+`, units)
  if ("draws" %in% plan$stages && data$d > 1L) {
    rotation <- matrix(found$rotation[, , optima$which[1L]], data$d)
    drawn <- sampled_mixing(rotation, own$part, own$start$sigma2, plan)
    start[names(drawn$counts)] <- drawn$counts
    start$mc_error <- drawn$mc_error[own$place]
    found$rotation[, , optima$which[1L]] <- drawn$mixing
  }
  found <- renumbered(found, own$place)
  optima$untold <- lapply(optima$which, function(s) hardly_told(found$rise, s, data))
  optima$mixing <- optima_mixing(found, optima$which, start$orthonormal,
                                 principal_part(data, start), plan)
  start$orthonormal <- start$orthonormal %*% matrix(found$rotation[, , optima$which[1L]], data$d)
  start$optima <- tibble::as_tibble(optima[c("objective", "starts", "distance", "refined", "risk",
                                             "mixing", "untold")])
  start
}

#' The data in principal coordinates (n x d), with a unit, an order of rows and an order of latents
#' of their own, so that those of x and of the graph do not matter: random numbers belong to the
#' position of a row and of a latent
#'
#' The unit is the root mean square. Rows are ordered by their squared norm, latents by that of the
#' domains that target them; where that ties, by ancestors and children.
#'
#' @return list: `part`, the data so ordered; `start`, its principal components and sigma2; `unit`;
#'   `place`, of each latent in that order
#' @noRd
canonical_problem <- function(data, start) {
  y <- data$x %*% start$orthonormal
  square <- rowSums(y^2)
  unit <- sqrt(mean(square) / data$d)
  rows <- order(square)
  part <- some_rows(data, rows, y[rows, , drop = FALSE] / unit)
  by_domain <- rowsum(square, data$env, reorder = TRUE) / mean(square)
  codes <- as.integer(rownames(by_domain))
  targeted <- signif(drop(crossprod(data$targets[codes, , drop = FALSE], by_domain)), 10L)
  order <- order(targeted, rowSums(ancestor_matrix(data$dag)), rowSums(data$dag))
  part$dag <- data$dag[order, order, drop = FALSE]
  part$targets <- data$targets[, order, drop = FALSE]
  part$latent_names <- data$latent_names[order]
  part$loose <- which(order > data$d - nuisance_of(data))
  part$noise <- if (!is.null(start$noise)) start$noise / unit^2
  list(part = part, unit = unit, place = order(order),
       start = list(orthonormal = diag(1, data$d), sigma2 = start$sigma2 / unit^2,
                    noise = part$noise))
}

#' Rotations and their rises with the latents in their places again
#' @noRd
renumbered <- function(found, place) {
  found$rotation <- found$rotation[, place, , drop = FALSE]
  rise <- found$rise + aperm(found$rise, c(2L, 1L, 3L)) # the upper triangle
  found$rise <- rise[place, place, , drop = FALSE]
  found
}

#' The space that A is sought in: that of the principal components, or of the factors
#' @return As pca_start(); `noise`, covariance of the noise of coordinates in it (d x d), NULL where it
#'   is `sigma2` I
#' @noRd
start_space <- function(data, call) {
  if (is.null(data$space) || is_plain(data)) {
    return(pca_start(data, call))
  }
  with(data$space, list(orthonormal = solve(whiten), scale = rep(1, data$d), sigma2 = sigma2,
                        noise = noise))
}

#' The data in principal coordinates (n x d), with the covariance of their noise
#' @noRd
principal_part <- function(data, start) {
  data$x <- data$x %*% start$orthonormal
  data$noise <- start$noise
  data
}

#' The optima of the linear stage, and the best of the same search under perfect interventions
#'
#' @return list: `found` and `optima` with what was added, of which `starts` is 0; `tried`, those
#'   that the spline stage is to start from
#' @noRd
join_cut_optima <- function(found, optima, cells, floor, plan) {
  tried <- utils::head(optima$which, REFINED_OPTIMA)
  cut <- cells
  cut$coord <- cut_families(cells$coord, cells$state)
  if (!identical(cut$coord, cells$coord)) {
    other <- rotation_search(cut, floor, plan, min(plan$start$starts, CUT_STARTS))
    best <- utils::head(distinct_optima(other)$which, CUT_OPTIMA)
    added <- other$rotation[, , best, drop = FALSE]
    at <- .Call(C_rotation_at, cells$cov, cells$weight, cells$coord, floor, added, UNTOLD$turn)
    n_found <- length(found$objective)
    found <- Map(bind_last, found, c(list(rotation = added), at)[names(found)])
    for (s in n_found + seq_along(best)) {
      near <- squared_distances(found$rotation, optima$which, s)
      if (min(near) < SAME_OPTIMUM) {
        tried <- union(tried, optima$which[which.min(near)])
      } else {
        tried <- c(tried, s)
        optima$which <- c(optima$which, s)
        optima$starts <- c(optima$starts, 0L)
      }
    }
    optima <- sorted_optima(found, optima$which, optima$starts)
  }
  list(found = found, optima = optima, tried = tried)
}

#' Arrays d x d x k (or vectors) side by side
#' @noRd
bind_last <- function(a, b) {
  if (is.null(dim(a))) c(a, b) else array(c(a, b), dim(a) + c(0L, 0L, dim(b)[3L]))
}

#' The best optima of the linear stage after the spline stage, that to go on from first
#'
#' @param joined See join_cut_optima().
#' @return list: `found` and `optima`, as they are after it; `indefinite`, see best_refined()
#' @noRd
refined_optima <- function(joined, part, sigma2, plan) {
  found <- joined$found
  optima <- joined$optima
  tried <- joined$tried
  sampled <- "draws" %in% plan$stages
  rows <- if (sampled) thinned(part, SAMPLING$rows) else part
  refined <- best_refined(found$rotation[, , tried, drop = FALSE], rows, sigma2, plan,
                          if (sampled) SAMPLING$sweeps else REFINEMENT$max_sweeps)
  at <- match(tried, optima$which)
  optima$refined[at] <- refined$objective * (part$n / rows$n)
  optima <- used_first(optima, at[refined$used], found$rotation)
  found$rotation[, , tried] <- refined$rotations
  list(found = found, optima = optima, indefinite = refined$indefinite)
}

#' What a start counted, 0 where it has no such stage
#' @noRd
start_counts <- function(start) {
  c(start_indefinite = start$indefinite %||% 0L, start_floored = start$floored %||% 0L,
    start_stopped = start$stopped %||% 0L)
}

#' The spline stage: one sweep from each of several rotations, then to the end from the contenders
#' that are not the same by then
#'
#' If the first is not to be trusted (see trusted_objectives()), the stage is left out.
#'
#' @param rotations d x d x candidates.
#' @param part Data with principal coordinates (n x d) for `x`.
#' @return list: `rotations` (d x d x candidates) and their `objective`, NA where it is not to be
#'   trusted and the rotation is as it was; `used`, the best one, or the first; `indefinite`,
#'   regressions left out
#' @noRd
best_refined <- function(rotations, part, sigma2, plan, max_sweeps) {
  refined <- function(rotation, first_sweep, max_sweeps) {
    refined_rotation(rotation, part, sigma2, plan, first_sweep, max_sweeps)
  }
  first <- refined(matrix(rotations[, , 1L], part$d), 0L, 1L)
  if (is.na(trusted_objectives(list(first)))) {
    return(list(rotations = rotations, objective = rep(NA_real_, dim(rotations)[3L]), used = 1L,
                indefinite = first$indefinite))
  }
  others <- apply(rotations[, , -1L, drop = FALSE], 3L, refined, 0L, 1L, simplify = FALSE)
  tried <- c(list(first), others)
  indefinite <- sum(vapply(tried, `[[`, 0L, "indefinite"))
  contenders <- distinct_contenders(tried, CONTENDER * part$n)
  if (length(contenders) > 1L) max_sweeps <- REFINEMENT$max_sweeps # to choose takes all of them
  for (k in contenders) {
    tried[[k]] <- refined(tried[[k]]$rotation, 1L, max_sweeps)
    indefinite <- indefinite + tried[[k]]$indefinite
  }
  objective <- trusted_objectives(tried)
  for (k in which(!is.na(objective))) rotations[, , k] <- tried[[k]]$rotation
  list(rotations = rotations, objective = objective, indefinite = indefinite,
       used = c(contenders[which.min(objective[contenders])], 1L)[1L])
}

#' Objectives of rotations after the spline stage, NA where its correction for noise broke down: it
#' makes up gains where it leaves regressions indefinite
#' @noRd
trusted_objectives <- function(tried) {
  broken <- vapply(tried, function(one) one$indefinite > MOST_INDEFINITE * one$fitted, NA)
  ifelse(broken, NA_real_, vapply(tried, `[[`, 0, "objective"))
}

#' Whose objectives are within `most` of the best, of equal rotations one, best first
#' @noRd
distinct_contenders <- function(tried, most) {
  rotations <- array(unlist(lapply(tried, `[[`, "rotation")),
                     c(dim(tried[[1L]]$rotation), length(tried)))
  objective <- trusted_objectives(tried)
  near <- which(objective <= min(objective, na.rm = TRUE) + most)
  distinct_rotations(rotations, near[order(objective[near])])
}

#' The same search with additive splines for mechanisms, on the rows, from a rotation
#'
#' @return list: `rotation`, `objective`, `fitted`, regressions on parents, `indefinite` of them
#' @noRd
refined_rotation <- function(rotation, part, sigma2, plan, first_sweep, max_sweeps) {
  settings <- c(replace(REFINEMENT, "max_sweeps", max_sweeps), first_sweep = first_sweep,
                noise = list(part$noise %||% sigma2), variance_floor = VARIANCE_FLOOR * sigma2,
                threads = plan$threads, perfect = plan$intervention == "perfect")
  with_spinner(plan$progress, "Start: spline mechanisms", {
    .Call(C_rotation_refine, part$x, rotation, part$env, part$targets, row_weights(part),
          parent_list(part$dag), settings)
  })
}

#' For each (node, state) with rows: weight, covariance of the latents, family
#'
#' The covariance is that of the pooled domains in principal coordinates, less the noise variance:
#' what is left is the latents', so that regressions on parents have no errors in variables. With
#' perfect interventions a targeted node has no parents.
#' @noRd
rotation_cells <- function(data, start, perfect = FALSE) {
  d <- data$d
  moments <- .Call(C_domain_moments, data$x %*% start$orthonormal, data$env, data$n_domains)
  share <- data$n * data$weights
  parents <- parent_list(data$dag)
  cells <- cells_of(seq_len(d))
  cells <- cells[mapply(function(j, c) any(data$targets[, j] == c), cells$node, cells$state), ]
  cov <- array(0, c(d, d, nrow(cells)))
  weight <- numeric(nrow(cells))
  for (k in seq_len(nrow(cells))) {
    domains <- which(data$targets[, cells$node[k]] == cells$state[k])
    weight[k] <- sum(share[domains])
    part <- share[domains] / weight[k]
    mean <- drop(moments$mean[, domains, drop = FALSE] %*% part)
    second <- matrix(moments$second[, , domains], d * d) %*% part
    cov[, , k] <- matrix(second, d) - tcrossprod(mean) - (start$noise %||% diag(start$sigma2, d))
  }
  coord <- Map(c, cells$node, parents[cells$node])
  if (perfect) coord <- cut_families(coord, cells$state)
  list(cov = cov, weight = weight, coord = coord, state = cells$state)
}

#' Families without the parents of intervened nodes
#' @noRd
cut_families <- function(coord, state) {
  Map(function(family, c) if (parents_act(c, TRUE)) family else family[1L], coord, state)
}

#' Principal components, mixed as is most likely: the start of `mixing = "psd"`
#'
#' The search (src/start/unmixing.c) is over W = B^-1, A = UB with U the principal components, in
#' coordinates in which the pooled covariance is the identity; it starts from the best rotation and
#' from random ones. With spline mechanisms, SAEM goes on from the best optimum.
#' @return As interventional_start(), `orthonormal` and `scale` being the polar factors of A
#' @noRd
unmixing_start <- function(data, plan, call = rlang::caller_env()) {
  start <- start_space(data, call)
  if (!is.null(data$space$found)) {
    return(found_start(start, data, plan, call))
  }
  cells <- rotation_cells(data, start, plan$intervention == "perfect")
  rotation <- best_rotation(cells, VARIANCE_FLOOR * start$sigma2, plan)
  found <- unmixing_search(cells, start, rotation, plan$start$starts, plan)
  mixed_start(start, found, data, plan, call)
}

#' A start from optima of correlated columns, the best of which draws move on
#' @param found list: `rotation` (d x d x starts: B, A = UB), `objective`.
#' @noRd
mixed_start <- function(start, found, data, plan, call) {
  d <- data$d
  optima <- distinct_optima(found)
  mixing <- matrix(found$rotation[, , optima$which[1L]], d)
  part <- principal_part(data, start)
  if ("draws" %in% plan$stages && d > 1L && any(data$dag != 0L)) {
    drawn <- sampled_mixing(mixing, part, start$sigma2, plan)
    start[names(drawn$counts)] <- drawn$counts
    mixing <- drawn$mixing
  }
  found$rotation[, , optima$which[1L]] <- mixing
  optima$mixing <- optima_mixing(found, optima$which, start$orthonormal, part, plan)
  best <- polar_start(mixing, call)
  start[c("orthonormal", "scale")] <- list(start$orthonormal %*% best$orthonormal, best$scale)
  start$indefinite <- 0L
  start$optima <- tibble::as_tibble(optima[c("objective", "starts", "distance", "refined", "risk",
                                             "mixing")])
  start
}

#' The start from the A that came with the space of the factors
#' @noRd
found_start <- function(start, data, plan, call) {
  mixing <- unit_columns(solve(data$space$whiten, data$space$found))
  found <- list(rotation = array(mixing, c(dim(mixing), 1L)), objective = -data$space$loglik)
  mixed_start(start, found, data, plan, call)
}

#' @noRd
unit_columns <- function(mixing) {
  mixing / rep(sqrt(colSums(mixing^2)), each = nrow(mixing))
}

#' Unmixings for linear mechanisms, from a rotation and from random starts
#'
#' In coordinates in which the pooled covariance is the identity.
#' @return list: `rotation` (d x d x starts), B of unit columns; `objective`; `begin`, that of the
#'   rotation, all up to one constant
#' @noRd
unmixing_search <- function(cells, start, rotation, starts, plan) {
  d <- nrow(rotation)
  pooled <- matrix(matrix(cells$cov, d * d) %*% (cells$weight / sum(cells$weight)), d)
  spectrum <- eigen(pooled, symmetric = TRUE)
  spectrum$values <- pmax(spectrum$values, VARIANCE_FLOOR * start$sigma2)
  whiten <- symmetric_power(spectrum, -1 / 2)
  cells$cov[] <- apply(cells$cov, 3L, function(cov) whiten %*% cov %*% whiten)
  noise <- whiten %*% (start$noise %||% diag(start$sigma2, d)) %*% whiten
  first <- symmetric_power(spectrum, 1 / 2) %*% rotation
  found <- with_spinner(plan$progress, "Start: search for the mixing", steps = starts, {
    .Call(C_unmixing_starts, cells$cov, cells$weight, cells$coord, noise, VARIANCE_FLOOR, first,
          starts, plan$seed)
  })
  found$begin <- .Call(C_unmixing_value, cells$cov, cells$weight, cells$coord, noise,
                       VARIANCE_FLOOR, first)$objective
  found$rotation <- array(apply(found$directions, 3L, function(w) {
    unit_columns(solve(t(w) %*% whiten))
  }), dim(found$directions))
  found
}

#' Rotations for linear mechanisms, from the principal axes and from random starts
#' @return list: `rotation` (d x d x starts), `objective`, `rise` (d x d x starts, see
#'   hardly_told())
#' @noRd
rotation_search <- function(cells, floor, plan, starts = plan$start$starts) {
  with_spinner(plan$progress, "Start: search for the rotation", steps = starts, {
    .Call(C_rotation_starts, cells$cov, cells$weight, cells$coord, floor, starts, plan$seed,
          UNTOLD$turn)
  })
}

#' The best of them
#' @noRd
best_rotation <- function(cells, floor, plan, starts = plan$start$starts) {
  found <- rotation_search(cells, floor, plan, starts)
  matrix(found$rotation[, , which.min(found$objective)], nrow(cells$cov))
}

#' The distinct optima among the results of all starts, best first
#' @noRd
distinct_optima <- function(found) {
  order <- order(found$objective)
  kept <- integer()
  hits <- integer()
  for (s in order) {
    same <- which(squared_distances(found$rotation, kept, s) < SAME_OPTIMUM)
    if (length(same) > 0L) {
      hits[same[1L]] <- hits[same[1L]] + 1L
    } else {
      kept <- c(kept, s)
      hits <- c(hits, 1L)
    }
  }
  sorted_optima(found, kept, hits)
}

#' @param which Rotations of `found` that are optima.
#' @param starts Searches that ended in each.
#' @noRd
sorted_optima <- function(found, which, starts) {
  order <- order(found$objective[which])
  which <- which[order]
  unknown <- rep(NA_real_, length(which))
  list(which = which, objective = found$objective[which], starts = starts[order],
       distance = squared_distances(found$rotation, which, which[1L]), refined = unknown,
       risk = unknown)
}

#' Squared Frobenius distances of some rotations from one, signs aside
#' @param rotations d x d x starts.
#' @noRd
squared_distances <- function(rotations, from, to) {
  vapply(from, function(a) {
    products <- apply(rotations[, , a, drop = FALSE] * rotations[, , to, drop = FALSE], 2L, sum)
    2 * sum(pmax(0, 1 - abs(products)))
  }, 0)
}

#' Of some rotations those that are not the same as one before them
#' @param rotations d x d x starts.
#' @noRd
distinct_rotations <- function(rotations, which) {
  kept <- integer()
  for (k in which) {
    if (all(squared_distances(rotations, kept, k) >= SAME_OPTIMUM)) kept <- c(kept, k)
  }
  kept
}

#' The optima with the one that the start goes on from moved to the front
#' @noRd
used_first <- function(optima, used, rotations) {
  order <- order(seq_along(optima$which) != used)
  optima <- lapply(optima, `[`, order)
  optima$distance <- squared_distances(rotations, optima$which, optima$which[1L])
  optima
}

#' A (p x d) of each of several optima, with the signs that a fit gives the latents
#' @param basis Principal components (p x d), which `found$rotation` turns.
#' @param part Data with principal coordinates (n x d) for `x`.
#' @noRd
optima_mixing <- function(found, which, basis, part, plan) {
  lapply(which, function(s) {
    turn <- matrix(found$rotation[, , s], part$d)
    mixing <- basis %*% turn
    sign <- latent_signs(mixing, part, plan, unmixing = t(solve(turn)))
    mixing <- mixing * rep(sign, each = part$p)
    `dimnames<-`(mixing, list(part$feature_names, part$latent_names))
  })
}

#' Pairs of latents that linear mechanisms hardly tell apart at an optimum: the log-likelihood falls
#' by less than it may over a turn of the two into one another, see UNTOLD
#' @param rise d x d x starts, see rotation_rises() in src/start/rotation.h.
#' @return "z1 and z2", ...
#' @noRd
hardly_told <- function(rise, s, data) {
  at <- matrix(rise[, , s], data$d)
  # nuisance factors, which are the last, need not be told from one another
  asked <- upper.tri(at) & row(at) <= data$d - nuisance_of(data)
  pairs <- which(at < UNTOLD$rise & asked, arr.ind = TRUE)
  paste(data$latent_names[pairs[, 1L]], "and", data$latent_names[pairs[, 2L]])[seq_len(nrow(pairs))]
}

#' How many of the latents of an engine, the last ones, are nuisance factors
#' @noRd
nuisance_of <- function(data) {
  data$space$nuisance %||% 0L
}

#' Latents that interventions do not tell apart: groups of those targeted in the same domains, or
#' one just where the other is not, or in none (or all). Within a group only the graph distinguishes
#' them: to the likelihood, states 0 and 1 are two labels that may be exchanged.
#' @noRd
untold_latents <- function(data) {
  first <- rep(data$targets[1L, ], each = data$n_domains)
  pattern <- apply(abs(data$targets - first), 2L, paste, collapse = "")
  constant <- apply(data$targets, 2L, function(column) length(unique(column)) == 1L)
  pattern[constant] <- "constant"
  groups <- split(data$latent_names, pattern)
  unname(groups[lengths(groups) > 1L | names(groups) == "constant"])
}

#' Which latents some intervention cuts off from their parents
#' @noRd
is_cut <- function(data, perfect) {
  perfect & colSums(data$targets) > 0
}

#' Pairs of a latent j and a parent k of which `mixing = "psd"` cannot tell z_j from z_j + c z_k:
#' no child of j objects, as all are children of k, too, and no target state of j cuts its parents
#' @noRd
shearable_pairs <- function(data, perfect) {
  parents <- parent_list(data$dag)
  pairs <- lapply(which(!is_cut(data, perfect)), function(j) {
    tied <- vapply(parents[[j]], function(k) all(data$dag[j, ] <= data$dag[k, ]), NA)
    cbind(node = rep(j, sum(tied)), parent = parents[[j]][tied])
  })
  do.call(rbind, unname(pairs)) # names would be translated, which a locale may not be able to
}
