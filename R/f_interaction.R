# What `interaction = "auto"` stands for, and which tensors are refused: by the coefficients of a
# (node, state) cell against its rows.

# Coefficients for a row up to which "auto" takes an interaction. Above, a tensor of two parents was
# worse than a sum over parents by 2 % (33 coefficients for a row) to 10 % and more (67).
# Pairs gain where they have rows enough, at twenty times the cost of a sum over parents.
MOST_PER_ROW <- c(tensor = 20, pairwise = 2)

# Coefficients of a cell up to which it does, whatever the rows: three parents of a tensor, five of
# pairs. With four a tensor takes thirty times as long as a sum over parents, for the same error.
MOST_COEFFICIENTS <- c(tensor = 1e4, pairwise = 1e4)

# Coefficients for a row above which a tensor is refused.
HOPELESS_PER_ROW <- 5000

#' What `interaction = "auto"` stands for
#'
#' One kind for all latents: to a latent with one parent or none all kinds are the same, and to one
#' with two "pairwise" is the tensor.
#' @return "tensor", "pairwise" or "additive"
#' @noRd
resolved_interaction <- function(control, data) {
  if (control$spline$interaction != "auto") {
    return(control$spline$interaction)
  }
  fits <- vapply(names(MOST_PER_ROW), function(kind) {
    cells <- spline_cells(kind, data, control)
    all(cells$coefficients <= MOST_COEFFICIENTS[[kind]] &
          cells$coefficients <= MOST_PER_ROW[[kind]] * cells$rows)
  }, NA)
  chosen <- c(names(MOST_PER_ROW)[fits], "additive")[1L]
  if (chosen != "tensor") {
    tell_interaction(chosen, fullest_cell(data, control))
  }
  chosen
}

#' One line: what was chosen, and the figures that decided
#' @noRd
tell_interaction <- function(chosen, tensor) {
  tell(c("i" = paste(
    "{.code interaction = \"{chosen}\"}: a tensor of {.val {tensor$node}} and its {tensor$parents}",
    "parents would have {tensor$coefficients} coefficients for {tensor$rows} rows."
  )), class = c("ebcrl_message_interaction", "ebcrl_message"))
}

#' Refuse a tensor that no rows can fill
#' @noRd
check_tensor <- function(data, control, call) {
  if (control$spline$interaction != "tensor") {
    return(invisible())
  }
  cell <- fullest_cell(data, control)
  if (isTRUE(cell$per_row > HOPELESS_PER_ROW)) {
    additive <- count_coefficients("additive", cell$parents, control$knots)
    abort_input(c(
      paste("{.code interaction = \"tensor\"} must not have more than {HOPELESS_PER_ROW}",
            "coefficients for a row."),
      "x" = paste("{.val {cell$node}} has {cell$parents} parents: {cell$coefficients}",
                  "coefficients for {cell$rows} rows in a target state."),
      "i" = paste("{.code interaction = \"additive\"} has {additive}; without {.arg interaction}",
                  "one is chosen.")
    ), "memory", call = call)
  }
}

#' The cells (node, target state) that have rows and two parents or more
#' @return list of vectors, one entry a cell: `node` (name), `parents`, `rows`, `coefficients`
#' @noRd
spline_cells <- function(interaction, data, control) {
  parents <- lengths(parent_list(data$dag))
  parents <- rbind(parents, if (control$intervention == "perfect") 0L * parents else parents)
  rows <- rbind(data$n_env %*% (1L - data$targets), data$n_env %*% data$targets)
  kept <- rows > 0 & parents > 1L
  list(node = data$latent_names[col(rows)[kept]], parents = parents[kept], rows = rows[kept],
       coefficients = count_coefficients(interaction, parents[kept], control$knots))
}

#' The cell whose tensor has the most coefficients for a row, numbers of it in words; `per_row`
#' @noRd
fullest_cell <- function(data, control) {
  cells <- spline_cells("tensor", data, control)
  at <- which.max(cells$coefficients / cells$rows)
  cell <- lapply(cells, `[`, at)
  cell$per_row <- cell$coefficients / cell$rows
  cell[c("coefficients", "rows")] <- lapply(cell[c("coefficients", "rows")], format,
                                            big.mark = ",", decimal.mark = ".", scientific = FALSE)
  cell
}

#' Spline coefficients of a family, see term_count() and term_size() in src/spline/terms.c
#' @noRd
count_coefficients <- function(interaction, parents, knots) {
  most <- switch(interaction, tensor = Inf, pairwise = 2, additive = 1)
  terms <- if (is.finite(most)) choose(pmax(parents, most), most) else 1
  terms * (knots + 2)^(1 + pmin(parents, most))
}
