# autoplot(fit, "check"): do the residuals look like the noise that the fit supposes?

#' @noRd
plot_check <- function(fit, call = rlang::caller_env()) {
  check_complete(fit, "autoplot", call)
  check_free(fit, 1L, "There are no residuals to draw.", call)
  rest <- check_residuals(fit)
  points <- check_points(fit, rest)
  lines <- check_lines(fit, rest, levels(points$panel))
  ggplot2::ggplot(points, ggplot2::aes(.data$place, .data$value)) +
    # as wide as their places, so that points do not cover them
    ggplot2::geom_segment(ggplot2::aes(x = .data$place - 0.4, xend = .data$place + 0.4,
                                       yend = .data$value), lines$supposed, linewidth = 0.5,
                          colour = okabe_ito("vermillion")) +
    ggplot2::geom_line(data = lines$shown, colour = okabe_ito("vermillion"), linewidth = 0.5) +
    ggplot2::geom_hline(ggplot2::aes(yintercept = .data$value), data = lines$level,
                        linetype = "dashed", colour = "grey30") +
    ggplot2::geom_point(colour = okabe_ito("blue"), size = 0.9) +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free", ncol = 2L) +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    ggplot2::scale_y_continuous(n.breaks = 5L, guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    ggplot2::labs(title = "Residuals as noise", x = NULL, y = NULL,
                  subtitle = in_lines(paste("Lines: what the fit supposes. Dashed: what noise alone",
                                            "hardly exceeds."), 40L)) +
    theme_crl() +
    ggplot2::theme(strip.text = ggplot2::element_text(size = 8))
}

#' @noRd
check_noise_var <- function(fit) {
  unname((fit$noise_var %||% rep(fit$sigma2, fit$data$p))[varying_of(fit$data)])
}

#' Columns of A and of nuisance factors, which residuals are off the space of
#' @noRd
check_columns <- function(fit) {
  cbind(fit$mixing, fit$nuisance$mixing)[varying_of(fit$data), , drop = FALSE]
}

#' @param least Features beyond factors that there have to be.
#' @noRd
check_free <- function(fit, least, problem, call) {
  columns <- check_columns(fit)
  if (nrow(columns) - ncol(columns) < least || any(check_noise_var(fit) <= 0)) {
    abort_input(c(problem, "x" = "{.arg x} has no noise, or no more features than factors."),
                "range", call = call)
  }
}

#' @noRd
check_panels <- function() {
  c(variance = "Feature variances", eigen = "Eigenvalues",
    normal = "Normal quantiles", domain = "Domain means, se")
}

#' Least-squares residuals off the space of A and nuisance factors, which shrinkage leaves alone
#' @return list: `whitened` (n x p, in units of the noise), `unit` (n x p, each of variance 1 where the
#'   model holds), `q`, dimensions of the space, `edge`, which the largest eigenvalue of noise hardly
#'   exceeds, `y` (n x q), the pseudo-latents, `reach` (p x d), weights of the features' noise, in its
#'   units, in that of each latent, of length 1
#' @noRd
check_residuals <- function(fit) {
  varying <- varying_of(fit$data)
  psi <- check_noise_var(fit)
  x <- kept_x(fit$data, "autoplot(, \"check\")")[, varying, drop = FALSE]
  if (!is.null(fit$center)) x <- x - rep(fit$center[varying], each = nrow(x))
  x <- x / rep(sqrt(psi), each = nrow(x))
  columns <- check_columns(fit) / sqrt(psi)
  basis <- qr.Q(qr(columns))
  left <- pmax(1 - rowSums(basis^2), 1e-8) # share of a feature's noise that the space leaves
  along <- x %*% basis
  whitened <- x - tcrossprod(along, basis)
  n <- nrow(x)
  q <- ncol(basis)
  to_latents <- solve(crossprod(basis, columns))
  weights <- (basis %*% t(to_latents))[, seq_len(fit$data$d), drop = FALSE]
  list(whitened = whitened, unit = whitened / rep(sqrt(left), each = n), q = q,
       edge = noise_edge(n - q, ncol(x) - q) * (n - q) / n,
       y = along %*% t(to_latents),
       reach = weights / rep(sqrt(colSums(weights^2)), each = nrow(weights)))
}

#' @noRd
check_points <- function(fit, rest) {
  data <- fit$data
  psi <- check_noise_var(fit)
  panels <- check_panels()
  part <- function(panel, place, value) {
    tibble::tibble(panel = factor(panels[[panel]], panels), place = place, value = value)
  }
  values <- residual_values(rest, 20L)
  probability <- stats::ppoints(200L)
  means <- rowsum(rest$unit, data$env) / sqrt(data$n_env) # in standard errors
  rbind(part("variance", seq_along(psi), psi * colMeans(rest$unit^2)),
        part("eigen", seq_along(values), values),
        part("normal", stats::qnorm(probability),
             unname(stats::quantile(rest$unit, probability, names = FALSE))),
        part("domain", as.vector(row(means)), as.vector(means)))
}

#' What is to be seen where the model holds
#' @noRd
check_lines <- function(fit, rest, panels) {
  psi <- check_noise_var(fit)
  part <- function(panel, place, value) {
    tibble::tibble(panel = factor(panels[panel], panels), place = place, value = value)
  }
  most <- stats::qnorm(1 - 5e-4 / ((length(psi) - rest$q) * fit$data$n_domains))
  # one noise variance is a line; those of features, which have no order, are marks
  equal <- length(unique(psi)) == 1L
  list(supposed = if (equal) part(1L, numeric(), numeric()) else part(1L, seq_along(psi), psi),
       shown = rbind(if (equal) part(1L, range(seq_along(psi)), psi[1:2]),
                     part(3L, c(-3, 3), c(-3, 3))),
       level = rbind(part(2L, NA, rest$edge),
                     part(4L, NA, c(-most, most))))
}
