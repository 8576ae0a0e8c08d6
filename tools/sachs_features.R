# The fit at the end of vignettes/articles/sachs.Rmd: the eleven proteins as features, in their own
# units, three latents. Its printed lines and the picture of its check are stored beside the article.
#
#   Rscript tools/sachs_features.R         under a minute

library(ebcrl)
folder <- file.path("vignettes", "articles", "sachs")
dir.create(folder, showWarnings = FALSE, recursive = TRUE)
data <- new.env()
source(file.path("tools", "sachs_data.R"), local = data)
data(Sachs, package = "gss")
x <- as.matrix(Sachs[data$columns])
colnames(x) <- names(data$columns)
latents <- c("PKC", "PKA", "Mek")
targets <- unclass(data$targets)[, latents]
dag <- as_dag(c("PKC -> PKA", "PKC -> Mek", "PKA -> Mek"), nodes = latents)
said <- utils::capture.output(type = "message", {
  fit <- fit_crl(x, env = data$env, targets = targets, dag = dag)
})
many <- suppressMessages(fit_crl(x, env = data$env, targets = targets, dag = dag,
                                 nuisance = "auto"))$measurement$nuisance
top <- apply(abs(fit$mixing * rep(apply(fit$latents, 2, stats::sd), each = ncol(x)) /
                   apply(x, 2, stats::sd)), 2, function(a) {
  order <- order(-a)[1:3]
  paste(names(a)[order], formatC(a[order], digits = 2, format = "f"), collapse = ", ")
})
print(top)
writeLines(c(said, utils::capture.output(print(fit))), file.path(folder, "features.txt"))
utils::write.csv(data.frame(latent = latents, features = top, nuisance = many), file.path(folder, "features.csv"),
                 row.names = FALSE)
ggplot2::ggsave(file.path(folder, "check.png"), autoplot(fit, "check"), width = 7, height = 5,
                dpi = 100)
