/*
 * attack: Options, plugins and specs by pragmas, attributes and files that compilers read by themselves.
 * files: {"specs": "*cpp:\n-DESCAPED\n", "gcc.specs": "*link:\n-T /etc/shadow\n", "response": "-fplugin=/box/x.so", "libm.so": "INPUT(/etc/shadow)", "crt1.o": "OUTPUT(/etc/x)", "stdio.h": "int puts(const char *);\n"}
 * expect: accepted stdout="refused\n"
 */
#pragma GCC plugin "/box/x.so"
#pragma GCC optimize("-fplugin=/box/x.so")
#pragma comment(linker, "/box/x")
#include <stdio.h>

int main(void)
{
#ifdef ESCAPED
    puts("ESCAPED");
#else
    puts("refused");
#endif
}
