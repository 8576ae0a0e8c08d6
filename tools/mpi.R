# Run by tools/mpi.sh on rank 0.
suppressPackageStartupMessages(library(ebcrl))
set.seed(1)
sim <- sim_crl(chain_dag(3), n = 400, p = 20)
utils::assignInNamespace("block_size", function(p) 250, "ebcrl") # several blocks of few rows
fit <- function(...) suppressMessages(fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag,
                                              control = crl_control(threads = 1, seed = 1), ...))
cl <- snow::getMPIcluster()
cat("Workers:", length(cl), class(cl), "\n")
there <- fit(cl = cl)
snow::stopCluster(cl)
here <- fit(checkpoint = tempfile())
parts <- c("latents", "latents_sd", "mixing", "sigma2")
cat("Same bits as without a cluster:", identical(there[parts], here[parts]), "\n")
Rmpi::mpi.quit()
