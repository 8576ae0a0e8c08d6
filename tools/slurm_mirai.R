# Run by tools/slurm_mirai.sh inside a SLURM: passes on two workers that mirai submits by sbatch.
suppressPackageStartupMessages(library(ebcrl))
set.seed(1)
sim <- sim_crl(chain_dag(3), n = 400, p = 20)
# several blocks of these few rows
utils::assignInNamespace("block_size", function(p) 250, "ebcrl")
fit <- function(...) suppressMessages(fit_crl(sim$x, env = sim$env, targets = sim$targets, dag = sim$dag,
                                              control = crl_control(threads = 1, seed = 1), ...))
launcher <- mirai::cluster_config(command = "sbatch", options = paste(
  "#SBATCH --job-name=ebcrl", "#SBATCH --cpus-per-task=1", "#SBATCH --output=worker-%j.log",
  sep = "\n"
), rscript = file.path(R.home("bin"), "Rscript"))
cl <- mirai::make_cluster(2, url = mirai::local_url(tcp = TRUE), remote = launcher)
jobs <- parallel::clusterCall(cl, Sys.getenv, "SLURM_JOB_ID")
cat("Workers are the jobs", unlist(jobs), "\n")
there <- fit(cl = cl)
system2("squeue")
parallel::stopCluster(cl)
here <- fit(checkpoint = tempfile()) # in the same blocks
parts <- c("latents", "latents_sd", "mixing", "sigma2")
cat("Same bits as without a cluster:", identical(there[parts], here[parts]), "\n")
