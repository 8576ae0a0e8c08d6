# Where text is measured without a device, R opens one that writes Rplots.pdf.
withr::local_pdf(NULL, .local_envir = testthat::teardown_env())
