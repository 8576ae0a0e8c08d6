# Does a fit describe its data? Each assumption of the model has a check with a level of its own;
# together they alarm in 5 % of data sets for which the model holds.
#
# Residuals off the space of the factors tell of features; posterior draws of the latents' noise u,
# whose moments average to those that the model says (law of total expectation), of mechanisms.

# Posterior draws of a row, sweeps between them, rows that are looked at.
CHECK <- list(draws = 10L, thin = 5L, rows = 20000L, simulated = 4000L)

#' Does a fit describe its data?
#'
#' Checks the assumptions of a fit one by one, in words and in one page of plots, and compares what
#' its causal model predicts with what was seen: means, variances and quantiles of features by domain,
#' and domains that were left out.
#'
#' @details
#' | check | assumption | departure that it sees |
#' | --- | --- | --- |
#' | `noise` | noise variances of features are those of the fit | unequal noise in a fit of equal noise |
#' | `tails` | noise is normal | outliers, skewness |
#' | `factors` | nothing moves features together but the latents | batches and other nuisance factors |
#' | `means` | domains move features only through the latents | means left out, effects past the latents |
#' | `domains` | noise is the same in all domains | domains measured otherwise |
#' | `mixing` | features are linear in the latents | curved or interacting effects of latents on features |
#' | `rows` | rows are independent | time order, repeated measurements side by side |
#' | `targets` | a mechanism is the same in all domains of its state | wrong or missing targets |
#' | `graph` | noise of a latent is independent of those that are no descendants | missing or reversed edges |
#' | `shape` | mechanisms have the shape of the fit | curves under linear mechanisms, interactions |
#' | `latent_noise` | noise of latents is normal, or as fitted | heavy tails, skewness |
#'
#' The first seven look at residuals off the space of the factors, the others at posterior draws of
#' the noise u of each latent (of a fit by `method = "f"`, with mechanisms fitted to draws of its
#' latents), whose moments average over rows to what the model says. A check takes the largest of its
#' statistics (Bonferroni), and significant are those that Holm's method rejects at `level` over all
#' checks. With many rows or features departures are significant that matter little. An alarm
#' therefore is a departure that is significant and of a `size` of at least `least`; others that are
#' significant are named as small. Sizes are free of the number of rows, and in the units of what
#' the latents feel, their noise: of `means`, `factors`, `mixing` and `domains` by how much of the sd
#' of the noise that latents have from x the departure would add, were it as large along the latents
#' as it is off them; of `noise` by how much a feature's noise sd is off; of `tails` the skewness (over
#' \eqn{\sqrt{6}}) or excess kurtosis (over \eqn{\sqrt{24}}) that the noise of a latent gets from
#' that of features, where it averages out over many of them; of `latent_noise` the same of u; of
#' `rows`, `graph` and `shape` a correlation; of `targets` a shift in sd of u, or by how much this sd
#' is off. A departure may raise alarms of other checks as well.
#'
#' @param fit A `crl_fit`, from [fit_crl()], with its rows.
#' @param level Probability that there is any alarm where the model holds.
#' @param least Size below which a departure is no alarm, however significant: see Details. 0: all that
#'   are significant are alarms.
#' @param held_out Are domains left out and predicted? Takes a fit of the mechanisms for each domain
#'   with targets.
#' @param ... Not used; an argument that nothing reads is an error.
#' @return An object of class `crl_check`: a list with
#'   \item{checks}{tibble by check: `statistic` (the largest, as a standard normal deviate), `p.value`,
#'     `p.adjusted` (Holm), `size` (the largest of what stands out), `alarm`, `where` (in words)}
#'   \item{verdict}{one sentence}
#'   \item{predictive}{tibble by (domain, feature): `mean`, `sd`, `q10` and `q90` as seen and
#'     (`_predicted`) as the model has them, `z`, difference of the means in standard errors}
#'   \item{latents}{tibble by (domain, latent): mean of its noise u in standard errors (`z_mean`) and in
#'     its sd (`mean`), and the same of its variance (`z_variance`, `variance`: relative, less 1)}
#'   \item{held_out}{tibble by (domain, latent that is not its target): `seen`, mean of its
#'     pseudo-latents; `std.error`; `predicted`, from mechanisms of the other domains, the targets
#'     being drawn as they were seen; `before`, its mean in the other domains that do not target it}
#'   \item{residuals}{what `autoplot()` draws}
#'   `tidy()` gives `checks`; `autoplot()` and `plot()` draw the page: means and standard deviations of
#'   features by domain as seen against those predicted; quantiles of residuals against normal ones;
#'   residual variances by feature in units of the noise; eigenvalues of the residuals, with the edge of
#'   noise; means of the latents' noise by domain in standard errors.
#' @section Random numbers:
#' R's generator: `set.seed()` fixes the result.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 300, p = 20, nonlinearity = "linear")
#' fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' check <- crl_check(fit)
#' check
#' plot(check)
#' @export
crl_check <- function(fit, level = 0.05, least = 0.05, held_out = TRUE, ...) {
  check_dots_empty(...)
  fit <- check_fit(fit, rows = TRUE)
  check_complete(fit, "crl_check")
  level <- check_level(level)
  least <- check_number(least, "least", min = 0)
  check_flag(held_out, "held_out")
  fit <- with_kept_x(fit, "crl_check()")
  seed <- sample.int(.Machine$integer.max, 1L)
  fit <- without_constant(fit)
  check_free(fit, 2L, "{.fn crl_check} needs residuals.", rlang::current_env())
  engine <- mechanism_fit(fit, rlang::current_env())
  model <- compact_model(engine, fit)
  residuals <- check_residuals(fit)
  noise <- drawn_noise(engine, model, seed)
  checks <- c(residual_checks(fit, residuals), latent_checks(noise, model))
  table <- check_table(checks, level, least)
  with_own_draws(seed = seed, code = function() {
    structure(list(
      checks = table,
      verdict = check_verdict(table, level, ncol(fit$nuisance$mixing) %||% 0L, least),
      predictive = predictive_table(fit, model), latents = noise_table_by_domain(noise, model),
      held_out = if (held_out && model$kind != "normal") held_out_table(fit, engine, model, noise),
      residuals = residual_points(residuals), level = level
    ), class = "crl_check")
  })
}

# Deviates beyond are infinite to working precision.
DEVIATE_MOST <- 1e3

# Level at which one of a check's departures counts for its size.
CLEAR <- 0.05

# The table ---------------------------------------------------------------------------------------

#' One check: the largest of some deviates
#' @param z Deviates, standard normal where the model holds.
#' @param size What each departs by, see crl_check().
#' @param where Character of that length, or a function of the position of the largest.
#' @noRd
one_check <- function(name, z, size, where) {
  z[is.nan(z)] <- 0
  z <- pmin(pmax(z, -DEVIATE_MOST), DEVIATE_MOST)
  if (length(z) == 0L) {
    return(list(name = name, statistic = NA_real_, p.value = NA_real_, size = NA_real_, where = ""))
  }
  at <- which.max(abs(z))
  clear <- union(at, which(abs(z) > stats::qnorm(1 - CLEAR / (2 * length(z)))))
  log_p <- stats::pnorm(-abs(z[at]), log.p = TRUE) + log(2) + log(length(z))
  list(name = name, statistic = z[at], p.value = min(1, exp(log_p)),
       size = max(abs(size[clear]), na.rm = TRUE),
       where = if (is.function(where)) where(at) else where[at])
}

#' A p-value as a one-sided deviate, so that it can stand beside others (of which it is then twice)
#' @noRd
deviate_of <- function(log_p) {
  stats::qnorm(log_p - log(2), lower.tail = FALSE, log.p = TRUE)
}

#' @noRd
check_table <- function(checks, level, least = 0) {
  of <- function(name, kind) unname(vapply(checks, `[[`, kind, name))
  p <- of("p.value", 0)
  adjusted <- stats::p.adjust(p, "holm")
  size <- of("size", 0)
  alarm <- !is.na(adjusted) & adjusted < level & size >= least
  tibble::tibble(check = of("name", ""), statistic = of("statistic", 0), p.value = p,
                 p.adjusted = adjusted, size = size, alarm = alarm, where = of("where", ""))
}

#' Significant, but no alarm
#' @noRd
is_small <- function(table, level) {
  !is.na(table$p.adjusted) & table$p.adjusted < level & !table$alarm
}

CHECK_WORDS <- c(
  noise = "noise differs by feature (noise = \"by_feature\" models that)",
  tails = "noise of features is not normal (outliers?)",
  factors = "something moves features together beside the latents (nuisance = \"auto\" models that)",
  means = "domains move features past the latents, or means are left out (center = TRUE)",
  domains = "noise differs by domain",
  mixing = "features are not linear in the latents",
  rows = "rows are not independent of their neighbours",
  targets = "mechanisms differ between domains that should share them: are all targets given?",
  graph = "latents depend on others that the graph does not let act on them",
  shape = "mechanisms have another shape than those fitted",
  latent_noise = "noise of latents is not normal (prior_spline(noise = 2) models that)"
)

#' @param nuisance Nuisance factors of the fit, whose model need not be recommended.
#' @noRd
check_verdict <- function(table, level, nuisance = 0L, least = 0) {
  done <- sum(!is.na(table$p.value))
  found <- table[table$alarm, ]
  small <- table$check[is_small(table, level)]
  small <- if (length(small) > 0L) {
    paste0(" Significant, but small (below ", format(least), ", see `size`): ",
           paste(small, collapse = ", "), ".")
  }
  if (nrow(found) == 0L) {
    return(paste0("No departure from the model ", if (is.null(small)) "shows" else "that matters shows",
                  " in ", done, " checks (level ", format(100 * level), " % in all).", small))
  }
  found <- found[order(found$p.value), ]
  words <- CHECK_WORDS
  if (nuisance > 0L) {
    words["factors"] <- paste("something moves features together beside the latents and",
                              count_of(nuisance, "nuisance factor"), "(more of them, covariates?)")
    words["graph"] <- paste("latents depend on nuisance factors, or on others that the graph does",
                            "not let act on them")
  }
  paste0("The data depart from the model: ",
         paste0(words[found$check], " [", found$where, "]", collapse = "; "), ".", small)
}

#' @export
print.crl_check <- function(x, ...) {
  write_lines(x$verdict)
  cat("\n")
  shown <- x$checks
  small <- is_small(shown, x$level)
  shown$alarm <- ifelse(shown$alarm, "*", ifelse(small, "small", ""))
  shown$p.adjusted <- format.pval(shown$p.adjusted, digits = 2L, eps = 1e-4)
  shown$size <- ifelse(is.na(shown$size), "", formatC(shown$size, digits = 3L, format = "f"))
  most <- max(30L, cli::console_width() - 50L) # beside the other columns
  long <- nchar(shown$where) > most
  shown$where[long] <- paste0(substr(shown$where[long], 1L, most - 2L), "...")
  shown$statistic <- formatC(shown$statistic, digits = 1L, format = "f")
  print(as.data.frame(shown[c("check", "statistic", "p.adjusted", "size", "alarm", "where")]),
        row.names = FALSE, right = FALSE)
  held <- x$held_out
  if (!is.null(held) && nrow(held) > 0L) {
    explained <- 1 - sum((held$seen - held$predicted)^2) / sum((held$seen - held$before)^2)
    write_lines(paste0("\nDomains left out: mechanisms of the others predict ",
                       if (explained > 0) paste(round(100 * explained), "%") else "none",
                       " of the squared shifts of latents that are no targets."))
  }
  invisible(x)
}

#' @rdname crl_check
#' @param x,object A `crl_check`.
#' @export
tidy.crl_check <- function(x, ...) {
  check_dots_empty(...)
  x$checks
}

# Residuals ---------------------------------------------------------------------------------------

#' @param residuals See check_residuals().
#' @noRd
residual_checks <- function(fit, residuals) {
  data <- fit$data
  n <- data$n
  unit <- residuals$unit
  names <- data$feature_names %||% paste("feature", seq_len(ncol(unit)))
  square <- unit^2
  variance <- colMeans(square)
  spread <- sqrt(pmax(colMeans(square^2) - variance^2, 1e-12))
  free <- ncol(unit) - residuals$q
  list(
    one_check("noise", (variance - 1) / spread * sqrt(n), sqrt(variance) - 1, names),
    tails_check(unit, variance, residuals$reach, free, names),
    factors_check(residuals),
    means_check(unit, residuals$reach, fit, free, names),
    domains_check(square, fit),
    mixing_check(unit, residuals, fit, free),
    rows_check(unit, residuals, fit)
  )
}

#' Excess kurtosis and skewness over all features: sums of independent terms. Of a sum with weights w of
#' length 1 they are the sums with w^4 and w^3
#' @param reach Weights of the features in each latent (p x d), see check_residuals().
#' @noRd
tails_check <- function(unit, variance, reach, free, names) {
  n <- nrow(unit)
  centred <- unit - rep(colMeans(unit), each = n)
  kurtosis <- colMeans(centred^4) / variance^2 - 3 + 6 / n
  skewness <- colMeans(centred^3) / variance^1.5
  total <- mean(kurtosis) / sqrt(24 / (n * free))
  # the sum of squares of free ones, of which those that are shown are linear combinations
  skewed <- deviate_of(stats::pchisq(sum(skewness^2) * n / 6 * free / length(skewness), free,
                                     lower.tail = FALSE, log.p = TRUE))
  largest <- function(sums) max(abs(sums))
  size <- c(largest(crossprod(reach^4, kurtosis)) / sqrt(24),
            abs(kurtosis) * apply(reach^4, 1L, max) / sqrt(24),
            largest(crossprod(reach^3, skewness)) / sqrt(6))
  one_check("tails", c(total, kurtosis / sqrt(24 / n) * 0.5, skewed), size,
            c("kurtosis over all features", names, "skewness over all features"))
}

#' The largest eigenvalue against the Tracy-Widom law, by a shifted gamma (Chiani 2014)
#' @noRd
factors_check <- function(residuals) {
  n <- nrow(residuals$whitened) - residuals$q
  p <- ncol(residuals$whitened) - residuals$q
  largest <- residual_values(residuals, 1L)[1L] * nrow(residuals$whitened)
  root <- sqrt(n - 1) + sqrt(p)
  x <- (largest - root^2) / (root * (1 / sqrt(n - 1) + 1 / sqrt(p))^(1 / 3))
  z <- deviate_of(stats::pgamma(max(x + 9.84801, 0), 46.446, scale = 0.186054, lower.tail = FALSE,
                                log.p = TRUE))
  variance <- 1 / noise_taken_up(largest / n, p / n) # in units of the noise, among p directions
  one_check("factors", z, sqrt(variance / p), paste0("an eigenvalue of ", figures(largest / n, 3L)))
}

#' Leading eigenvalues of the second moments of whitened residuals
#' @noRd
residual_values <- function(residuals, many) {
  x <- residuals$whitened
  many <- min(many, dim(x) - residuals$q)
  if (min(dim(x)) <= DENSE_EIGEN) {
    gram <- if (ncol(x) <= nrow(x)) crossprod(x) else tcrossprod(x)
    return(eigen(gram, symmetric = TRUE, only.values = TRUE)$values[seq_len(many)] / nrow(x))
  }
  RSpectra::svds(x, many, nu = 0L, nv = 0L)$d^2 / nrow(x)
}

#' @noRd
means_check <- function(unit, reach, fit, free, names) {
  data <- fit$data
  z <- rowsum(unit, data$env, reorder = TRUE) / sqrt(data$n_env)
  among <- deviate_of(stats::pchisq(rowSums(z^2) * free / ncol(z), free, lower.tail = FALSE,
                                    log.p = TRUE))
  many <- sqrt(pmax(rowSums(z^2) / free - 1, 0) / data$n_env)
  one <- abs(z) / sqrt(data$n_env) * rep(apply(abs(reach), 1L, max), each = nrow(z))
  one_check("means", c(among, as.vector(z)), c(many, as.vector(one)), function(at) {
    m <- nrow(z)
    if (at <= m) {
      return(paste0("domain ", data$env_names[at], ", many features"))
    }
    at <- at - m - 1L
    paste0("domain ", data$env_names[at %% m + 1L], ", ", names[at %/% m + 1L])
  })
}

#' @noRd
domains_check <- function(square, fit) {
  data <- fit$data
  if (data$n_domains == 1L) {
    return(one_check("domains", numeric(), numeric(), ""))
  }
  size <- rowMeans(square)
  at <- rowsum(size, data$env, reorder = TRUE)[, 1L] / data$n_env
  within <- rowsum((size - at[data$env])^2, data$env)[, 1L] / pmax(data$n_env - 1, 1)
  # against the mean of the other domains
  z <- vapply(seq_along(at), function(e) {
    share <- data$n_env[-e] / sum(data$n_env[-e])
    (at[e] - sum(share * at[-e])) /
      sqrt(within[e] / data$n_env[e] + sum(share^2 * within[-e] / data$n_env[-e]))
  }, 0)
  one_check("domains", z, sqrt(at / mean(size)) - 1, paste0("domain ", data$env_names, ", noise variance times ",
                                                            vapply(at / mean(size), figures, "",
                                                                   digits = 3L)))
}

#' Residuals against products of pseudo-latents, of which they are independent
#' @noRd
mixing_check <- function(unit, residuals, fit, free) {
  y <- residuals$y
  y <- y - rep(colMeans(y), each = nrow(y))
  pairs <- which(upper.tri(diag(ncol(y)), diag = TRUE), arr.ind = TRUE)
  design <- qr(cbind(1, y))
  names <- c(fit$data$latent_names, nuisance_names(ncol(y) - fit$data$d))
  found <- vapply(seq_len(nrow(pairs)), function(k) {
    product <- qr.resid(design, y[, pairs[k, 1L]] * y[, pairs[k, 2L]])
    cross <- drop(crossprod(product, unit))^2
    along <- cross / colSums((product * unit)^2)
    shared <- mean(cross) / sum(product^2) / nrow(unit) # of the variance of the residuals
    c(deviate_of(stats::pchisq(sum(along) * free / length(along), free, lower.tail = FALSE,
                               log.p = TRUE)),
      sqrt(max(shared - 1 / nrow(unit), 0)))
  }, c(0, 0))
  one_check("mixing", found[1L, ], found[2L, ],
            paste(names[pairs[, 1L]], "times", names[pairs[, 2L]]))
}

#' Neighbours in a domain, in the order of the rows
#' @noRd
rows_check <- function(unit, residuals, fit) {
  env <- fit$data$env
  next_row <- unlist(lapply(split(seq_along(env), env), function(at) at[-1L]), use.names = FALSE)
  this_row <- unlist(lapply(split(seq_along(env), env), function(at) at[-length(at)]),
                     use.names = FALSE)
  y <- residuals$y
  level <- rowsum(y, env, reorder = TRUE) / fit$data$n_env
  y <- y - level[env, , drop = FALSE]
  products <- cbind(rowSums(unit[this_row, , drop = FALSE] * unit[next_row, , drop = FALSE]),
                    y[this_row, , drop = FALSE] * y[next_row, , drop = FALSE])
  z <- colSums(products) / sqrt(pmax(colSums(products^2), 1e-300))
  square <- c(sum(unit^2), colSums(y^2)) / nrow(unit)
  one_check("rows", z, colMeans(products) / square, c("residuals", fit$data$latent_names,
                                                      nuisance_names(ncol(y) - fit$data$d)))
}

# Latents -----------------------------------------------------------------------------------------

#' Posterior draws of the latents and of their noise
#' @return list: `z`, `u` (n x D x draws), `env`, `targets` (n x D)
#' @noRd
drawn_noise <- function(engine, model, seed) {
  data <- engine$data
  draws <- posterior_sample(engine, CHECK$draws, CHECK$thin, seed)$draws
  z <- array(draws, c(data$n, data$d, CHECK$draws))
  state <- unclass(data$targets)[data$env, , drop = FALSE]
  u <- z
  for (k in seq_len(CHECK$draws)) {
    at <- matrix(z[, , k], data$n)
    for (j in seq_len(data$d)) {
      for (s in unique(state[, j])) {
        rows <- which(state[, j] == s)
        u[rows, j, k] <- at[rows, j] - mean_of_node(model, j, s, at[rows, , drop = FALSE])
      }
    }
  }
  list(z = z, u = u, env = data$env, state = state)
}

#' Mean over rows of what is averaged over draws, in standard errors
#' @param values rows x draws.
#' @noRd
row_deviate <- function(values, expected = 0) {
  of_row <- rowMeans(values) - expected
  sd <- stats::sd(of_row)
  if (length(of_row) < 10L || !(sd > 0)) 0 else mean(of_row) / sd * sqrt(length(of_row))
}

#' The same, with the mean itself
#' @param unit What it is divided by.
#' @return c(deviate, size)
#' @noRd
row_departure <- function(values, expected = 0, unit = 1) {
  c(row_deviate(values, expected), (mean(values) - expected) / unit)
}

#' @noRd
latent_checks <- function(noise, model) {
  names <- model$data$latent_names
  targets <- noise_table_by_domain(noise, model)
  where <- paste0("domain ", targets$domain, ", ", targets$latent)
  cells <- cells_of(seq_len(model$kept))
  parts <- Map(function(node, state) cell_checks(noise, model, node, state), cells$node, cells$state)
  gather <- function(kind) {
    found <- do.call(cbind, lapply(parts, `[[`, kind))
    if (is.null(found)) {
      return(one_check(kind, numeric(), numeric(), ""))
    }
    one_check(kind, unname(found[1L, ]), unname(found[2L, ]), colnames(found))
  }
  list(one_check("targets", c(targets$z_mean, targets$z_variance),
                 c(targets$mean, sqrt(pmax(1 + targets$variance, 0)) - 1),
                 c(paste(where, "(mean)"), paste(where, "(variance)"))),
       gather("graph"), gather("shape"), gather("latent_noise"))
}

#' Mean and variance of the noise of each latent by domain, in standard errors
#' @noRd
noise_table_by_domain <- function(noise, model) {
  data <- model$data
  one <- function(e, j) {
    rows <- noise$env == e
    u <- noise$u[rows, j, , drop = FALSE]
    u <- matrix(u, sum(rows))
    variance <- model$latent_noise_var[j, data$targets[e, j] + 1L]
    tibble::tibble(domain = data$env_names[e], latent = data$latent_names[j],
                   targeted = data$targets[e, j] == 1L, z_mean = row_deviate(u),
                   z_variance = row_deviate(u^2, variance), mean = mean(u) / sqrt(variance),
                   variance = mean(u^2) / variance - 1)
  }
  cells <- expand.grid(e = seq_along(data$env_names), j = seq_len(model$kept))
  do.call(rbind, Map(one, cells$e, cells$j))
}

#' Deviates of a (node, state), named by where they are
#' @noRd
cell_checks <- function(noise, model, node, state) {
  rows <- which(noise$state[, node] == state)
  if (length(rows) < 10L) {
    return(NULL)
  }
  names <- model$data$latent_names
  at <- function(of, k) matrix(of[rows, k, , drop = FALSE], length(rows))
  u <- at(noise$u, node)
  variance <- model$latent_noise_var[node, state + 1L]
  standard <- function(k) {
    z <- at(noise$z, k)
    (z - mean(z)) / max(stats::sd(z), 1e-12)
  }
  tag <- function(what) paste0(names[node], if (state == 1L) " (targeted)", " on ", what)
  parents <- active_parents(model, node, state)
  others <- setdiff(which(!is_descendant(model$data$dag, node)), c(node, parents))
  against <- function(value) {
    sd <- sqrt(variance * mean((value - mean(value))^2))
    row_departure(u * value, unit = max(sd, 1e-300))
  }
  graph <- vapply(others, function(k) against(standard(k)), c(0, 0))
  values <- lapply(parents, standard)
  curved <- cbind(
    do.call(cbind, lapply(values, function(z) cbind(against(z^2 - 1), against(z^3 - 3 * z)))),
    if (length(parents) > 1L) {
      utils::combn(length(parents), 2L, function(pair) {
        against(values[[pair[1L]]] * values[[pair[2L]]])
      })
    }
  )
  curved_names <- c(rep(names[parents], each = 2L), if (length(parents) > 1L) {
    utils::combn(names[parents], 2L, paste, collapse = " times ")
  })
  gaussian <- is.null(model$prior$noise)
  own <- if (gaussian) {
    cbind(row_departure(u^3 - 3 * variance * u, unit = sqrt(6) * variance^1.5),
          row_departure(u^4, 3 * variance^2, unit = sqrt(24) * variance^2))
  }
  named <- function(values, names) if (length(values) > 0L) `colnames<-`(values, names)
  list(graph = named(graph, tag(names[others])), shape = named(curved, tag(curved_names)),
       latent_noise = named(own, rep(paste0(names[node], if (state == 1L) " (targeted)"),
                                     NCOL(own))))
}

#' @noRd
is_descendant <- function(dag, node) {
  ancestor_matrix(dag)[, node] == 1L
}

# Predictions -------------------------------------------------------------------------------------

#' What the model has for each domain, beside what was seen
#' @noRd
predictive_table <- function(fit, model) {
  data <- fit$data
  centre <- model$center %||% rep(0, data$p)
  do.call(rbind, lapply(seq_len(data$n_domains), function(e) {
    x <- data$x[data$env == e, , drop = FALSE]
    z <- draw_domain(model, unclass(model$data$targets)[e, , drop = FALSE], CHECK$simulated)
    spread <- rowSums((model$mixing %*% stats::cov(z)) * model$mixing) + model$noise_var
    seen <- column_summary(x)
    tibble::tibble(
      domain = data$env_names[e], feature = model$names, seen,
      mean_predicted = unname(centre + drop(model$mixing %*% colMeans(z))),
      sd_predicted = unname(sqrt(spread)), predicted_quantiles(model, z, centre),
      z = (.data$mean - .data$mean_predicted) /
        sqrt(.data$sd^2 / nrow(x) + spread / CHECK$simulated)
    )
  }))
}

#' @noRd
column_summary <- function(x) {
  quantiles <- apply(x, 2L, stats::quantile, c(0.1, 0.9), names = FALSE)
  tibble::tibble(mean = unname(colMeans(x)), sd = unname(apply(x, 2L, stats::sd)),
                 q10 = unname(quantiles[1L, ]), q90 = unname(quantiles[2L, ]))
}

#' @noRd
predicted_quantiles <- function(model, z, centre) {
  blocks <- split(seq_along(centre), (seq_along(centre) - 1L) %/% FEATURE_BLOCK)
  do.call(rbind, unname(lapply(blocks, function(at) {
    x <- tcrossprod(z, model$mixing[at, , drop = FALSE]) + rep(centre[at], each = nrow(z)) +
      matrix(stats::rnorm(nrow(z) * length(at)), nrow(z)) *
      rep(sqrt(model$noise_var[at]), each = nrow(z))
    found <- column_summary(x)
    tibble::tibble(q10_predicted = found$q10, q90_predicted = found$q90)
  })))
}

#' Each domain predicted by mechanisms that were fitted without it
#' @noRd
held_out_table <- function(fit, engine, model, noise) {
  data <- engine$data
  left_out <- which(rowSums(data$targets) > 0L)
  if (length(left_out) == 0L || data$n_domains < 3L) {
    return(NULL)
  }
  at <- fit_coordinates(fit)
  do.call(rbind, lapply(left_out, function(e) {
    tryCatch(predicted_domain(fit, at, e, model, noise), ebcrl_error = function(e) NULL)
  }))
}

#' @noRd
predicted_domain <- function(fit, at, e, model, noise, call = rlang::caller_env()) {
  rows <- which(at$data$env != e)
  others <- other_domains(at$data, rows, e)
  settings <- if (model$kind == "linear") linear_control else companion_control
  control <- settings(fit$control)
  engine <- run_engine(control$prior, others, at$init, control, NULL, call)
  without <- compact_model(engine, fit)
  target <- which(at$data$targets[e, ] == 1L)
  drawn <- sample(which(noise$env == e), CHECK$simulated, replace = TRUE)
  do <- stats::setNames(lapply(target, function(j) noise$z[drawn, j, 1L]),
                        at$data$latent_names[target])
  z <- domain_latents(without, 0L * at$data$targets[e, , drop = FALSE], do,
                      standard_draws(without, CHECK$simulated))
  y <- at$data$x %*% t(solve(at$init$mixing))
  free <- setdiff(seq_len(model$kept), target)
  mine <- at$data$env == e
  tibble::tibble(
    domain = at$data$env_names[e], latent = at$data$latent_names[free],
    seen = unname(colMeans(y[mine, free, drop = FALSE])),
    std.error = unname(apply(y[mine, free, drop = FALSE], 2L, stats::sd)) / sqrt(sum(mine)),
    predicted = unname(colMeans(z[, free, drop = FALSE])),
    before = vapply(free, function(j) {
      mean(y[!mine & at$data$targets[at$data$env, j] == 0L, j])
    }, 0)
  )
}

#' Data without a domain
#' @noRd
other_domains <- function(data, rows, e) {
  data$x <- data$x[rows, , drop = FALSE]
  data["row_names"] <- list(data$row_names[rows])
  data$env <- as.integer(factor(data$env[rows], setdiff(seq_len(data$n_domains), e)))
  data$targets <- data$targets[-e, , drop = FALSE]
  data$env_names <- data$env_names[-e]
  data$n_env <- data$n_env[-e]
  data$weights <- data$weights[-e] / sum(data$weights[-e])
  data$n_domains <- data$n_domains - 1L
  data$n <- length(rows)
  rescanned(data)
}

# Plots -------------------------------------------------------------------------------------------

#' @noRd
residual_points <- function(residuals) {
  probability <- stats::ppoints(100L)
  list(variance = unname(colMeans(residuals$unit^2)), values = residual_values(residuals, 12L),
       edge = residuals$edge, normal = stats::qnorm(probability),
       quantiles = unname(stats::quantile(residuals$unit, probability, names = FALSE)))
}

#' @rdname crl_check
#' @export
autoplot.crl_check <- function(object, ...) {
  check_dots_empty(...)
  panels <- c(mean = "Feature means", sd = "Feature sds", normal = "Normal quantiles",
              variance = "Noise of features", eigen = "Eigenvalues",
              latents = "Latent noise, se")
  part <- function(panel, x, y) {
    tibble::tibble(panel = factor(panels[[panel]], panels), x = x, y = y)
  }
  rest <- object$residuals
  seen <- object$predictive
  latents <- object$latents
  points <- rbind(
    part("mean", seen$mean_predicted, seen$mean), part("sd", seen$sd_predicted, seen$sd),
    part("normal", rest$normal, rest$quantiles),
    part("variance", seq_along(rest$variance), rest$variance),
    part("eigen", seq_along(rest$values), rest$values),
    part("latents", match(latents$domain, unique(latents$domain)), latents$z_mean)
  )
  diagonal <- tibble::tibble(panel = factor(panels[1:3], panels), slope = 1)
  # noise by feature is that of the residuals but for rounding: room that says so
  room <- part("variance", 1, c(0.9, 1.1))
  level <- tibble::tibble(
    panel = factor(panels[c(4L, 5L, 6L, 6L)], panels),
    y = c(1, rest$edge, c(-1, 1) * stats::qnorm(1 - 0.0005 / max(nrow(latents), 1)))
  )
  alarms <- object$checks$check[object$checks$alarm]
  words <- if (length(alarms) == 0L) "No departure shows" else
    paste("Alarms:", paste(alarms, collapse = ", "))
  ggplot2::ggplot(points, ggplot2::aes(.data$x, .data$y)) +
    ggplot2::geom_abline(ggplot2::aes(slope = .data$slope, intercept = 0), diagonal,
                         colour = okabe_ito("vermillion"), linewidth = 0.5) +
    ggplot2::geom_hline(ggplot2::aes(yintercept = .data$y), level, linetype = "dashed",
                        colour = "grey30", linewidth = 0.4) +
    ggplot2::geom_blank(data = room) +
    ggplot2::geom_point(colour = okabe_ito("blue"), size = 0.8, alpha = 0.6) +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free", ncol = 2L) +
    ggplot2::scale_x_continuous(n.breaks = 4L, guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    scale_y_trace() +
    ggplot2::labs(title = "Does the fit describe its data?", x = "Predicted, or position",
                  y = "Seen",
                  subtitle = in_lines(paste0(words, ". Lines: what the fit supposes; dashed: what ",
                                             "it hardly exceeds."))) +
    theme_crl() +
    ggplot2::theme(strip.text = ggplot2::element_text(size = 7.5),
                   axis.text = ggplot2::element_text(size = 6.5),
                   panel.spacing.y = grid::unit(1, "mm"))
}

#' @rdname crl_check
#' @export
plot.crl_check <- function(x, ...) {
  print_plot(autoplot(x, ...))
}
