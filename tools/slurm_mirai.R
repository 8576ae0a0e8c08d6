# Run by tools/slurm_mirai.sh inside a SLURM: passes on two workers that mirai submits by sbatch.
suppressPackageStartupMessages(library(ebcrl))
set.seed(1)
sim <- sim_crl(chain_dag(3), n = 400, p = 20)
# several blocks of these few rows
utils::assignInNamespace("block_size", function(p) 250, "ebcrl")
fit <- function(...) suppressMessages(fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag,
                                              control = crl_control(threads = 1, seed = 1), ...))
cl <- mirai::make_cluster(2, url = mirai::host_url(), remote = mirai::cluster_config("sbatch"))
for (i in 1:60) if (mirai::status(cl)$connections < 2) Sys.sleep(1) # both have come
jobs <- parallel::clusterApply(cl, 1:2, function(i) {
  Sys.sleep(1) # so that each worker takes one
  Sys.getenv("SLURM_JOB_ID")
})
cat("Workers are the jobs", unlist(jobs), "\n")
there <- fit(cl = cl)
system2("squeue")
parallel::stopCluster(cl)
here <- fit(checkpoint = tempfile()) # in the same blocks
parts <- c("latents", "latents_sd", "mixing", "sigma2")
cat("Same bits as without a cluster:", identical(there[parts], here[parts]), "\n")
