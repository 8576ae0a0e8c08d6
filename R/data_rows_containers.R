# Containers of Bioconductor and Seurat: features in rows, samples in columns. Their packages are
# needed only by those who have such an object.

#' @export
crl_rows.SummarizedExperiment <- function(x, assay = NULL, env = NULL, ...,
                                          call = rlang::caller_env()) {
  check_package("SummarizedExperiment", "reading a SummarizedExperiment", call)
  known <- SummarizedExperiment::assayNames(x)
  if (is.null(assay)) assay <- if ("logcounts" %in% known) "logcounts" else 1L
  fits <- if (is.character(assay)) assay %in% known else
    assay %in% seq_along(SummarizedExperiment::assays(x))
  if (length(assay) != 1L || !fits) {
    abort_input(c("{.arg assay} must be an assay of {.arg x}.", "x" = "It is {describe(assay)}.",
                  "i" = "The assays are {some(known)}."), "range", call = call)
  }
  rows <- samples_in_columns(SummarizedExperiment::assay(x, assay), call)
  tell_counts(rows, if (is.numeric(assay)) known[assay] else assay)
  samples <- as.data.frame(SummarizedExperiment::colData(x), optional = TRUE)
  with_sample_column(rows, env, samples, "colData(x)", call)
}

#' @export
crl_rows.Seurat <- function(x, layer = "data", assay = NULL, env = NULL, ...,
                            call = rlang::caller_env()) {
  check_package("SeuratObject", "reading a Seurat object", call)
  rows <- samples_in_columns(seurat_layer(x, assay, layer), call)
  tell_counts(rows, layer)
  with_sample_column(rows, env, x[[]], "the metadata of x", call)
}

#' Counts are not what the model is about
#' @param name Of the assay or layer that was read, if it was one.
#' @noRd
tell_counts <- function(rows, name = NULL) {
  if (identical(name, "counts")) {
    tell(c("!" = "{.arg x} is read as {.val counts}, and the model has normal noise.",
           "i" = paste("Divide by library sizes and take logarithms first: {.val logcounts} of",
                       "SingleCellExperiment, {.val data} of Seurat.")),
         class = "ebcrl_message_counts")
  } else if (looks_counted(rows)) {
    tell(c("!" = "{.arg x} looks like counts (whole numbers from 0), and the model has normal noise.",
           "i" = "If it is, divide by library sizes and take logarithms first."),
         class = "ebcrl_message_counts")
  }
  rows
}

# Rows that are looked at, and the largest number that counts have among these at least.
COUNTED_ROWS <- 200L
COUNTED_LARGEST <- 10

#' Are the first rows whole numbers from 0, some of them beyond what a scale of answers has?
#' @noRd
looks_counted <- function(rows) {
  values <- if (!is.null(rows$matrix)) {
    rows$matrix[seq_len(min(COUNTED_ROWS, rows$n)), , drop = FALSE]
  } else if (identical(rows$kind, "a sparse matrix in memory")) {
    utils::head(rows$read(1L)$value, 1e5)
  }
  length(values) > 0L && !anyNA(values) && min(values) >= 0 &&
    max(values) >= COUNTED_LARGEST && all(is.finite(values)) && all(values == floor(values))
}

#' @noRd
seurat_layer <- function(x, assay, layer) {
  if (utils::packageVersion("SeuratObject") >= "5.0.0") {
    read <- getExportedValue("SeuratObject", "LayerData") # not there before version 5
    return(read(x, layer = layer, assay = assay))
  }
  SeuratObject::GetAssayData(x, slot = layer, assay = assay)
}

#' @noRd
samples_in_columns <- function(x, call) {
  if (is_a(x, "dgCMatrix")) {
    return(turned_sparse(x))
  }
  if (is.matrix(x) && is.numeric(x)) {
    return(matrix_rows(as_doubles(t(x))))
  }
  crl_rows(if (is.matrix(x)) t(x) else BiocGenerics::t(x), call = call)
}

#' Where `env` is the name of a column of the samples' table, that column; covariates are looked for
#' in the table, too
#' @noRd
with_sample_column <- function(rows, env, samples, what, call) {
  if (rlang::is_string(env) && nrow(samples) != 1L) {
    check_sample_column(env, samples, what, call)
    env <- samples[[env]]
  }
  rows$brings["env"] <- list(env)
  rownames(samples) <- NULL # rows have the names of the samples
  rows$samples <- samples
  rows
}

#' @noRd
check_sample_column <- function(env, samples, what, call) {
  if (!env %in% names(samples)) {
    abort_input(c("{.arg env} must be a column of {.code {what}}, or the domain of each row.",
                  "x" = "There is no column {.val {env}}.",
                  did_you_mean(env, names(samples), "val"),
                  "i" = "The columns are {some(names(samples))}."), "domain", call = call)
  }
}

# Latents back into containers --------------------------------------------------------------------

#' A container with the latents of its samples as reduced dimensions
#' @noRd
with_reduced_dimensions <- function(data, arg, fit, latents, sds, call) {
  if (methods::is(data, "SingleCellExperiment")) {
    check_package("SingleCellExperiment", "writing reduced dimensions", call)
    check_samples(ncol(data), latents, call)
    named <- function(part) `rownames<-`(part, colnames(data))
    SingleCellExperiment::reducedDim(data, "ebcrl") <- named(latents)
    SingleCellExperiment::reducedDim(data, "ebcrl_sd") <- named(sds)
    return(data)
  }
  if (is_a(data, "Seurat")) {
    check_package("SeuratObject", "writing reduced dimensions", call)
    check_samples(ncol(data), latents, call)
    numbered <- paste0("CRL_", seq_len(fit$data$d))
    data[["ebcrl"]] <- SeuratObject::CreateDimReducObject(
      embeddings = `dimnames<-`(latents, list(colnames(data), numbered)),
      loadings = `dimnames<-`(fit$mixing, list(fit$data$feature_names, numbered)),
      key = "CRL_", assay = SeuratObject::DefaultAssay(data),
      misc = list(latents_sd = sds)
    )
    return(data)
  }
  abort_input(c(paste("{.arg {arg}} must be a data frame, a matrix, a SingleCellExperiment or a",
                      "Seurat object."), "x" = "It is {describe(data)}."), "type", call = call)
}

#' @noRd
check_samples <- function(n, latents, call) {
  if (n != nrow(latents)) {
    abort_input(c("{.arg data} must have the {nrow(latents)} samples of the training data.",
                  "x" = "It has {n}."), "shape", call = call)
  }
}
