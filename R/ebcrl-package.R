#' @keywords internal
#' @useDynLib ebcrl, .registration = TRUE, .fixes = "C_"
#' @importFrom rlang %||%
"_PACKAGE"
