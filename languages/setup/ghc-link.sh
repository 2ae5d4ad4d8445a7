#!/bin/sh
# ghc-link BINARY SOURCE OPTION...: compiles a program whose main module may have any name.
binary=$1
source=$2
shift 2
name=$(sed -n "s/^module[[:space:]]\{1,\}\([A-Z][A-Za-z0-9_.']*\).*/\1/p;t end;b;:end;q" "$source")
case $name in
'' | Main) ;;
*) set -- "$@" -main-is "$name" ;;
esac
exec ghc "$@" -o "$binary" "$source"
