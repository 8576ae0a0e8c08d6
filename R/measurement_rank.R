# How many factors the second moments of x show, before anything is known of graph and targets.

# Eigenvalues of noise that a scree plot shows beside those of factors.
SCREE_BEYOND <- 10L

# Largest number of factors that is looked for unless said.
MOST_FACTORS <- 20L

#' How many factors the data show
#'
#' Counts the common factors of the features, latents and nuisance factors alike, that stand out of
#' the noise in the second moments of `x` about its means. Factors are added to a factor model as
#' long as the largest eigenvalue that is left of the moments, whitened by the fitted noise, is above
#' what noise alone would exceed in one of a thousand samples (Johnstone 2001).
#'
#' A latent is seen if its variance, over all domains, is above about \eqn{\sqrt{p / n}} of that of
#' the noise. Latents that follow from others without noise of their own, and factors that move one
#' feature only, are not seen. With few features and unequal noise the number may come out one too
#' large, since the noise that whitens is itself estimated.
#'
#' @param x Observations, as in [fit_crl()]: a numeric matrix (n x p), a data frame of numbers, a list
#'   with one matrix for each domain, a simulation ([sim_crl()]), or a container of cells; what else
#'   [crl_rows()] takes, if it makes a matrix of it.
#' @param d Number of latents, if known: what is beyond are nuisance factors, for `fit_crl(nuisance =
#'   )`. `NULL` (the default): not known.
#' @param noise `"auto"` (the default) and `"by_feature"`: noise variances by feature, as far as the
#'   features are enough to tell them. `"equal"`: one variance.
#' @param most Largest number of factors that is looked for (default 20).
#' @param threads Number of threads; the result is the same for any.
#' @param env,covariates Domains of the rows and known covariates, as in [fit_crl()], whose effects
#'   within domains are taken out of `x` before factors are counted. Domains are not needed without
#'   covariates.
#' @param object For `autoplot()`, a `crl_rank`.
#' @param ... For [crl_rows()], such as `assay`; an argument that it does not read is an error.
#' @return An object of class `crl_rank`, a list of
#'   \item{factors}{number of factors}
#'   \item{d, nuisance}{number of latents, as given, and of factors beyond; NULL if not given}
#'   \item{values}{tibble, a row for each number of factors tried: `factors`, `eigenvalue` (the largest
#'     beyond them, in units of the noise), `edge` (of noise alone), `above` (is it above?)}
#'   \item{spectrum}{leading eigenvalues of the whitened moments with all factors fitted}
#'   \item{edge}{the edge of noise for these}
#'   \item{noise_var}{(p) noise variances}
#'   \item{n, p}{rows, and features with more than one value}
#'   `tidy()`: `values`. `autoplot()`: a scree plot, `spectrum` against `edge`.
#' @section Errors:
#' Those of [fit_crl()] for `x`; `ebcrl_error_range` where `d` is larger than `most`, and
#' `ebcrl_error_rank` for fewer than 4 rows or features.
#' @references Johnstone, I. M. (2001). On the distribution of the largest eigenvalue in principal
#'   components analysis. *Annals of Statistics*, 29, 295-327. \doi{10.1214/aos/1009210544}
#' @seealso [fit_crl()], whose `nuisance = "auto"` counts in the same way from d factors on.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(chain_dag(3), n = 200, p = 30, nuisance = 1)
#' shown <- crl_rank(sim, d = 3)
#' shown
#' tidy(shown)
#' autoplot(shown)
#' @export
crl_rank <- function(x, d = NULL, noise = c("auto", "equal", "by_feature"), most = 20,
                     threads = getOption("ebcrl.threads", 1L), env = NULL, covariates = NULL,
                     ...) {
  check_fit_dots(...)
  noise <- check_choice(noise, c("auto", "equal", "by_feature"), "noise")
  most <- check_number(most, "most", min = 1, integer = TRUE)
  if (!is.null(d)) d <- check_number(d, "d", min = 1, max = most, integer = TRUE)
  threads <- check_number(threads, "threads", min = 1, max = 1024, integer = TRUE)
  call <- rlang::current_env()
  rows <- if (is.null(env)) crl_rows(x, ..., call = call) else
    crl_rows(x, env = env, ..., call = call)
  data <- rank_rows(rows, rows$brings$env %||% env, covariates, call)
  moments <- feature_moments(data, TRUE, threads)
  found <- factor_number(moments, 0L, most, noise, call)
  new_rank(found, moments, d, noise, call)
}

#' Rows of x as one domain, as feature_moments() takes them
#' @noRd
rank_rows <- function(rows, env, covariates, call) {
  x <- matrix_of_rows(rows, "The number of factors", call = call)
  scan <- check_finite_matrix(x, "x", call = call)
  if (length(scan$constant) > 0L) {
    report_constant(x, scan$constant)
    x <- x[, -scan$constant, drop = FALSE]
    scan[c("mean", "spread")] <- list(scan$mean[-scan$constant], scan$spread[-scan$constant])
  }
  if (min(dim(x)) < 4L) {
    abort_input(c("{.arg x} must have at least 4 rows and 4 features that vary.",
                  "x" = "It has {nrow(x)} row{?s} and {ncol(x)} such feature{?s}."), "rank",
                call = call)
  }
  data <- list(x = x, env = rep(1L, nrow(x)), weights = 1, n_env = nrow(x), n = nrow(x),
               p = ncol(x), means = scan$mean, spreads = scan$spread / nrow(x))
  if (is.null(covariates)) data else rank_without_covariates(data, rows, env, covariates, call)
}

#' @noRd
rank_without_covariates <- function(data, rows, env, covariates, call) {
  if (is.null(env)) {
    abort_input(c("{.arg env} must be given with {.arg covariates}: the domain of each row.",
                  "i" = "The effects of covariates are those within domains."), "type", call = call)
  }
  check_env(env, rows, "env", call)
  domains <- as.integer(factor(domain_labels(env)))
  within <- data
  within[c("env", "n_env", "n_domains")] <- list(domains, tabulate(domains), max(domains))
  within["row_names"] <- list(rows$row_names)
  within <- without_covariates(within, covariates, rows$samples, call)
  data[c("x", "means", "spreads")] <- within[c("x", "means", "spreads")]
  data
}

#' @noRd
new_rank <- function(found, moments, d, noise, call) {
  n <- moments$n
  p <- moments$p
  k <- found$factors
  equal <- noise == "equal" || factor_freedom(p, k) < 0
  psi <- factor_psi(moments, k, equal, 0.5 * moments$square, call)
  shown <- min(k + SCREE_BEYOND, p, n - 1L)
  top <- leading_whitened(moments, psi, shown, call)
  values <- found$values
  values$above <- values$eigenvalue > values$edge
  structure(list(factors = k, d = d, nuisance = if (!is.null(d)) max(k - d, 0L), values = values,
                 spectrum = top$values, edge = values$edge[nrow(values)], noise_var = psi,
                 n = n, p = p), class = "crl_rank")
}

#' @export
print.crl_rank <- function(x, ...) {
  cat(count_of(x$n, "row"), ", ", count_of(x$p, "feature"), ": ", count_of(x$factors, "factor"),
      " above the edge of noise\n", sep = "")
  write_lines(c(rank_words(x), rank_edge_words(x)))
  invisible(x)
}

#' @noRd
rank_words <- function(rank) {
  d <- rank$d
  if (is.null(d)) {
    return(NULL)
  }
  if (rank$factors < d) {
    return(paste0("Fewer than the ", count_of(d, "latent"), ": some carry no signal of their own ",
                  "beside the noise, or follow from others."))
  }
  if (rank$nuisance == 0L) {
    return(paste0("As many as there are latents (", d, "): no nuisance factors."))
  }
  paste0(count_of(d, "latent"), " and ", count_of(rank$nuisance, "nuisance factor"),
         ": `fit_crl(nuisance = ", rank$nuisance, ")` models them.")
}

#' @noRd
rank_edge_words <- function(rank) {
  last <- rank$values[nrow(rank$values), ]
  of_noise <- paste0(figures(last$edge, 3L), ", the edge of noise")
  next_one <- paste0("the largest eigenvalue beyond, in units of the noise: ",
                     figures(last$eigenvalue, 3L))
  if (last$above) {
    return(paste0("There may be more: ", next_one, ", above ", of_noise, "; raise `most`."))
  }
  before <- rank$values[max(nrow(rank$values) - 1L, 1L), ]
  paste0(if (rank$factors > 0L) {
    paste0("The weakest factor has eigenvalue ", figures(before$eigenvalue, 3L), "; ")
  }, next_one, ", below ", of_noise, ".")
}

#' @rdname crl_rank
#' @export
tidy.crl_rank <- function(x, ...) {
  check_dots_empty(...)
  x$values
}

#' @rdname crl_rank
#' @export
autoplot.crl_rank <- function(object, ...) {
  check_dots_empty(...)
  kinds <- c("factor", "noise")
  place <- seq_along(object$spectrum)
  kind <- factor(kinds[1L + (place > object$factors)], kinds)
  points <- tibble::tibble(place = place, value = object$spectrum, kind = kind)
  known <- if (!is.null(object$d)) paste0(", ", count_of(object$d, "latent"), " known")
  ggplot2::ggplot(points, ggplot2::aes(.data$place, .data$value)) +
    ggplot2::geom_hline(yintercept = object$edge, linetype = "dashed", colour = "grey30") +
    ggplot2::geom_line(colour = "grey70", linewidth = 0.4) +
    ggplot2::geom_point(ggplot2::aes(colour = .data$kind, shape = .data$kind), size = 2) +
    ggplot2::scale_y_log10() +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    ggplot2::scale_colour_manual(values = stats::setNames(
      okabe_ito(c("blue", "vermillion")), kinds
    )) +
    ggplot2::scale_shape_manual(values = stats::setNames(c(16, 1), kinds)) +
    ggplot2::labs(title = "Factors in the second moments",
                  subtitle = paste0(count_of(object$factors, "factor"), known,
                                    "\nDashed: the edge of noise"),
                  x = "Number of the eigenvalue", y = "Eigenvalue\n(in units of the noise)",
                  colour = NULL, shape = NULL) +
    theme_crl()
}

#' @export
plot.crl_rank <- function(x, ...) {
  print_plot(autoplot(x, ...))
}
