/*
 * banned: makes calls of error-prone functions fail to compile.
 *
 * Included by error.h, and so everywhere.  A system header that mentions one of these names must be included before
 * this one; so a .c file includes system headers first (docs/design/STYLE.md).
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* glibc defines these as macros (alloca always; sprintf with clang and _FORTIFY_SOURCE): macros cannot be poisoned. */
#undef alloca
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll
#pragma GCC poison gmtime localtime ctime asctime alloca tmpnam tempnam mktemp
