/*
 * attack: Includes the compiler's own input, output and descriptors.
 * language: c-hasty
 * stdin: "int main(void) { return 0; }\n"
 * expect: compile_error
 */
#include "/dev/stdin"
#include "/proc/self/fd/1"
#include "/proc/self/environ"
int x = undeclared;
