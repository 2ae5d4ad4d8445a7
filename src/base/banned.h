/*
 * banned: functions that have a better way in this project; calling one does not compile.
 * The replacement is named in the macro.  Included by error.h, and so everywhere.
 * System headers may only be included before this one or not mention the names,
 * which is why a .c file includes system headers first (see docs/design/STYLE.md).
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Macros in glibc (alloca always; sprintf with clang and _FORTIFY_SOURCE), and a macro cannot be poisoned. */
#undef alloca
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll
#pragma GCC poison gmtime localtime ctime asctime alloca tmpnam tempnam mktemp
