# Matching of estimated to true latents: mixing columns are determined up to order and sign.

#' Match the columns of an estimated mixing matrix with the true ones
#'
#' Finds the signed permutation of the columns of the estimate that brings it closest to the truth
#' in the Frobenius norm: the assignment that maximises the sum of \eqn{|a_j^{*\prime} \hat a_k|},
#' each column then turned to point the way of its partner.
#'
#' @param estimate,truth Mixing matrices (p x d). Lengths of columns are not changed.
#'
#' @return A list of class `crl_alignment`:
#'   \item{permutation}{integer vector of length d: column `permutation[j]` of the estimate
#'     matches column j of the truth}
#'   \item{signs}{length d, 1 or -1: `estimate[, permutation] * rep(signs, each = p)` is aligned}
#'   \item{gap}{sum of \eqn{|a_j^{*\prime} \hat a_k|} of this assignment minus that of the best
#'     one that differs from it; half of what the squared Frobenius error would rise by. 0 is a
#'     tie; `Inf` if d = 1. For orthonormal columns each term is at most 1}
#'   \item{agreement}{length d, absolute cosine of each matched pair: 1 is perfect}
#' @section Errors:
#' `ebcrl_error_truth` if the two differ in shape; `ebcrl_error_type` or `_missing` if one is not
#' a matrix of finite numbers.
#' @seealso [frobenius_error()], [rel_mse()], [clue::solve_LSAP()]
#' @examples
#' truth <- qr.Q(qr(matrix(rnorm(40), 10)))
#' align_latents(truth[, c(3, 1, 4, 2)] * rep(c(1, -1, -1, 1), each = 10), truth)
#' @export
align_latents <- function(estimate, truth) {
  truth <- check_numeric_matrix(truth, "truth")
  estimate <- check_numeric_matrix(estimate, "estimate")
  check_same_shape(estimate, truth, "mixing matrix")
  cross <- crossprod(truth, estimate)
  match <- assign_columns(abs(cross))
  matched <- cross[cbind(seq_along(match), match)]
  norms <- sqrt(colSums(truth^2) * colSums(estimate[, match, drop = FALSE]^2))
  structure(
    list(permutation = match,
         signs = stats::setNames(ifelse(matched < 0, -1, 1), colnames(truth)),
         gap = max(0, sum(abs(matched)) - runner_up(abs(cross), match)),
         agreement = stats::setNames(abs(matched) / norms, colnames(truth))),
    class = "crl_alignment"
  )
}

#' @export
print.crl_alignment <- function(x, ...) {
  d <- length(x$permutation)
  named <- names(x$signs) %||% paste("column", seq_len(d))
  cat("Alignment of ", count_of(d, "latent"), ", gap to the next best assignment ",
      format(x$gap, digits = 3), "\n", sep = "")
  cat(paste0("  ", format(named), "  <- ", ifelse(x$signs < 0, "-", "+"), x$permutation,
             "  cosine ", format(x$agreement, digits = 3)), sep = "\n")
  invisible(x)
}

#' The assignment of columns to rows with the largest total
#' @noRd
assign_columns <- function(value) {
  as.integer(clue::solve_LSAP(value, maximum = TRUE))
}

#' The largest total of an assignment that differs from `best`: one of its pairs must be given up
#' @noRd
runner_up <- function(value, best) {
  d <- length(best)
  if (d == 1L) {
    return(-Inf)
  }
  # a bonus on every pair but the forbidden one, larger than any total, keeps that pair out
  bonus <- d * max(value) + 1
  totals <- vapply(seq_len(d), function(j) {
    allowed <- value + bonus
    allowed[j, best[j]] <- 0
    sum(value[cbind(seq_len(d), assign_columns(allowed))])
  }, numeric(1L))
  max(totals)
}

#' Columns of a matrix (p x d mixing, or n x d latents) in the order and with the signs of the
#' truth
#' @noRd
apply_alignment <- function(x, alignment) {
  x[, alignment$permutation, drop = FALSE] * rep(alignment$signs, each = nrow(x))
}

#' @noRd
check_same_shape <- function(estimate, truth, what, call = rlang::caller_env()) {
  if (identical(dim(estimate), dim(truth))) {
    return(invisible())
  }
  abort_input(c("The estimated {what} must have the shape of those in {.arg truth}.",
                "x" = paste("The estimate is {nrow(estimate)} x {ncol(estimate)}, the truth",
                            "{nrow(truth)} x {ncol(truth)}."),
                "i" = "Compare a fit with the simulation it was fitted to."), "truth", call = call)
}
