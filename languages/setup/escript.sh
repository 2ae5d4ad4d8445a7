#!/bin/sh
# escript.sh SOURCE ARGUMENT...: runs an Erlang program.  escript ignores the first line of its file, so a line is added
# if the first one is program text.  That text moves to the second line; the numbers of the others stay the same.
source=$1
shift
IFS= read -r first <"$source"
case $first in
'#!'* | '%'* | '') exec escript "$source" "$@" ;;
*%*) join= ;;
*) join='1{N;s/\n/ /}' ;;
esac
{ echo '#!' && sed "$join" "$source"; } >"/tmp/$source"
cat "/tmp/$source" >"$source"
exec escript "$source" "$@"
