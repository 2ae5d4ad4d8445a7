/*
 * attack: Includes files through whatever descriptors the compiler has, up and out of each.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>

#if __has_include("/proc/self/fd/0/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/1/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/2/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/3/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/4/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/5/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/6/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/7/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/8/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/9/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/10/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/11/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/12/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/13/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/14/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/15/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/16/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/17/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/18/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/19/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/20/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/21/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/22/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif
#if __has_include("/proc/self/fd/23/../../../../../../../..@CANARY@/open/readable") || __has_include("/proc/1/root@CANARY@/open/readable")
#error ESCAPED
#endif

int main(void)
{
    puts("refused");
}
