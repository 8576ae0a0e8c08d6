# Signs of latents, which the model leaves open: the rule is in src/model/signs.c.

SIGN_CHOICES <- c("auto", "up", "down", "loadings")

#' Signs by which to multiply the columns of A (p x d) and the latents
#'
#' @param mixing p x d, or that of coordinates.
#' @param data Data, of which `x` are observations, or other coordinates of them (n x q).
#' @param unmixing q x d: latents are `data$x %*% unmixing`, up to positive factors. By default the
#'   least-squares latents.
#' @noRd
latent_signs <- function(mixing, data, control,
                         unmixing = mixing %*% solve(crossprod(mixing))) {
  .Call(C_latent_signs_of, data$x %*% unname(unmixing), loadings_of(mixing, data), data$env,
        data$targets,
        wanted_signs(control, data))
}

#' The same from loadings alone
#' @noRd
loading_signs <- function(mixing) {
  .Call(C_latent_signs_of, NULL, unname(mixing), NULL, NULL, NULL)
}

#' Are the latents of a fit turned? Where `init` gives A, only if `signs` asks for it
#' @noRd
turns_signs <- function(control, label) {
  !identical(control$signs, "auto") || label %in% c("pca", "interventional")
}

#' What is wanted of each latent, in the form of src/model/signs.h: 1 up, -1 down, 0 by the loadings
#' @noRd
wanted_signs <- function(control, data) {
  signs <- control$signs
  if (!is.null(names(signs))) {
    signs <- stats::setNames(rep("up", data$d), data$latent_names)
    signs[names(control$signs)] <- control$signs
  }
  code <- c(auto = 1L, up = 1L, down = -1L, loadings = 0L)
  rep_len(unname(code[signs]), data$d)
}

#' One choice, or a choice for some latents by name
#' @noRd
check_signs <- function(signs, call) {
  if (!is.character(signs) || length(signs) <= 1L && is.null(names(signs))) {
    return(check_choice(signs, SIGN_CHOICES, "signs", "control", call = call))
  }
  named <- names(signs)
  if (is.null(named) || any(!nzchar(named)) || anyNA(named) || anyDuplicated(named)) {
    abort_input(c("{.arg signs} must be one choice, or choices named by latents.",
                  "x" = "It is {describe(signs)}.",
                  "i" = "Such as {.code signs = c(z1 = \"down\")}; other latents are {.val up}."),
                "control", call = call)
  }
  wrong <- setdiff(signs, SIGN_CHOICES[-1L])
  if (length(wrong) > 0L) {
    abort_input(c("{.arg signs} must be {.val up}, {.val down} or {.val loadings} for each latent.",
                  "x" = "Found {some(wrong)}."), "control", call = call)
  }
  signs
}

#' @noRd
check_sign_names <- function(control, data, call) {
  unknown <- setdiff(names(control$signs), data$latent_names)
  if (length(unknown) > 0L) {
    abort_input(c("The names of {.arg signs} must be latents.",
                  "x" = "Not among them: {some(unknown)}.",
                  "i" = "The latents are {some(data$latent_names)}."), "control", call = call)
  }
}
