# usage: Rscript tools/lint.R
# Lints R/, tests/, vignettes/, tools/ and bench/ by .lintr; exits 1 if there is anything to say.

lints <- c(lintr::lint_package("."), lintr::lint_dir("tools"), lintr::lint_dir("bench"))
for (lint in lints) print(lint)
cat(length(lints), "lints\n")
if (length(lints) > 0L) quit(status = 1L)
