#!/bin/sh
# junit_wrapper: runs a test program for meson (--wrapper) and makes cmocka write its results to a JUnit file.
#
# The file is in the folder that EVALX_JUNIT names; its name is derived from the command, see junit_sum.py.  A program
# that does not use cmocka ignores both variables.  If the program fails, the failures go to stderr as well, because
# meson shows only that.
CMOCKA_MESSAGE_OUTPUT=XML
CMOCKA_XML_FILE=$EVALX_JUNIT/cmocka-$(printf '%s\n' "$@" | cksum | tr ' ' -).xml
export CMOCKA_MESSAGE_OUTPUT CMOCKA_XML_FILE
"$@"
status=$?
if [ "$status" -ne 0 ] && [ -f "$CMOCKA_XML_FILE" ]; then
    awk '/<testcase/ { test = $0 } /<failure/ { print test; shown = 1 } shown { print } /<\/failure/ { shown = 0 }' \
        "$CMOCKA_XML_FILE" >&2
fi
exit "$status"
