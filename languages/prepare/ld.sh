# What `evalx prepare` runs for C by gcc: the fastest linker there is, under the name that gcc looks for.
# shellcheck shell=sh
if command -v ld.gold > /dev/null; then cp "$(command -v ld.gold)" ld; fi
