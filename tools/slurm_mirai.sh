#!/bin/sh
# A one-node SLURM on this machine (Debian: slurmctld slurmd slurm-client munge), for as long as the
# script runs, and a fit whose passes run on workers that mirai's launcher submits to it by sbatch.
# Needs root. Prints whether the fit has the bits of one without a cluster.
#
#   tools/slurm_mirai.sh [folder of the installed package and its dependencies ...]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d /tmp/slurm-mirai.XXXXXX)
host=$(hostname -s)
for name in munged slurmctld slurmd sbatch; do
  command -v "$name" > /dev/null || { echo "$0: no $name (apt: slurmctld slurmd slurm-client munge)" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "$0: needs root" >&2; exit 1; }

stop() {
  for pid in $(cat "$work"/*.pid 2> /dev/null); do kill "$pid" 2> /dev/null || true; done
  sleep 1
  rm -rf "$work" || true
}
trap stop EXIT INT TERM

# munge: a key and a socket of its own
mkdir -p "$work/state" "$work/spool" "$work/munge"
dd if=/dev/urandom of="$work/munge/key" bs=1024 count=1 2> /dev/null
chmod 711 "$work"
chown -R munge "$work/munge"
chmod 700 "$work/munge"
chmod 400 "$work/munge/key"
chmod 711 "$work/munge"
socket="$work/munge/socket"
su -s /bin/sh munge -c "munged --force --key-file='$work/munge/key' --socket='$socket' \
  --pid-file='$work/munge/pid' --log-file='$work/munge/log' --seed-file='$work/munge/seed'"
cp "$work/munge/pid" "$work/munged.pid"

cat > "$work/slurm.conf" << EOF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
SlurmctldPort=36817
SlurmdPort=36818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=10 State=UP OverSubscribe=FORCE:4
EOF
export SLURM_CONF="$work/slurm.conf"
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF"
for i in $(seq 20); do
  sinfo -h -o %t 2> /dev/null | grep -q idle && break
  sleep 1
done
sinfo

libraries="$here/.lib/ebcrl:$here/.lib/deps"
for folder; do libraries="$libraries:$folder"; done
cd "$work"
R_LIBS="$libraries" Rscript "$here/tools/slurm_mirai.R"
