# predict() for rows that are not one matrix in memory: block by block, each reduced to the
# coordinates that the engine of the fit reads.

#' @param to NULL, or the folder that the blocks of the result are written to.
#' @return The result for all rows, or the paths of its blocks
#' @noRd
predict_rows <- function(object, rows, targets, env, type, interval, level, to, call) {
  check_row_features(rows, object$data, call)
  check_block_model(object, call)
  design <- row_design(targets, env, rows, object$data, call)
  check_seen_states(design$targets, object, call)
  space <- reducing_space(object)
  if (!is.null(object$data$constant) && length(object$data$constant) > 0L) {
    rows$kept <- seq_len(object$data$p)[-object$data$constant]
  }
  one <- function(part, place) {
    own <- list(codes = design$codes[place$from - 1 + seq_len(place$rows)],
                targets = design$targets)
    step <- outer_step(posterior_of(space$fit, list(x = part$coordinates),
                                        inner_design(own, object), call), object, NULL)
    names <- rows$row_names[place$from - 1 + seq_len(place$rows)]
    pick_prediction(step, type, object, names, interval, level)
  }
  pass(skip_written(rows, to, call), block_reduce, function(place) {
    list(env = rep(1L, place$rows), n_domains = 1L, v = space$v, offset = space$offset,
         threads = object$control$threads)
  }, function(total, part, place) {
    if (is.null(part)) {
      return(c(total, block_path(to, place$block)))
    }
    value <- one(part, place)
    if (is.null(to)) {
      return(into_rows(total, value, place, nrow(rows)))
    }
    write_whole(value, block_path(to, place$block), call)
    c(total, block_path(to, place$block))
  }, "prediction", kept = FALSE)
}

#' @noRd
goes_by_blocks <- function(object) {
  folded <- !is.null(object$nuisance) && inner_nuisance(object$measurement) == 0L
  !folded && is.null(object$data$covariates)
}

#' Nuisance factors that were folded into the noise are told from x itself
#' @noRd
check_block_model <- function(object, call) {
  if (!goes_by_blocks(object)) {
    folded <- is.null(object$data$covariates)
    abort_input(c("{.arg newdata} must be a matrix or a data frame for this fit.",
                  "x" = "Its {if (folded) 'nuisance factors' else 'covariates'} need the rows."),
                "rows", call = call)
  }
}

#' What reduces rows to what an engine reads, and the fit as that engine sees it
#' @return list: `v` (p x r), `offset` (r), `fit`
#' @noRd
reducing_space <- function(object) {
  if (!is.null(object$inner)) {
    space <- object$inner$data$space
    return(list(v = unname(space$reduce), offset = space$offset, fit = inner_fit(object)))
  }
  if (!is.null(object$reduced)) {
    lift <- unname(object$reduced$data$space$lift)
    return(list(v = lift, offset = rep(0, ncol(lift)), fit = training_fit(object)))
  }
  basis <- polar_factor(unname(object$mixing[varying_of(object$data), , drop = FALSE]))
  fit <- without_constant(object)
  fit$mixing <- crossprod(basis, unname(fit$mixing))
  if (!is.null(fit$orthonormal)) fit$orthonormal <- crossprod(basis, unname(fit$orthonormal))
  list(v = basis, offset = rep(0, ncol(basis)), fit = fit)
}

#' @noRd
varying_of <- function(data) {
  setdiff(seq_len(data$p), data$constant)
}

#' @noRd
same_features <- function(rows, data) {
  named <- !is.null(rows$feature_names) && !is.null(data$feature_names)
  rows$p == data$p && (!named || identical(rows$feature_names, data$feature_names))
}

#' @noRd
check_row_features <- function(rows, data, call) {
  if (!same_features(rows, data)) {
    abort_input(c("{.arg newdata} must have the {data$p} feature{?s} of the fitted data, in order.",
                  "x" = "It has {rows$p}: {some(rows$feature_names)}."), "shape", call = call)
  }
}

#' @noRd
into_rows <- function(total, value, place, n) {
  if (place$rows == n) {
    return(value)
  }
  three <- length(dim(value)) == 3L
  total <- total %||% array(0, replace(dim(value), 1L, n),
                            c(list(NULL), dimnames(value)[-1L]))
  at <- place$from - 1 + seq_len(place$rows)
  if (three) total[at, , ] <- value else total[at, ] <- value
  if (!is.null(rownames(value))) {
    if (is.null(rownames(total))) rownames(total) <- character(n)
    rownames(total)[at] <- rownames(value)
  }
  total
}

#' @noRd
block_path <- function(to, k) {
  file.path(to, sprintf("block-%06d.rds", k))
}

#' Rows of which blocks that have been written already are not read
#' @noRd
skip_written <- function(rows, to, call) {
  if (is.null(to)) {
    return(rows)
  }
  if (!rlang::is_string(to)) {
    abort_input(c("{.arg to} must be the path of a folder.", "x" = "It is {describe(to)}."), "type",
                call = call)
  }
  if (!dir.exists(to) && !dir.create(to, FALSE, TRUE)) {
    abort_input(c("{.arg to} must be a folder that can be made.",
                  "x" = "{.file {to}} cannot."), "write", call = call)
  }
  rows$written <- file.exists(block_path(to, seq_len(nrow(rows$blocks))))
  rows
}
