#!/bin/sh
# usage: tools/setup.sh run|test|check|site|dev
# Installs what that stage needs (tools/packages.txt) and this machine lacks: by apt where that is
# possible, else R packages from the configured repository into .lib/deps. Does nothing when
# nothing is missing.
set -eu
cd "$(dirname "$0")/.."
export R_LIBS="$PWD/.lib/deps${R_LIBS:+:$R_LIBS}"

case "$1" in
  run | test | check) stages=$(echo "run test check" | sed "s/\($1\).*/\1/") ;;
  site) stages="run test check site" ;;
  dev) stages="run test dev" ;;
  *) echo "tools/setup.sh: no stage called '$1'" >&2; exit 2 ;;
esac

have() { command -v "$1" >/dev/null 2>&1; }

# rows KIND: "name debian" of the stages asked for
rows() {
  awk -v kind="$1" -v stages=" $stages " \
    '!/^#/ && $1 == kind && index(stages, " " $4 " ") { print $2, $3 }' tools/packages.txt
}

missing_commands() { rows command | while read -r name _; do have "$name" || echo "$name"; done; }

missing_packages() {
  names=$(rows package | cut -d" " -f1)
  if have Rscript; then Rscript tools/packages.R $names; else echo "$names"; fi
}

debian_names() { # of the rows named on standard input
  while read -r name; do
    awk -v name="$name" '!/^#/ && $2 == name { print $3 }' tools/packages.txt
  done | sort -u
}

# Of the names given, those that this Debian release has: one that it lacks would stop the others.
apt_known() { for name; do apt-cache show "$name" >/dev/null 2>&1 && echo "$name"; done; true; }

# Debian's r-cran-* packages serve only Debian's R; one compiled by hand takes its own.
debian_r() { ! have R || dpkg -S "$(readlink -f "$(command -v R)")" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif [ -t 0 ]; then sudo "$@"
  else sudo -n "$@"; fi
}

apt_install() {
  have apt-get || return 0
  [ "$(id -u)" = 0 ] || have sudo || return 0
  echo "setup: installing by apt:" "$@"
  as_root apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -qy --no-install-recommends $(apt_known "$@") ||
    echo "setup: apt could not install them; trying R's own repository" >&2
}

r_install() {
  mkdir -p .lib/deps
  echo "setup: installing into .lib/deps:" "$@"
  Rscript -e '
    repos <- getOption("repos")
    if ("@CRAN@" %in% repos) chooseCRANmirror(ind = 1L)
    install.packages(commandArgs(TRUE), lib = ".lib/deps")' "$@"
}

commands=$(missing_commands)
packages=$(missing_packages)
wanted=$( (printf '%s\n' $commands; if debian_r; then printf '%s\n' $packages; fi) | debian_names)
[ -z "$wanted" ] || apt_install $wanted

commands=$(missing_commands)
if [ -n "$commands" ]; then
  echo "setup: not found, and apt could not be used to install them:" $commands >&2
  echo "setup: install them by hand (Debian: $(echo "$commands" | debian_names | xargs))" >&2
  exit 1
fi

packages=$(missing_packages)
[ -z "$packages" ] || r_install $packages
packages=$(missing_packages)
if [ -n "$packages" ]; then
  echo "setup: R packages that could not be installed:" $packages >&2
  exit 1
fi
