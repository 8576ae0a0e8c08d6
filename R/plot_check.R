# autoplot(fit, "check"): do the residuals look like the noise that the fit supposes?

#' @noRd
plot_check <- function(fit, call = rlang::caller_env()) {
  free <- fit$data$p - length(fit$data$constant) - ncol(fit$mixing) - length(fit$nuisance$scores[1L, ])
  if (free < 1L || any(check_noise_var(fit) <= 0)) {
    abort_input(c("There are no residuals to draw.",
                  "x" = "{.arg x} has no noise, or no more features than factors."), "range",
                call = call)
  }
  points <- check_points(fit)
  lines <- check_lines(fit, levels(points$panel))
  ggplot2::ggplot(points, ggplot2::aes(.data$place, .data$value)) +
    ggplot2::geom_point(data = lines$supposed, shape = 95L, size = 2,
                        colour = okabe_ito("vermillion")) +
    ggplot2::geom_line(data = lines$shown, colour = okabe_ito("vermillion"), linewidth = 0.5) +
    ggplot2::geom_hline(ggplot2::aes(yintercept = .data$value), data = lines$level,
                        linetype = "dashed", colour = "grey30") +
    ggplot2::geom_point(colour = okabe_ito("blue"), size = 0.9) +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free", ncol = 2L) +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    ggplot2::scale_y_continuous(n.breaks = 4L, guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    ggplot2::labs(title = "Residuals as noise", x = NULL, y = NULL,
                  subtitle = in_lines(paste("Lines: what the fit supposes. Dashed: what noise alone",
                                            "hardly exceeds."), 40L)) +
    theme_crl() +
    ggplot2::theme(strip.text = ggplot2::element_text(size = 8))
}

#' @noRd
check_noise_var <- function(fit) {
  varying <- setdiff(seq_len(fit$data$p), fit$data$constant)
  unname((fit$noise_var %||% rep(fit$sigma2, fit$data$p))[varying])
}

#' @noRd
check_panels <- function() {
  c(variance = "Feature variances", eigen = "Eigenvalues",
    normal = "Normal quantiles", domain = "Domain means, se")
}

#' Least-squares residuals off the space of A and nuisance factors, which shrinkage leaves alone
#' @return list: `whitened` (n x p, in units of the noise), `left` (p), `q`, dimensions of the space,
#'   `y` (n x q), the pseudo-latents
#' @noRd
check_residuals <- function(fit) {
  varying <- setdiff(seq_len(fit$data$p), fit$data$constant)
  psi <- check_noise_var(fit)
  x <- kept_x(fit$data, "autoplot(, \"check\")")[, varying, drop = FALSE]
  if (!is.null(fit$center)) x <- x - rep(fit$center[varying], each = nrow(x))
  x <- x / rep(sqrt(psi), each = nrow(x))
  columns <- cbind(fit$mixing, fit$nuisance$mixing)[varying, , drop = FALSE] / sqrt(psi)
  basis <- qr.Q(qr(columns))
  left <- pmax(1 - rowSums(basis^2), 1e-8) # share of a feature's noise that the space leaves
  along <- x %*% basis
  list(whitened = x - tcrossprod(along, basis), left = left, q = ncol(basis),
       y = along %*% t(solve(crossprod(basis, columns))))
}

#' @noRd
check_points <- function(fit) {
  data <- fit$data
  rest <- check_residuals(fit)
  whitened <- rest$whitened
  psi <- check_noise_var(fit)
  panels <- check_panels()
  part <- function(panel, place, value) {
    tibble::tibble(panel = factor(panels[[panel]], panels), place = place, value = value)
  }
  values <- residual_values(rest, 20L)
  unit <- whitened / rep(sqrt(rest$left), each = data$n)
  probability <- stats::ppoints(200L)
  means <- rowsum(unit, data$env) / sqrt(data$n_env) # in standard errors
  rbind(part("variance", seq_along(psi), psi * colMeans(unit^2)),
        part("eigen", seq_along(values), values),
        part("normal", stats::qnorm(probability),
             unname(stats::quantile(unit, probability, names = FALSE))),
        part("domain", as.vector(row(means)), as.vector(means)))
}

#' What is to be seen where the model holds
#' @noRd
check_lines <- function(fit, panels) {
  psi <- check_noise_var(fit)
  q <- ncol(fit$mixing) + NCOL(fit$nuisance$mixing) * !is.null(fit$nuisance)
  n <- fit$data$n
  free <- max(length(psi) - q, 1L)
  part <- function(panel, place, value) {
    tibble::tibble(panel = factor(panels[panel], panels), place = place, value = value)
  }
  most <- stats::qnorm(1 - 5e-4 / (free * fit$data$n_domains))
  # one noise variance is a line; those of features, which have no order, are marks
  equal <- length(unique(psi)) == 1L
  list(supposed = if (equal) part(1L, numeric(), numeric()) else part(1L, seq_along(psi), psi),
       shown = rbind(if (equal) part(1L, range(seq_along(psi)), psi[1:2]),
                     part(3L, c(-3, 3), c(-3, 3))),
       level = rbind(part(2L, NA, noise_edge(n - q, free) * (n - q) / n),
                     part(4L, NA, c(-most, most))))
}
