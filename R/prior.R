# Priors of g-modeling: what they are made by. A prior is one file, R/prior_<name>.R, with its
# constructor prior_<name>() and its methods of the generics in R/fit_engine.R, and one entry here.

PRIORS <- c("spline", "linear", "normal")

#' A prior from its name and its checked settings
#' @param family Name of a family of priors whose methods it has where it has none of its own.
#' @noRd
new_prior <- function(name, ..., family = NULL) {
  structure(list(...), class = c(paste0("prior_", c(name, family)), "crl_prior"))
}

#' A prior from what a user passed as `prior`: made by a constructor (and perhaps edited), or a name
#' @noRd
as_prior <- function(prior, call) {
  if (rlang::is_string(prior)) {
    return(prior_maker(check_choice(prior, PRIORS, "prior", "control", call))())
  }
  name <- if (inherits(prior, "crl_prior") && is.list(prior)) prior_name(prior)
  if (!isTRUE(name %in% PRIORS)) {
    abort_input(c("{.arg prior} must be made by {.or {.fn {paste0('prior_', PRIORS)}}}, or be one of
                   the names {.or {.val {PRIORS}}}.",
                  "x" = "It is {describe(prior)}."), "control", call = call)
  }
  maker <- prior_maker(name)
  check_setting_names(prior, setdiff(names(formals(maker)), "..."), "prior", class(prior)[1L], call)
  do.call(class(prior)[1L], unclass(prior))
}

#' @noRd
prior_maker <- function(name) {
  get(paste0("prior_", name), mode = "function")
}

#' "spline", "linear", ...
#' @noRd
prior_name <- function(prior) {
  sub("^prior_", "", class(prior)[1L])
}

#' @export
print.crl_prior <- function(x, ...) {
  cat(setting_words(x), sep = "\n")
  invisible(x)
}
