/*
 * attack: Further source files whose names look like options to the compiler.
 * files: {"-fplugin=evil.c": "int a;\n", "@options.c": "int b;\n", "-o.c": "int c;\n", "-x c++ .c": "int d;\n", "-Wl,-T,x.c": "int e;\n"}
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>

int main(void)
{
    puts("refused");
}
